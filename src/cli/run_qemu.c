#include "cli/run_qemu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/run_attach.h"
#include "cli/run_disks.h"
#include "cli/run_guest.h"
#include "cli/run_shares.h"
#include "cli/run_suspend.h"
#include "vm/qemu_args.h"
#include "vm/qemu_log.h"
#include "vm/qemu_process.h"
#include "vm/systemd_scope.h"
#include "vm/vm_directory.h"

#define STOP_WAIT_NS  (5 * NS_PER_S) /* QEMU writes its disks out; then it is killed */
#define LOG_LINES     10
#define LOG_TEXT_SIZE ((size_t)4096)

void run_qemu_kill(struct run_qemu *qemu)
{
	(void)loop_child_kill(&qemu->child, SIGKILL); /* may be gone */
}

static void kill_timer_expired(struct timer *timer, uint64_t now_ns)
{
	struct run_qemu *qemu = container_of(timer, struct run_qemu, kill_timer);

	(void)now_ns;
	run_qemu_kill(qemu);
}

static void child_ended(struct loop_child *child, int wait_status)
{
	struct run_qemu *qemu = container_of(child, struct run_qemu, child);

	qemu->wait_status = wait_status;
	qemu->runs = false;
	terminal_guard_restore(&qemu->terminal); /* killed, QEMU could not; we are about to print */
	loop_stop(qemu->loop);
}

static void qmp_ready(struct loop_watch *watch, uint32_t events)
{
	struct run_qemu *qemu = container_of(watch, struct run_qemu, qmp_watch);

	(void)events;
	qemu->said(qemu);
	if (qemu->qmp.state == QMP_CLOSED)
		loop_watch_remove(qemu->loop, watch); /* the end of the child tells the rest */
}

int run_qemu_open_qmp(struct run_qemu *qemu, int *ret_fd, struct error *err)
{
	int fds[2];

	int r = qemu_process_socket_pair(fds);
	if (r < 0) {
		error_set(err, "cannot make QEMU's control socket: %s", strerror(-r));
		return r;
	}
	*ret_fd = fds[1];
	qemu->qmp_fd = fds[0];
	r = qmp_init(&qemu->qmp, fds[0]);
	if (r == 0)
		r = loop_watch_add(qemu->loop, &qemu->qmp_watch, fds[0], EPOLLIN);
	if (r < 0)
		error_set(err, "cannot watch QEMU's control socket: %s", strerror(-r));
	return r;
}

static int watch_child(struct run_qemu *qemu, pid_t pid, struct error *err)
{
	int r = loop_child_open(&qemu->child, qemu->loop, pid, child_ended);

	if (r < 0) {
		error_set(err, "cannot watch QEMU: %s", strerror(-r));
		kill(pid, SIGKILL); /* not reaped, so the number is still its own */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}

/* So that systemctl and systemd-cgtop show the VM by name; nothing depends on it. */
static void make_scope(const struct run_guest_launch *launch, pid_t pid)
{
	struct systemd_scope_call call = { 0 };

	if (!systemd_scope_available(getenv("XDG_RUNTIME_DIR")) ||
	    systemd_scope_is_own_unit(getenv("SYSTEMD_EXEC_PID"), getpid()))
		return;
	systemd_scope_build(launch->label, pid, &call);
	if (systemd_scope_make(&call) < 0)
		fprintf(stderr, "%s could not be made: the VM runs without it\n", call.unit);
}

int run_qemu_start(struct run_qemu *qemu, const struct run_qemu_start *start, struct error *err)
{
	const struct run_guest_launch *launch = start->launch;
	const struct qemu_launch arguments = {
		.config = launch->config,
		.label = launch->label,
		.qemu = launch->qemu,
		.accel = launch->accel,
		.serial = launch->serial,
		.display = launch->display,
		.nested = launch->nested,
		.shares = launch->shares->shares,
		.share_count = launch->shares->count,
		.shares_have_no_msix = launch->shares_have_no_msix,
		.net = launch->net,
		.firmware = launch->firmware,
		.system_serial = launch->system_serial,
		.root_disk = launch->root_disk,
		.disks = launch->disks->disks,
		.disk_count = launch->disks->count,
		.net_fd = start->net_fd,
		.net_path = RUN_ATTACH_SOCKET_NAME,
		.qmp_fd = start->qmp_fd,
		.agent_path = VM_AGENT_SOCKET_NAME,
		.incoming = launch->saved != NULL,
	};
	bool on_terminal = launch->serial.kind == SERIAL_STDIO;
	int inherited[3];
	size_t inherited_count = 0;
	struct qemu_args args;
	pid_t pid = -1;

	qemu->launch = launch;
	if (on_terminal) {
		int r = terminal_guard_begin(&qemu->terminal, err);
		if (r < 0)
			return r;
	}
	inherited[inherited_count++] = start->qmp_fd;
	if (start->net_fd >= 0)
		inherited[inherited_count++] = start->net_fd;
	if (launch->serial.kind == SERIAL_TERMINAL || launch->serial.kind == SERIAL_OUTPUT)
		inherited[inherited_count++] = launch->serial.fd;
	int r = qemu_args_build(&arguments, &args);
	if (r < 0) {
		error_set(err, "out of memory");
		return r;
	}
	const struct qemu_spawn spawn = {
		.argv = args.argv,
		.directory_fd = launch->directory->fd,
		.log_fd = launch->log_fd,
		.serial = on_terminal,
		.inherited = inherited,
		.inherited_count = inherited_count,
		.signal_mask = start->signal_mask,
	};
	r = run_suspend_prepare(start->suspend, launch, args.argv, err);
	if (r == 0)
		r = qemu_process_start(&spawn, &pid, err);
	qemu_args_done(&args);
	if (r == 0)
		r = watch_child(qemu, pid, err);
	if (r < 0)
		return r;
	qemu->runs = true;
	make_scope(launch, pid);
	return 0;
}

void run_qemu_end_in_order(struct run_qemu *qemu)
{
	(void)loop_child_kill(&qemu->child, SIGTERM); /* may be gone */
	timer_set(loop_timers(qemu->loop), &qemu->kill_timer, loop_now(qemu->loop) + STOP_WAIT_NS);
}

static void print_end(const struct run_qemu *qemu)
{
	char end[QEMU_END_TEXT_SIZE];
	autofree char *log = malloc(LOG_TEXT_SIZE);
	const char *cause = qemu->qmp.stop_cause;

	fprintf(stderr, "QEMU of VM \"%s\" ended by itself with %s%s%s%s",
		qemu->launch->directory->name, qemu_process_end_text(qemu->wait_status, end),
		cause[0] ? " (" : "", cause, cause[0] ? ")" : "");
	if (log && qemu_log_tail(qemu->launch->log_fd, LOG_LINES, log, LOG_TEXT_SIZE))
		fprintf(stderr, "; its last words:\n%s\n", log);
	else
		fprintf(stderr, "; it left no message\n");
}

int run_qemu_outcome(const struct run_qemu *qemu)
{
	bool well = WIFEXITED(qemu->wait_status) && WEXITSTATUS(qemu->wait_status) == 0;

	if (well && qemu->qmp.guest_stopped) {
		puts("guest has stopped the virtual machine");
		return COMMAND_OK;
	}
	/* Ctrl-A X on the console, or the window was closed: QEMU takes it as its own `quit`, which we
	 * never send. */
	bool can_quit = qemu->launch->serial.kind == SERIAL_STDIO ||
			qemu->launch->display.window == DISPLAY_WINDOW_ON;
	if (well && can_quit && strcmp(qemu->qmp.stop_cause, "host-qmp-quit") == 0)
		return COMMAND_OK;
	print_end(qemu);
	return COMMAND_FAILED;
}

void run_qemu_end(struct run_qemu *qemu)
{
	pid_t pid = qemu->child.pid;

	if (qemu->runs) {
		run_qemu_kill(qemu);
		loop_child_close(&qemu->child);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		qemu->runs = false;
	}
	/* Killed, QEMU left it there. Without a launch the run under way is another's. */
	if (qemu->launch)
		(void)unlinkat(qemu->launch->directory->fd, VM_AGENT_SOCKET_NAME, 0);
	terminal_guard_end(&qemu->terminal);
}

void run_qemu_init(struct run_qemu *qemu, void (*said)(struct run_qemu *qemu))
{
	*qemu = (struct run_qemu){ .said = said, .qmp_fd = -1 };
	timer_init(&qemu->kill_timer, kill_timer_expired);
	loop_watch_init(&qemu->qmp_watch, qmp_ready);
}

void run_qemu_open(struct run_qemu *qemu, struct loop *loop)
{
	qemu->loop = loop;
}

void run_qemu_done(struct run_qemu *qemu)
{
	if (qemu->loop) {
		timer_clear(loop_timers(qemu->loop), &qemu->kill_timer);
		loop_watch_remove(qemu->loop, &qemu->qmp_watch);
	}
	qmp_done(&qemu->qmp);
	qemu->qmp_fd = fd_close(qemu->qmp_fd);
}
