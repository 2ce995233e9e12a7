/* What Tart does with registries, which there are none of yet: scripts get a sentence and what helps. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

#define PROGRAM "tartlet "

struct unavailable {
	const char *name;
	const char *args_doc;
	const char *instead;
};

static const struct unavailable commands[] = {
	{ "pull", "NAME",
	  "download a disk image and make a VM of it with tartlet create --from-disk, or an "
	  "exported VM and use tartlet import" },
	{ "push", "NAME REMOTE_NAME...",
	  "use tartlet export, copy the file, and make a VM of it there with tartlet "
	  "import" },
	{ "login", "HOST", "there is no registry that needs it" },
	{ "logout", "HOST", "there is no registry that needs it" },
	{ "fqn", "NAME", "names of VMs are local, and are complete as they are" },
};

static const struct unavailable *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* Of Tart's options for these commands none is known here, so that none is a usage error: a script's are
 * right, and what it asks for is not there. */
static char *asked_about(int argc, char **argv)
{
	static const char *const questions[] = { "--help", "-?", "--usage", "--version", "-V" };

	for (int i = 1; i < argc; i++) {
		for (size_t k = 0; k < ARRAY_COUNT(questions); k++) {
			if (strcmp(argv[i], questions[k]) == 0)
				return argv[i];
		}
	}
	return NULL;
}

static int answer(const struct unavailable *command, char *program, char *question)
{
	char *argv[] = { program, question, NULL };
	char doc[256];
	const struct argp argp = { .args_doc = command->args_doc, .doc = doc };

	snprintf(doc, sizeof(doc), "Not available yet: %s.", command->instead);
	return argp_parse(&argp, 2, argv, 0, NULL, NULL) == 0 ? COMMAND_OK : COMMAND_USAGE;
}

int command_unavailable(int argc, char **argv)
{
	const struct unavailable *command = find(argv[0] + strlen(PROGRAM));
	char *question = asked_about(argc, argv);
	struct error err;

	if (question)
		return answer(command, argv[0], question);
	error_set(&err, "%s is not available yet: %s", argv[0], command->instead);
	return command_fail(COMMAND_FAILED, &err);
}
