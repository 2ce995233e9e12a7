/* tartlet: runs virtual machines with native vmnet networking. */

#include <argp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/completion.h"

static const struct command commands[] = {
	{ "create", "make a VM from a disk image, or from a kernel and an initrd", command_create,
	  COMMAND_NAMES_NEW },
	{ "clone", "make a VM that is a copy of another one", command_clone,
	  COMMAND_NAMES_STOPPED },
	{ "run", "run a VM until it stops", command_run, COMMAND_NAMES_STOPPED },
	{ "ip", "print the address of a VM", command_ip, COMMAND_NAMES_ANY },
	{ "list", "list the VMs", command_list, COMMAND_NAMES_ANY },
	{ "get", "print what a VM is: settings, state, network", command_get, COMMAND_NAMES_ANY },
	{ "stop", "stop a running VM", command_stop, COMMAND_NAMES_RUNNING },
	{ "suspend", "save a running VM and stop it; the next run goes on from there",
	  command_suspend, COMMAND_NAMES_RUNNING },
	{ "delete", "delete VMs", command_delete, COMMAND_NAMES_STOPPED },
	{ "set", "change a VM: CPUs, memory, disk, screen, MAC address", command_set,
	  COMMAND_NAMES_STOPPED },
	{ "rename", "give a VM another name", command_rename, COMMAND_NAMES_ANY },
	{ "export", "write a VM into one file", command_export, COMMAND_NAMES_STOPPED },
	{ "import", "make a VM of such a file", command_import, COMMAND_NAMES_NEW },
	{ "prune", "remove VMs that were not used for long, or take too much room", command_prune,
	  COMMAND_NAMES_ANY },
	{ "nc", "connect standard input and output to a port of a running VM", command_nc,
	  COMMAND_NAMES_RUNNING },
	{ "ssh", "log in to a running VM, or run a command in it, by ssh", command_ssh,
	  COMMAND_NAMES_RUNNING },
	{ "exec", "run a command in a running VM by the agent in its guest", command_exec,
	  COMMAND_NAMES_RUNNING },
	{ "netns", "run a command, or connect a network namespace, as a guest", command_netns,
	  COMMAND_NAMES_ANY },
	{ "forward", "add, remove or list port forwards of a running VM", command_forward,
	  COMMAND_NAMES_RUNNING },
	{ "pull", NULL, command_unavailable, COMMAND_NAMES_NEW },
	{ "push", NULL, command_unavailable, COMMAND_NAMES_NEW },
	{ "login", NULL, command_unavailable, COMMAND_NAMES_NEW },
	{ "logout", NULL, command_unavailable, COMMAND_NAMES_NEW },
	{ "fqn", NULL, command_unavailable, COMMAND_NAMES_NEW },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* argp frees the text it gets back. */
static char *filter_help(int key, const char *text, void *input)
{
	char *help = NULL;
	size_t size = 0;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return text ? strdup(text) : NULL;
	FILE *stream = open_memstream(&help, &size);
	if (!stream)
		return NULL;
	fputs("Commands:\n", stream);
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		if (commands[i].summary)
			fprintf(stream, "  %-9s %s\n", commands[i].name, commands[i].summary);
	}
	fputs("Not available yet: pull, push, login, logout.\n", stream);
	fputs("\n`tartlet COMMAND --help' has the options of a command, with examples.", stream);
	return fclose(stream) == 0 ? help : NULL;
}

struct choice {
	const struct command *command;
	int first; /* index of the command's name in argv */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->command = find_command(argument);
		if (!choice->command)
			argp_error(state, "unknown command \"%s\"", argument);
		choice->first = state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a command is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/*
 * The descriptions of a help text begin where the longest of our options ends: one that has to go to the next
 * line gets its indentation wrong where glibc's buffer is just full. A variable is the only way to say
 * it; it is not for the environment of what we start.
 */
static void set_help_layout(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0)
			(void)setenv("ARGP_HELP_FMT", "opt-doc-col=38", 0);
	}
}

/* Whoever reads half of a list must not take it for the whole. A reader who has left knows it, and for a command
 * that runs something, what it says is beside the point. */
static int check_output(const struct command *command, int code)
{
	struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if (code != COMMAND_OK || command->run == command_run || command->run == command_netns ||
	    (fflush(stdout) == 0 && !ferror(stdout)))
		return code;
	if (poll(&output, 1, 0) < 0 || !(output.revents & POLLERR))
		fprintf(stderr, "standard output did not take all that there is to say\n");
	return COMMAND_FAILED;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Runs virtual machines with native vmnet networking, without root.\v ",
		.help_filter = filter_help,
	};
	static char name[64];
	static char program[] = "tartlet";
	struct choice choice = { 0 };

	/* Nor may QEMU's standard streams be put into a file of ours. */
	if (!fd_fill_standard())
		return COMMAND_FAILED;
	argp_program_version = "tartlet " TARTLET_VERSION;
	/* A closed pipe is an error of a write, not the end of a VM. */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 0)
		argv[0] = program;
	if (argc > 2 && strcmp(argv[1], "--complete") == 0) {
		const struct completion_request request = {
			.program = &argp,
			.commands = commands,
			.command_count = ARRAY_COUNT(commands),
			.words = (const char *const *)argv + 2,
			.word_count = (size_t)argc - 2,
		};
		completion_answer(&request);
	}
	set_help_layout(argc, argv);
	error_t failure = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice);
	if (failure || !choice.command)
		return COMMAND_USAGE;
	snprintf(name, sizeof(name), "tartlet %s", choice.command->name);
	argv[choice.first] = name;
	return check_output(choice.command,
			    choice.command->run(argc - choice.first, argv + choice.first));
}
