#include "cli/run_guest.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/run_daemons.h"
#include "cli/run_disks.h"
#include "cli/run_shares.h"
#include "cli/run_suspend.h"
#include "cli/terminal_guard.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "vm/qemu_args.h"
#include "vm/qemu_log.h"
#include "vm/qemu_process.h"
#include "vm/qmp.h"
#include "vm/systemd_scope.h"
#include "vm/vm_directory.h"
#include "vm/vnc_server.h"

#define STOP_WAIT_NS  (5 * NS_PER_S) /* QEMU writes its disks out; then it is killed */
#define LOG_LINES     10
#define LOG_TEXT_SIZE ((size_t)4096)
/* In the VM's directory, which is QEMU's working directory. */
#define NET_SOCKET_NAME "net.sock"

struct run_guest {
	struct run_guest_launch launch;
	struct loop *loop;
	struct loop_signals signals;
	struct loop_child child;
	struct loop_watch qmp_watch;
	struct loop_watch detached_watch;
	struct loop_watch net_watch; /* vhost-user: QEMU connects */
	struct timer kill_timer;
	struct qmp qmp;
	int qmp_fd;	 /* ours */
	int net_fd;	 /* vhost-user: a listening socket, until QEMU connected */
	int detached_fd; /* eventfd: the network gave up the port */
	int stop_fd;	 /* signalfd, never read: is one pending that asks for the end? */
	pthread_mutex_t detached_mutex;
	char detached_error[sizeof(struct vmnet_error)]; /* under the mutex; "" = none */
	struct terminal_guard terminal;			 /* of a console on it */
	struct vnc_server vnc;
	struct run_daemons daemons;
	struct run_suspend suspend;
	bool ready;	    /* QMP was, once */
	bool started;	    /* the guest runs, or has run */
	bool suspend_asked; /* before it was started */
	bool suspended;	    /* the state is saved */
	bool stop_asked;    /* while it was being saved */
	bool failed;	    /* it was said why */
	bool stopping;
	bool qemu_runs;
	int wait_status;
};

static void end_qemu_in_order(struct run_guest *guest)
{
	guest->stopping = true;
	(void)loop_child_kill(&guest->child, SIGTERM); /* may be gone */
	timer_set(loop_timers(guest->loop), &guest->kill_timer,
		  loop_now(guest->loop) + STOP_WAIT_NS);
}

static void guest_stop(struct run_guest *guest)
{
	if (guest->stopping) {
		(void)loop_child_kill(&guest->child, SIGKILL); /* asked twice; may be gone */
		return;
	}
	puts("Stopping VM...");
	run_suspend_abandon(&guest->suspend);
	end_qemu_in_order(guest);
}

static void guest_is_started(struct run_guest *guest)
{
	guest->started = true;
	guest->launch.started(guest->launch.context);
}

static void suspend_event(struct run_guest *guest, enum run_suspend_event event)
{
	switch (event) {
	case RUN_SUSPEND_NOTHING:
		break;
	case RUN_SUSPEND_SAVED:
		guest->suspended = true;
		if (!guest->stopping)
			end_qemu_in_order(guest);
		break;
	case RUN_SUSPEND_NOT_SAVED:
		if (guest->stop_asked && !guest->stopping)
			guest_stop(guest);
		guest->stop_asked = false;
		break;
	case RUN_SUSPEND_RESUMED:
		guest_is_started(guest);
		break;
	case RUN_SUSPEND_BROKEN:
		guest->failed = true;
		if (!guest->stopping)
			end_qemu_in_order(guest);
		break;
	}
}

static void suspend_if_asked(struct run_guest *guest)
{
	if (!guest->started || !guest->suspend_asked || guest->stopping)
		return;
	guest->suspend_asked = false;
	suspend_event(guest, run_suspend_save(&guest->suspend, &guest->qmp));
}

/* At the end of saving the VM stops anyway: what is nearly saved is not thrown away at once. */
static void stop_received(struct run_guest *guest)
{
	if (guest->suspend.phase != RUN_SUSPEND_SAVING || guest->stop_asked || guest->stopping) {
		guest_stop(guest);
		return;
	}
	guest->stop_asked = true;
	puts("The VM is being saved and then stops; a second signal stops it at once.");
}

static void signal_received(struct loop_signals *signals, int signal_number)
{
	struct run_guest *guest = container_of(signals, struct run_guest, signals);

	switch (signal_number) {
	case SIGUSR1:
		guest->suspend_asked = true;
		suspend_if_asked(guest);
		break;
	case SIGUSR2:
		(void)!qmp_power_down(&guest->qmp); /* a guest not up yet has no power button */
		break;
	default:
		stop_received(guest);
		break;
	}
}

static void kill_timer_expired(struct timer *timer, uint64_t now_ns)
{
	struct run_guest *guest = container_of(timer, struct run_guest, kill_timer);

	(void)now_ns;
	(void)loop_child_kill(&guest->child, SIGKILL); /* may be gone */
}

static void child_ended(struct loop_child *child, int wait_status)
{
	struct run_guest *guest = container_of(child, struct run_guest, child);

	guest->wait_status = wait_status;
	guest->qemu_runs = false;
	terminal_guard_restore(
		&guest->terminal); /* killed, QEMU could not; we are about to print */
	loop_stop(guest->loop);
}

/* What was asked for cannot be had: the VM is not to run without it. */
static void give_up(struct run_guest *guest, const struct error *err)
{
	fprintf(stderr, "%s\n", err->text);
	guest->failed = true;
	if (!guest->stopping)
		guest_stop(guest);
}

/* The machine is there. */
static void start_guest(struct run_guest *guest)
{
	if (guest->launch.saved)
		run_suspend_resume(&guest->suspend, &guest->qmp);
	else
		guest_is_started(guest);
}

static void qemu_is_ready(struct run_guest *guest)
{
	struct error err = { .text = "" };

	if (!guest->launch.display.vnc)
		start_guest(guest);
	else if (vnc_server_begin(&guest->vnc, &guest->qmp, &random_system, &err) < 0)
		give_up(guest, &err);
}

static void qemu_answered(struct qmp *qmp, const char *id, const json_t *result, const char *error)
{
	struct run_guest *guest = container_of(qmp, struct run_guest, qmp);
	struct error err = { .text = "" };
	bool known = guest->vnc.url[0] != 0;

	if (run_suspend_answered(&guest->suspend, id, result, error))
		return;
	if (vnc_server_answered(&guest->vnc, qmp, id, result, error, &err) < 0) {
		give_up(guest, &err);
	} else if (!known && guest->vnc.url[0]) {
		printf("VNC server is running at %s\n", guest->vnc.url);
		start_guest(guest);
	}
}

static void read_qmp(struct run_guest *guest)
{
	qmp_read(&guest->qmp);
	if (guest->qmp.state == QMP_READY && !guest->ready) {
		guest->ready = true;
		qemu_is_ready(guest);
	}
	suspend_event(guest, run_suspend_advance(&guest->suspend, &guest->qmp));
	suspend_if_asked(guest);
}

static void qmp_ready(struct loop_watch *watch, uint32_t events)
{
	struct run_guest *guest = container_of(watch, struct run_guest, qmp_watch);

	(void)events;
	read_qmp(guest);
	if (guest->qmp.state == QMP_CLOSED)
		loop_watch_remove(guest->loop, watch); /* the end of the child tells the rest */
}

/* On the network's thread. */
static void port_closed(void *context, vmnet_port_t port, const char *error)
{
	struct run_guest *guest = context;
	uint64_t one = 1;

	(void)port;
	if (!error[0])
		return; /* QEMU ended: its pidfd tells how */
	pthread_mutex_lock(&guest->detached_mutex);
	snprintf(guest->detached_error, sizeof(guest->detached_error), "%s", error);
	pthread_mutex_unlock(&guest->detached_mutex);
	if (write(guest->detached_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it was told already */
}

/* The VM has no network any more: it is stopped. */
static void port_is_gone(struct loop_watch *watch, uint32_t events)
{
	struct run_guest *guest = container_of(watch, struct run_guest, detached_watch);

	(void)events;
	loop_watch_remove(guest->loop, watch);
	pthread_mutex_lock(&guest->detached_mutex);
	fprintf(stderr,
		"virtual machine's network attachment has been disconnected with error: %s\n",
		guest->detached_error);
	pthread_mutex_unlock(&guest->detached_mutex);
	if (!guest->stopping)
		guest_stop(guest);
}

typedef vmnet_return_t attach_call(vmnet_network_ref network, int fd,
				   const struct vmnet_port_options *options, vmnet_port_t *port,
				   struct vmnet_error *error);

/* Takes the descriptor over, also when it fails. */
static int attach(struct run_guest *guest, int fd, attach_call *call, struct error *err)
{
	const struct vmnet_port_options options = {
		.closed = port_closed,
		.context = guest,
		.tcp_backlog = guest->launch.tcp_backlog,
	};
	struct vmnet_error vmnet_error = { .text = "" };
	vmnet_port_t port;

	vmnet_return_t status = call(guest->launch.network, fd, &options, &port, &vmnet_error);
	if (status == VMNET_SUCCESS)
		return 0;
	error_set(err, "cannot attach to the network: %s",
		  vmnet_error.text[0] ? vmnet_error.text : vmnet_return_name(status));
	fd_close(fd);
	return -EIO;
}

static void stop_listening(struct run_guest *guest)
{
	if (guest->net_fd < 0)
		return;
	loop_watch_remove(guest->loop, &guest->net_watch);
	guest->net_fd = fd_close(guest->net_fd);
	(void)unlinkat(guest->launch.directory->fd, NET_SOCKET_NAME, 0); /* may be gone */
}

/* Once: whoever comes first is the QEMU that we started, for the directory is ours alone. */
static void qemu_connects(struct loop_watch *watch, uint32_t events)
{
	struct run_guest *guest = container_of(watch, struct run_guest, net_watch);
	struct error err = { .text = "" };

	(void)events;
	/* cppcheck-suppress nullPointer ; accept() without an address */
	int fd = accept4(guest->net_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	if (fd < 0)
		error_set(&err, "cannot accept QEMU's connection: %s", strerror(errno));
	else
		(void)attach(guest, fd, vmnet_network_attach_vhost_user_fd, &err);
	stop_listening(guest);
	port_closed(guest, 0, err.text); /* as when it is lost later; nothing without an error */
}

static int open_signals(struct run_guest *guest)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Under nohup the end of the terminal is not the end of the VM. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	/* A shell without job control starts `tartlet run &` with SIGINT ignored, but that is what
	 * `tartlet stop` sends. */
	signal(SIGINT, SIG_DFL);
	guest->stop_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (guest->stop_fd < 0)
		return -errno;
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	return loop_signals_open(&guest->signals, guest->loop, &set, signal_received);
}

static int set_up(struct run_guest *guest)
{
	int r = loop_new(&clock_boottime, &guest->loop);
	if (r < 0)
		return r;
	guest->detached_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guest->detached_fd < 0)
		return -errno;
	r = loop_watch_add(guest->loop, &guest->detached_watch, guest->detached_fd, EPOLLIN);
	if (r == 0)
		r = open_signals(guest);
	return r;
}

int run_guest_new(struct run_guest **ret_guest, struct error *err)
{
	struct run_guest *guest = calloc(1, sizeof(*guest));
	if (!guest) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	guest->qmp_fd = -1;
	guest->net_fd = -1;
	guest->detached_fd = -1;
	guest->stop_fd = -1;
	run_suspend_init(&guest->suspend);
	pthread_mutex_init(&guest->detached_mutex, NULL);
	timer_init(&guest->kill_timer, kill_timer_expired);
	loop_watch_init(&guest->qmp_watch, qmp_ready);
	loop_watch_init(&guest->detached_watch, port_is_gone);
	loop_watch_init(&guest->net_watch, qemu_connects);
	int r = set_up(guest);
	if (r < 0) {
		error_set(err, "cannot set up the event loop: %s", strerror(-r));
		run_guest_free(guest);
		return r;
	}
	*ret_guest = guest;
	return 0;
}

int run_guest_stop_fd(const struct run_guest *guest)
{
	return guest->stop_fd;
}

bool run_guest_stop_is_asked(const struct run_guest *guest)
{
	struct pollfd poll_fd = { .fd = guest->stop_fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) > 0;
}

/* Hands one end of a new pair to the network; *ret_fd is QEMU's. */
static int attach_stream(struct run_guest *guest, int *ret_fd, struct error *err)
{
	int fds[2];

	int r = qemu_process_socket_pair(fds);
	if (r < 0) {
		error_set(err, "cannot make the network's socket: %s", strerror(-r));
		return r;
	}
	r = attach(guest, fds[0], vmnet_network_attach_stream_fd, err);
	if (r < 0) {
		fd_close(fds[1]);
		return r;
	}
	*ret_fd = fds[1];
	return 0;
}

/* QEMU takes no descriptor for vhost-user: it connects to a name, and is attached when it does. */
static int await_qemu(struct run_guest *guest, struct error *err)
{
	int r = net_attach_listen(guest->launch.directory->fd, NET_SOCKET_NAME, &guest->net_fd,
				  err);
	if (r < 0)
		return r;
	r = loop_watch_add(guest->loop, &guest->net_watch, guest->net_fd, EPOLLIN);
	if (r < 0)
		error_set(err, "cannot wait for QEMU: %s", strerror(-r));
	return r;
}

static int open_qmp(struct run_guest *guest, int *ret_fd, struct error *err)
{
	int fds[2];

	int r = qemu_process_socket_pair(fds);
	if (r < 0) {
		error_set(err, "cannot make QEMU's control socket: %s", strerror(-r));
		return r;
	}
	*ret_fd = fds[1];
	guest->qmp_fd = fds[0];
	r = qmp_init(&guest->qmp, fds[0]);
	guest->qmp.answered = qemu_answered;
	if (r == 0)
		r = loop_watch_add(guest->loop, &guest->qmp_watch, fds[0], EPOLLIN);
	if (r < 0)
		error_set(err, "cannot watch QEMU's control socket: %s", strerror(-r));
	return r;
}

static int watch_child(struct run_guest *guest, pid_t pid, struct error *err)
{
	int r = loop_child_open(&guest->child, guest->loop, pid, child_ended);

	if (r < 0) {
		error_set(err, "cannot watch QEMU: %s", strerror(-r));
		kill(pid, SIGKILL); /* not reaped, so the number is still its own */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}

/* So that systemctl and systemd-cgtop show the VM by name; nothing depends on it. */
static void make_scope(const struct run_guest *guest, pid_t pid)
{
	struct systemd_scope_call call = { 0 };

	if (!systemd_scope_available(getenv("XDG_RUNTIME_DIR")) ||
	    systemd_scope_is_own_unit(getenv("SYSTEMD_EXEC_PID"), getpid()))
		return;
	systemd_scope_build(guest->launch.label, pid, &call);
	if (systemd_scope_make(&call) < 0)
		fprintf(stderr, "%s could not be made: the VM runs without it\n", call.unit);
}

static int start_qemu(struct run_guest *guest, int net_fd, int qmp_fd, struct error *err)
{
	const struct run_guest_launch *launch = &guest->launch;
	const struct qemu_launch qemu = {
		.config = launch->config,
		.label = launch->label,
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
		.net_fd = net_fd,
		.net_path = NET_SOCKET_NAME,
		.qmp_fd = qmp_fd,
		.agent_path = VM_AGENT_SOCKET_NAME,
		.incoming = launch->saved != NULL,
	};
	bool on_terminal = launch->serial.kind == SERIAL_STDIO;
	int inherited[3];
	size_t inherited_count = 0;
	struct qemu_args args;
	pid_t pid = -1;

	if (on_terminal) {
		int r = terminal_guard_begin(&guest->terminal, err);
		if (r < 0)
			return r;
	}
	inherited[inherited_count++] = qmp_fd;
	if (net_fd >= 0)
		inherited[inherited_count++] = net_fd;
	if (launch->serial.kind == SERIAL_TERMINAL || launch->serial.kind == SERIAL_OUTPUT)
		inherited[inherited_count++] = launch->serial.fd;
	int r = qemu_args_build(&qemu, &args);
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
		.signal_mask = &guest->signals.previous_mask,
	};
	r = run_suspend_prepare(&guest->suspend, launch, args.argv, err);
	if (r == 0)
		r = qemu_process_start(&spawn, &pid, err);
	qemu_args_done(&args);
	if (r == 0)
		r = watch_child(guest, pid, err);
	if (r < 0)
		return r;
	guest->qemu_runs = true;
	make_scope(guest, pid);
	return 0;
}

int run_guest_start(struct run_guest *guest, const struct run_guest_launch *launch,
		    struct error *err)
{
	autoclose int net_fd = -1;
	autoclose int qmp_fd = -1;

	guest->launch = *launch;
	int r = launch->net.attach == NET_ATTACH_VHOST_USER ? await_qemu(guest, err)
							    : attach_stream(guest, &net_fd, err);
	if (r == 0)
		r = open_qmp(guest, &qmp_fd, err);
	const struct run_daemons_launch daemons = {
		.loop = guest->loop,
		.shares = launch->shares,
		.directory_fd = launch->directory->fd,
		.log_fd = launch->log_fd,
		.signal_mask = &guest->signals.previous_mask,
	};
	if (r == 0)
		r = run_daemons_start(&guest->daemons, &daemons, err);
	if (r == 0)
		r = start_qemu(guest, net_fd, qmp_fd, err);
	return r;
}

static void print_end_of_qemu(const struct run_guest *guest)
{
	char end[QEMU_END_TEXT_SIZE];
	autofree char *log = malloc(LOG_TEXT_SIZE);
	const char *cause = guest->qmp.stop_cause;

	fprintf(stderr, "QEMU of VM \"%s\" ended by itself with %s%s%s%s",
		guest->launch.directory->name, qemu_process_end_text(guest->wait_status, end),
		cause[0] ? " (" : "", cause, cause[0] ? ")" : "");
	if (log && qemu_log_tail(guest->launch.log_fd, LOG_LINES, log, LOG_TEXT_SIZE))
		fprintf(stderr, "; its last words:\n%s\n", log);
	else
		fprintf(stderr, "; it left no message\n");
}

/* The network, and with it the thread that writes the text, is still there when QEMU has ended. */
static bool network_failed(struct run_guest *guest)
{
	pthread_mutex_lock(&guest->detached_mutex);
	bool failed = guest->detached_error[0] != '\0';
	pthread_mutex_unlock(&guest->detached_mutex);
	return failed;
}

static int outcome(struct run_guest *guest)
{
	bool well = WIFEXITED(guest->wait_status) && WEXITSTATUS(guest->wait_status) == 0;

	if (guest->suspended) {
		printf("VM \"%s\" is suspended: it goes on from here at the next `tartlet run'\n",
		       guest->launch.directory->name);
		return COMMAND_OK;
	}
	if (guest->failed || network_failed(guest))
		return COMMAND_FAILED;
	/* A signal that came together with the end of QEMU: at shutdown the system sends both. */
	if (guest->stopping || run_guest_stop_is_asked(guest))
		return COMMAND_OK;
	if (well && guest->qmp.guest_stopped) {
		puts("guest has stopped the virtual machine");
		return COMMAND_OK;
	}
	/* Ctrl-A X on the console, or the window was closed: QEMU takes it as its own `quit`, which we
	 * never send. */
	bool can_quit = guest->launch.serial.kind == SERIAL_STDIO ||
			guest->launch.display.window == DISPLAY_WINDOW_ON;
	if (well && can_quit && strcmp(guest->qmp.stop_cause, "host-qmp-quit") == 0)
		return COMMAND_OK;
	print_end_of_qemu(guest);
	return COMMAND_FAILED;
}

int run_guest_wait(struct run_guest *guest)
{
	int r = loop_run(guest->loop);

	if (r < 0) {
		fprintf(stderr, "the event loop failed: %s\n", strerror(-r));
		return COMMAND_FAILED;
	}
	/* Why it stopped may still be in the socket, and before that, that it had started. */
	read_qmp(guest);
	read_qmp(guest);
	int code = outcome(guest);
	if (guest->launch.saved && !guest->started &&
	    vm_directory_is_suspended(guest->launch.directory))
		printf("VM \"%s\" is suspended as before; `tartlet stop %s' gives its saved state "
		       "up\n",
		       guest->launch.directory->name, guest->launch.directory->name);
	return code;
}

static void end_qemu(struct run_guest *guest)
{
	pid_t pid = guest->child.pid;

	if (guest->qemu_runs) {
		(void)loop_child_kill(&guest->child, SIGKILL); /* may be gone */
		loop_child_close(&guest->child);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	run_daemons_end(&guest->daemons);
	/* Killed, QEMU left it there. Without a launch the run under way is another's. */
	if (guest->launch.directory)
		(void)unlinkat(guest->launch.directory->fd, VM_AGENT_SOCKET_NAME, 0);
	terminal_guard_end(&guest->terminal);
}

struct run_guest *run_guest_free(struct run_guest *guest)
{
	if (!guest)
		return NULL;
	end_qemu(guest);
	run_suspend_done(&guest->suspend);
	if (guest->loop) {
		timer_clear(loop_timers(guest->loop), &guest->kill_timer);
		loop_watch_remove(guest->loop, &guest->qmp_watch);
		loop_watch_remove(guest->loop, &guest->detached_watch);
		stop_listening(guest);
		loop_signals_close(&guest->signals);
	}
	loop_free(guest->loop);
	qmp_done(&guest->qmp);
	fd_close(guest->qmp_fd);
	fd_close(guest->detached_fd);
	fd_close(guest->stop_fd);
	pthread_mutex_destroy(&guest->detached_mutex);
	free(guest);
	return NULL;
}
