/*
 * How a command's argp is got: argp answers --version by calling a hook with its own state, in which the
 * argp of the running parse stands. So the command is run with that one word, its parser hands over its
 * tables, and it ends there, as it does after any --version: nothing of what the command does is reached.
 */
#include "cli/completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/completion_options.h"
#include "cli/completion_usage.h"
#include "vm/vm_directory.h"
#include "vm/vm_lock.h"

/* argp's hook has no context. */
static struct {
	const struct completion_request *request;
	const struct command *command; /* NULL: what stands before it */
	size_t first;		       /* the first word behind the command's name */
} asked;

static void print(const char *candidate, const char *description)
{
	printf("%s\t%.*s\n", candidate, (int)strcspn(description, "\n\t"), description);
}

/* --- VMs ------------------------------------------------------------------------------------ */

static bool is_offered(enum command_names names, bool running)
{
	switch (names) {
	case COMMAND_NAMES_ANY:
		return true;
	case COMMAND_NAMES_RUNNING:
		return running;
	case COMMAND_NAMES_STOPPED:
		return !running;
	case COMMAND_NAMES_NEW:
		break;
	}
	return false;
}

static bool is_written(const char *name, const char *const *written, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(written[i], name) == 0)
			return true;
	}
	return false;
}

/* But those that are in the line already. */
static void print_vms(enum command_names wanted, const char *const *written, size_t written_count)
{
	struct vm_home home;
	char **names;
	size_t count;

	if (wanted == COMMAND_NAMES_NEW || vm_home_open(&home, NULL) < 0)
		return;
	if (vm_directory_names(&home, &names, &count, NULL) < 0) {
		count = 0;
		names = NULL;
	}
	for (size_t i = 0; i < count; i++) {
		struct vm_directory directory;
		if (is_written(names[i], written, written_count) ||
		    vm_directory_open(&home, names[i], &directory, NULL) < 0)
			continue;
		bool running = vm_lock_holder(directory.fd) != 0;
		if (is_offered(wanted, running))
			print(names[i], running ? "running" : "stopped");
		vm_directory_close(&directory);
	}
	if (names)
		vm_directory_free_names(names, count);
	vm_home_close(&home);
}

/* --- what a word of the usage stands for ------------------------------------------------------ */

static bool stands_for(const char *word, size_t size, const char *const *names)
{
	for (; *names; names++) {
		if (strlen(*names) == size && strncmp(*names, word, size) == 0)
			return true;
	}
	return false;
}

/* One alternative of "auto|kvm|tcg", "PATH|PID", "[name:]PATH[:ro]". */
static void print_alternative(const char *word, size_t size)
{
	static const char *const files[] = { "FILE", "PATH", "IMAGE", "ARCHIVE", NULL };
	static const char *const directories[] = { "DIRECTORY", "DIR", "FOLDER", NULL };
	char text[COMPLETION_WORD_SIZE];

	snprintf(text, sizeof(text), "%.*s", (int)size, word);
	if (completion_usage_is_literal(text)) {
		print(text, "");
		return;
	}
	const char *from = word;
	if (from[0] == '[' && memchr(from, ']', size))
		from = (const char *)memchr(from, ']', size) + 1;
	size = strspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	if (stands_for(from, size, files))
		puts(":files");
	else if (stands_for(from, size, directories))
		puts(":directories");
}

static void print_values(const char *words)
{
	while (*words) {
		/* A bar within brackets is of the option's own syntax. */
		size_t size = words[0] == '[' ? strlen(words) : strcspn(words, "|[");
		if (words[size] == '[')
			size = strlen(words);
		print_alternative(words, size);
		words += size;
		words += *words == '|';
	}
}

/* --- options ---------------------------------------------------------------------------------- */

static void print_options(const struct completion_options *options)
{
	char text[COMPLETION_WORD_SIZE];

	for (size_t i = 0; i < options->count; i++) {
		const struct completion_option *option = &options->items[i];
		if (!option->is_shown)
			continue;
		if (option->name)
			snprintf(text, sizeof(text), "--%s", option->name);
		else
			snprintf(text, sizeof(text), "-%c", option->letter);
		print(text, option->doc);
	}
}

/* --- arguments -------------------------------------------------------------------------------- */

struct written_arguments {
	const char *texts[ARRAY_COUNT(((struct completion_place *)0)->arguments)];
	size_t count; /* with the one that is being written */
};

/* `word` is the usage's name of the argument being written. */
static void print_argument(const struct written_arguments *written,
			   const struct completion_word *word)
{
	size_t before = written->count - 1;

	if (strcmp(word->text, "NAME") == 0)
		print_vms(asked.command->names, written->texts, word->repeats ? before : 0);
	else
		print_values(word->text);
}

static void print_arguments(const struct completion_place *place, const char *usage,
			    const char *const *words)
{
	struct written_arguments written = { .count = place->argument_count };
	struct completion_word done[8];
	size_t done_count = 0;

	for (size_t i = 0; i < written.count; i++)
		written.texts[i] = words[place->arguments[i]];
	while (usage) {
		const char *form = usage;
		struct completion_word word;
		/* COMMAND goes on to the end of the line. Behind a VM it would be one of the guest's. */
		if (completion_usage_next(&form, written.texts, 0, &word) &&
		    strcmp(word.text, "COMMAND") == 0) {
			printf(":command %zu\n", asked.first + place->arguments[0]);
			return;
		}
		bool is_new =
			completion_usage_next(&usage, written.texts, written.count - 1, &word);
		for (size_t i = 0; i < done_count && is_new; i++)
			is_new = strcmp(done[i].text, word.text) != 0;
		if (!is_new || done_count == ARRAY_COUNT(done))
			continue;
		done[done_count++] = word;
		print_argument(&written, &word);
	}
}

static void print_commands(void)
{
	for (size_t i = 0; i < asked.request->command_count; i++) {
		const struct command *command = &asked.request->commands[i];
		if (command->summary)
			print(command->name, command->summary);
	}
}

/* --- the answer -------------------------------------------------------------------------------- */

static const char *usage_of(const struct argp *argp)
{
	const struct argp_child *child = argp->children;

	if (argp->args_doc)
		return argp->args_doc;
	for (; child && child->argp; child++) {
		if (child->argp->args_doc)
			return child->argp->args_doc;
	}
	return NULL;
}

/* argp's hook for --version. */
static void answer(FILE *stream, struct argp_state *state)
{
	const char *const *words = asked.request->words + asked.first;
	size_t word_count = asked.request->word_count - asked.first;
	bool in_order = state->flags & ARGP_IN_ORDER;
	struct completion_options options;
	struct completion_place place;

	(void)stream;
	completion_options_collect(state->root_argp, &options);
	completion_options_place(&options, words, word_count, in_order, &place);
	if (place.option) {
		if (place.option->argument)
			print_values(place.option->argument);
	} else if (place.is_option) {
		print_options(&options);
	} else if (!asked.command) {
		print_commands();
	} else if (place.argument_count > 0 && usage_of(state->root_argp)) {
		print_arguments(&place, usage_of(state->root_argp), words);
	}
}

static const struct command *find_command(const struct completion_request *request,
					  size_t *ret_first)
{
	for (size_t at = 0; at + 1 < request->word_count; at++) {
		if (request->words[at][0] == '-')
			continue; /* no option before the command takes a value */
		*ret_first = at + 1;
		for (size_t i = 0; i < request->command_count; i++) {
			if (strcmp(request->commands[i].name, request->words[at]) == 0)
				return &request->commands[i];
		}
		exit(COMMAND_OK); /* no such command: nothing follows it */
	}
	return NULL;
}

void completion_answer(const struct completion_request *request)
{
	static char name[64] = "tartlet";
	static char version[] = "--version";
	char *argv[] = { name, version, NULL };

	asked.request = request;
	asked.command = find_command(request, &asked.first);
	argp_program_version_hook = answer;
	if (asked.command) {
		snprintf(name, sizeof(name), "tartlet %s", asked.command->name);
		(void)asked.command->run(2, argv);
	} else {
		(void)argp_parse(request->program, 2, argv, ARGP_IN_ORDER, NULL, NULL);
	}
	exit(COMMAND_OK); /* a command without argp has nothing to offer */
}
