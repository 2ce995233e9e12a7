/* `tartlet exec`: a command in the guest, run by QEMU's guest agent. */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "vm/agent_exec.h"
#include "vm/vm_lock.h"

struct exec_options {
	const char *name;
	char **words; /* the command; NULL-terminated, part of argv */
	bool interactive;
	bool tty;
};

/* The agent's protocol is JSON. */
static bool is_utf8(const char *text)
{
	uint32_t code;
	bool valid;
	size_t step;

	for (; (step = utf8_decode(text, &code, &valid)); text += step) {
		if (!valid)
			return false;
	}
	return true;
}

/* What follows NAME; a first "--", which other programs want there, is no command. */
static void take_words(struct exec_options *options, struct argp_state *state)
{
	options->words = state->argv + state->next;
	state->next = state->argc;
	if (options->words[0] && strcmp(options->words[0], "--") == 0)
		options->words++;
}

static void check_words(const struct exec_options *options, struct argp_state *state)
{
	char shown[256];

	if (!options->words || !options->words[0])
		argp_error(state, "the COMMAND is missing");
	for (size_t i = 0; options->words && options->words[i]; i++) {
		if (!is_utf8(options->words[i]))
			argp_error(state,
				   "\"%s\" is not UTF-8, and the guest agent takes nothing else",
				   printable(options->words[i], shown, sizeof(shown)));
	}
	if (options->tty)
		argp_error(state,
			   "the guest agent has no terminals (-t): use `tartlet ssh -t %s %s ...'",
			   options->name,
			   options->words ? printable(options->words[0], shown, sizeof(shown))
					  : "");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct exec_options *options = state->input;

	switch (key) {
	case 'i':
		options->interactive = true;
		return 0;
	case 't':
		options->tty = true;
		return 0;
	case ARGP_KEY_ARG:
		options->name = named_vm_parse(state, argument);
		take_words(options, state);
		return 0;
	case ARGP_KEY_END:
		if (!options->name)
			argp_error(state, "the VM's NAME is missing");
		check_words(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- a signal while the command runs -------------------------------------------------------------- */

/* What to say then: the agent has no way to follow a client that goes away. */
static char farewell[1024];
static const char *vm_name;

static void leave(int number)
{
	if (write(STDERR_FILENO, farewell, strlen(farewell)) < 0) {
		/* nobody to tell */
	}
	raise(number); /* SA_RESETHAND: the end that it would have been, as soon as we return */
}

static void set_farewell(int64_t pid)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = leave, .sa_flags = (int)SA_RESETHAND };

	snprintf(farewell, sizeof(farewell),
		 "\nthe command goes on in VM \"%s\" as its process %" PRId64
		 "; `tartlet exec %s kill %" PRId64 "' ends it\n",
		 vm_name, pid, vm_name, pid);
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		struct sigaction old;
		/* What nohup, or a shell in the background, has ignored stays so. */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaction(numbers[i], &action, NULL);
	}
}

/* --- standard streams ----------------------------------------------------------------------------- */

/* All of standard input: the agent takes it whole. */
static int read_input(uint8_t **ret_input, size_t *ret_size, struct error *err)
{
	/* One more, to see that it is too much. */
	autofree uint8_t *buffer = malloc(AGENT_EXEC_INPUT_MOST + 1);
	size_t size = 0;
	ssize_t n = 1;

	if (!buffer) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	while (n > 0 && size <= AGENT_EXEC_INPUT_MOST) {
		n = read(STDIN_FILENO, buffer + size, AGENT_EXEC_INPUT_MOST + 1 - size);
		if (n < 0 && errno != EINTR) {
			int r = -errno;
			error_set(err, "cannot read standard input: %s", strerror(-r));
			return r;
		}
		size += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	if (size > AGENT_EXEC_INPUT_MOST) {
		error_set(err,
			  "standard input is longer than the %zu MiB that the guest agent takes: "
			  "use `tartlet ssh'",
			  AGENT_EXEC_INPUT_MOST >> 20);
		return -EFBIG;
	}
	*ret_input = buffer;
	*ret_size = size;
	buffer = NULL;
	return 0;
}

static int write_whole(int fd, const struct agent_output *output, const char *what,
		       struct error *err)
{
	size_t done = 0;

	while (done < output->size) {
		ssize_t n = write(fd, output->bytes + done, output->size - done);
		if (n < 0 && errno != EINTR) {
			int r = -errno;
			error_set(err, "cannot write to standard %s: %s", what, strerror(-r));
			return r;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	if (output->truncated)
		fprintf(stderr, "the guest agent left off the end of the command's standard %s\n",
			what);
	return 0;
}

static int write_outputs(const struct agent_exec_status *status, struct error *err)
{
	int r = write_whole(STDOUT_FILENO, &status->output, "output", err);
	int of_errors = write_whole(STDERR_FILENO, &status->errors, "error", r < 0 ? NULL : err);

	return r < 0 ? r : of_errors;
}

/* --- the whole ------------------------------------------------------------------------------------ */

/* Whatever the guest wrote into it must not steer the terminal. */
static int fail(const struct error *err)
{
	char text[4 * ERROR_TEXT_SIZE];

	fprintf(stderr, "%s\n", printable(err->text, text, sizeof(text)));
	return COMMAND_FAILED;
}

static int explain(const struct vm_directory *directory, int r, struct error *err)
{
	struct error whole;

	if (r == -EREMOTEIO) {
		error_prefix(err, "the guest agent of VM \"%s\"", directory->name);
		return fail(err);
	}
	if (r == -EBUSY)
		return fail(err);
	if (vm_lock_holder(directory->fd) == 0)
		error_set(&whole, "VM \"%s\" stopped before the command ended", directory->name);
	else
		error_set(&whole,
			  "Failed to connect to the VM using its control socket: %s, is the QEMU "
			  "guest agent running?",
			  err->text);
	return fail(&whole);
}

static int execute(const struct vm_home *home, const struct vm_directory *directory,
		   const void *context)
{
	const struct exec_options *options = context;
	struct agent_exec exec = { .words = (const char *const *)options->words,
				   .started = set_farewell };
	struct agent_exec_status status;
	struct error err = { .text = "" };
	autofree uint8_t *input = NULL;

	(void)home;
	if (vm_lock_holder(directory->fd) == 0)
		return named_vm_not_running(directory);
	if (options->interactive && read_input(&input, &exec.input_size, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	exec.input = input;
	vm_name = directory->name;
	int r = agent_exec_run(directory->fd, &exec, &status, &err);
	farewell[0] = 0; /* nothing goes on any more that we know of */
	if (r < 0)
		return explain(directory, r, &err);
	r = write_outputs(&status, &err);
	int code = r < 0 ? command_fail(COMMAND_FAILED, &err) : status.exit_code;
	agent_exec_status_done(&status);
	return code;
}

int command_exec(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .key = 'i',
		  .doc = "give the command what standard input has, once that has ended" },
		{ .key = 't', .doc = "refused: the guest agent has no terminals; see tartlet ssh" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME COMMAND [ARGUMENT...]",
		.doc = "Runs a command in a running VM by the QEMU guest agent (qemu-ga), which has to "
		       "run in the guest: as root, without a shell, without a network. Its output "
		       "comes when it has ended; its exit code is the command's.\v"
		       "Examples:\n"
		       "  tartlet exec debian uname -a\n"
		       "  tartlet exec debian sh -c 'systemctl is-active ssh; ls /tmp | wc -l'\n"
		       "  tartlet exec -i debian sh -c 'cat >/etc/motd' <motd",
	};
	struct exec_options options = { 0 };

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, execute, &options);
}
