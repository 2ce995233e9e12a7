/* `tartlet ssh`: ssh with `tartlet nc` as its way to the VM. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/ssh_args.h"
#include "vm/vm_lock.h"

struct ssh_options {
	const char *name;
	const char *user;
	const char **passed; /* words for ssh; [argc * 2] */
	size_t passed_count;
	char **command; /* NULL-terminated */
};

/* An option of ssh's with the same letter. */
static void pass(struct ssh_options *options, const char *letter, const char *argument)
{
	options->passed[options->passed_count++] = letter;
	if (argument)
		options->passed[options->passed_count++] = argument;
}

static const char *letter_of(int key)
{
	static const char *const letters[] = { "-i", "-F", "-o", "-L", "-R", "-D", "-A",
					       "-N", "-n", "-q", "-T", "-t", "-v", "-p" };

	for (size_t i = 0; i < ARRAY_COUNT(letters); i++) {
		if (letters[i][1] == key)
			return letters[i];
	}
	return NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct ssh_options *options = state->input;
	const char *letter = letter_of(key);

	switch (key) {
	case 'l':
		options->user = argument;
		if (!*argument)
			argp_error(state, "the USER is empty");
		return 0;
	case 'p':
		(void)command_parse_number(state, "--port", argument, 1, 65535);
		pass(options, letter, argument);
		return 0;
	case ARGP_KEY_ARG:
		options->name = named_vm_parse(state, argument);
		options->command = state->argv + state->next; /* the rest */
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!options->name)
			argp_error(state, "the VM's NAME is missing");
		return 0;
	default:
		if (!letter)
			return ARGP_ERR_UNKNOWN;
		pass(options, letter, argument);
		return 0;
	}
}

/* The program that runs; "tartlet" where its file has gone. */
static void own_program(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);

	path[length > 0 ? length : 0] = 0;
	if (length <= 0 || access(path, X_OK) < 0)
		snprintf(path, size, "tartlet");
}

static int execute(const struct ssh_args *args, struct error *err)
{
	signal(SIGPIPE, SIG_DFL); /* an ignored signal would stay so behind exec */
	execvp(args->argv[0], args->argv);
	int r = -errno;
	error_set(err, "ssh cannot be started: %s%s", strerror(-r),
		  r == -ENOENT ? "; install the package openssh-client" : "");
	return r;
}

static int log_in(const struct vm_home *home, const struct vm_directory *directory,
		  const void *context)
{
	const struct ssh_options *options = context;
	struct error err = { .text = "" };
	char program[4096];
	char path[8192];
	struct ssh_args args;

	if (vm_lock_holder(directory->fd) == 0)
		return named_vm_not_running(directory);
	own_program(program, sizeof(program));
	snprintf(path, sizeof(path), "%s/vms/%s", home->path, directory->name);
	const struct ssh_wish wish = {
		.program = program,
		.name = directory->name,
		.directory = path,
		.user = options->user,
		.options = options->passed,
		.option_count = options->passed_count,
		.command = (const char *const *)options->command,
	};
	if (ssh_args_build(&wish, &args, &err) == 0) {
		(void)execute(&args, &err);
		ssh_args_done(&args);
	}
	return command_fail(COMMAND_FAILED, &err);
}

int command_ssh(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "user",
		  .key = 'l',
		  .arg = "USER",
		  .doc = "whom to log in as (default: $TARTLET_SSH_USER, else what ssh chooses)" },
		{ .name = "port", .key = 'p', .arg = "PORT", .doc = "the guest's port" },
		{ .key = 'i', .arg = "FILE", .doc = "The following are passed on to ssh:" },
		{ .key = 'F', .arg = "FILE" },
		{ .key = 'o', .arg = "OPTION" },
		{ .key = 'L', .arg = "SPEC" },
		{ .key = 'R', .arg = "SPEC" },
		{ .key = 'D', .arg = "SPEC" },
		{ .key = 'A' },
		{ .key = 'N' },
		{ .key = 'n' },
		{ .key = 'q' },
		{ .key = 'T' },
		{ .key = 't' },
		{ .key = 'v' },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME [COMMAND...]",
		.doc = "Logs in to a running VM by ssh, or runs a command in it, without a forwarded "
		       "port. The VM's host key is kept in the VM's own folder.\v"
		       "Examples:\n"
		       "  tartlet ssh debian\n"
		       "  tartlet ssh -l root -i id_ed25519 debian systemctl status\n"
		       "  tartlet ssh -t debian htop",
	};
	struct ssh_options options = { .user = getenv("TARTLET_SSH_USER") };

	if (options.user && !*options.user)
		options.user = NULL;
	options.passed = calloc(2 * (size_t)argc + 1, sizeof(*options.passed));
	if (!options.passed) {
		struct error err = { .text = "out of memory" };
		return command_fail(COMMAND_FAILED, &err);
	}
	int code = COMMAND_USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options) == 0)
		code = named_vm_act(options.name, COMMAND_VM_STATE, log_in, &options);
	free(options.passed);
	return code;
}
