#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/run_process.h"
#include "cli/run_suspend.h"
#include "vm/files.h"

struct suspend_options {
	const char *name;
	bool no_wait;
};

enum {
	KEY_NO_WAIT = 256,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct suspend_options *options = state->input;

	switch (key) {
	case KEY_NO_WAIT:
		options->no_wait = true;
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

/* An inotify descriptor that is readable when a file has appeared whole in the VM's directory. */
static int watch_directory(const struct vm_directory *directory)
{
	char path[32];
	autoclose int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", directory->fd);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MOVED_TO) < 0)
		return -errno;
	return fd_take(&fd);
}

/* 0 with *ret_sentence, which the caller frees, when it said no. */
static int read_refusal(const struct vm_directory *directory, char **ret_sentence)
{
	size_t size;

	return files_read(directory->fd, RUN_SUSPEND_REFUSAL_NAME, ERROR_TEXT_SIZE, ret_sentence,
			  &size);
}

/* Until the run ended, or said no. COMMAND_OK when it ended. */
static int wait_answer(const struct vm_directory *directory, int pid_fd, int watch_fd)
{
	struct pollfd fds[] = { { .fd = pid_fd, .events = POLLIN },
				{ .fd = watch_fd, .events = POLLIN } };
	char events[4096];

	for (;;) {
		autofree char *sentence = NULL;
		if (poll(fds, ARRAY_COUNT(fds), -1) < 0 && errno != EINTR)
			return COMMAND_OK; /* what came of it shows */
		/* What they say does not matter: the file is looked at. */
		while (read(watch_fd, events, sizeof(events)) > 0)
			;
		if (read_refusal(directory, &sentence) == 0) {
			fprintf(stderr, "%s\n", sentence);
			return COMMAND_FAILED;
		}
		if (fds[0].revents)
			return COMMAND_OK;
	}
}

static int say_not_running(const struct vm_directory *directory)
{
	struct error err;

	if (!vm_directory_is_suspended(directory))
		return named_vm_not_running(directory);
	error_set(&err, "VM \"%s\" is not running: it is suspended already", directory->name);
	return command_fail(COMMAND_VM_STATE, &err);
}

static int suspend(const struct vm_home *home, const struct vm_directory *directory,
		   const void *context)
{
	const struct suspend_options *options = context;
	struct error err;
	autoclose int pid_fd = run_process_open(directory, "suspend", &err);

	(void)home;
	if (pid_fd == -ESRCH)
		return say_not_running(directory);
	if (pid_fd < 0)
		return command_fail(COMMAND_FAILED, &err);
	/* Looked for from before the question on; an old answer does not count. */
	autoclose int watch_fd = watch_directory(directory);
	int r = watch_fd < 0 ? watch_fd : 0;
	if (r == 0 && unlinkat(directory->fd, RUN_SUSPEND_REFUSAL_NAME, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = run_process_signal(pid_fd, SIGUSR1);
	if (r == -ESRCH)
		return say_not_running(directory);
	if (r < 0) {
		error_set(&err, "cannot suspend the VM \"%s\": %s", directory->name, strerror(-r));
		return command_fail(COMMAND_FAILED, &err);
	}
	if (options->no_wait)
		return COMMAND_OK;
	int code = wait_answer(directory, pid_fd, watch_fd);
	if (code == COMMAND_OK && !vm_directory_is_suspended(directory)) {
		error_set(&err, "VM \"%s\" ended before it was saved", directory->name);
		code = command_fail(COMMAND_FAILED, &err);
	}
	return code;
}

int command_suspend(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "no-wait",
		  .key = KEY_NO_WAIT,
		  .doc = "return at once, as Tart does, and not when the VM is saved" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Suspends a running VM: its memory and devices are saved in its directory, "
		       "`tartlet run' ends, and the next `tartlet run' goes on from there.\v"
		       "Examples:\n"
		       "  tartlet suspend debian\n"
		       "  tartlet run debian      # goes on\n"
		       "  tartlet stop debian     # or gives the saved state up",
	};
	struct suspend_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, suspend, &options);
}
