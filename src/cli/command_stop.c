#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/run_process.h"
#include "vm/saved_state.h"
#include "vm/vm_leftovers.h"
#include "vm/vm_lock.h"

#define TIMEOUT_DEFAULT_S 30
#define TIMEOUT_MOST_S	  86400
#define KILL_WAIT_S	  5 /* for a process that was sent SIGKILL */

struct stop_options {
	const char *name;
	unsigned timeout_s;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct stop_options *options = state->input;

	switch (key) {
	case 't':
		options->timeout_s = (unsigned)command_parse_number(state, "--timeout", argument, 0,
								    TIMEOUT_MOST_S);
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

/* 0 when the process has ended. */
static int end_process(int pid_fd, unsigned timeout_s)
{
	int r = run_process_signal(pid_fd, SIGINT);

	if (r == 0 && !run_process_wait_end(pid_fd, timeout_s)) {
		r = run_process_signal(pid_fd, SIGKILL);
		if (r == 0)
			(void)run_process_wait_end(pid_fd, KILL_WAIT_S); /* it is not refused */
	}
	return r == -ESRCH ? 0 : r;
}

/* Under both locks, so that it is not taken from a run that has just begun, or from a copy. */
static int remove_saved_state(const struct vm_home *home, const struct vm_directory *directory,
			      struct error *err)
{
	int r = vm_directory_check_free(home, directory, err);
	if (r < 0)
		return r;
	int lock_fd = vm_lock_take(directory->fd, err);
	if (lock_fd == -EBUSY)
		error_set(err, "VM \"%s\" is running", directory->name);
	if (lock_fd < 0)
		return lock_fd;
	r = saved_state_remove(directory->fd, err);
	fd_close(lock_fd);
	return r;
}

static int drop_saved_state(const struct vm_home *home, const struct vm_directory *directory)
{
	struct error err;

	int r = vm_home_lock(home, &err);
	if (r == 0) {
		r = vm_home_explain_write(home, remove_saved_state(home, directory, &err), &err);
		vm_home_unlock(home);
	}
	return r < 0 ? command_fail(COMMAND_FAILED, &err) : COMMAND_OK;
}

/* One that was killed cannot. Another that was started since keeps what it has. */
static int drop_leftovers(const struct vm_home *home, const struct vm_directory *directory)
{
	struct error err;
	int r = vm_leftovers_remove(home, directory, &err);

	return r == 0 || r == -EBUSY || r == -ESRCH ? COMMAND_OK
						    : command_fail(COMMAND_FAILED, &err);
}

static int stop(const struct vm_home *home, const struct vm_directory *directory,
		const void *context)
{
	const struct stop_options *options = context;
	struct error err;
	autoclose int pid_fd = run_process_open(directory, "stop", &err);

	if (pid_fd == -ESRCH)
		return vm_directory_is_suspended(directory) ? drop_saved_state(home, directory)
							    : named_vm_not_running(directory);
	if (pid_fd < 0)
		return command_fail(COMMAND_FAILED, &err);
	int r = end_process(pid_fd, options->timeout_s);
	if (r < 0) {
		error_set(&err, "cannot stop the VM \"%s\": %s", directory->name, strerror(-r));
		return command_fail(COMMAND_FAILED, &err);
	}
	/* It was being suspended, or resumed. */
	return vm_directory_is_suspended(directory) ? drop_saved_state(home, directory)
						    : drop_leftovers(home, directory);
}

int command_stop(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "timeout",
		  .key = 't',
		  .arg = "SECONDS",
		  .doc = "how long to wait before it is killed (default: 30)" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Stops a running VM: asks `tartlet run' to end, and kills it when it does not "
		       "in time. Of a suspended VM the saved state is deleted.\v"
		       "Examples:\n"
		       "  tartlet stop debian\n"
		       "  tartlet stop debian --timeout 5",
	};
	struct stop_options options = { .timeout_s = TIMEOUT_DEFAULT_S };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, stop, &options);
}
