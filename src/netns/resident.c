/*
 * Theory of operation
 *
 * A process that enters namespaces must have one thread, and may not come back; the network has
 * threads, and its sockets belong outside. So there are two processes, parted by a fork before any
 * thread is made. They take turns:
 *
 *     we                                the resident
 *     --                                ------------
 *     fork                          ->  joins the namespace, or makes new ones
 *                                   <-  report
 *     write its id maps             ->  order: go on
 *                                   <-  report with the TAP's descriptor
 *     make the network, attach it
 *     know address and gateway      ->  order: configure
 *                                   <-  report
 *     print what there is           ->  order: execute
 *                                   <-  end of file, by close-on-exec; or a report why not
 *
 * No order, but an end of file: we are gone or gave up, and the resident ends. It is also killed by
 * its parent-death signal, so that the guest's program dies with us whatever happens. The interface
 * is not persistent: it goes with the last descriptor, which is ours.
 *
 * Nothing here needs to be safe between fork and exec: there was one thread, so no lock is held.
 */
#include "netns/resident.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "netns/id_map.h"
#include "netns/namespace.h"
#include "netns/resident_channel.h"
#include "netns/resolv_mount.h"
#include "netns/sysfs_mount.h"
#include "netns/tap_device.h"

/* Every order is one of these; all but "configure" are empty. */
struct order {
	struct link_config config;
	struct ip_addr server;
};

/* The resident's side. */
struct inside {
	const struct resident_plan *plan;
	int socket_fd;
	pid_t parent;
};

static void finish(int code) __attribute__((noreturn));
static void finish(int code)
{
	/* What stdio has buffered is the parent's. */
	_exit(code);
}

/* Tells how it went, and ends when that was a failure or nobody listens. */
static void tell(const struct inside *inside, struct resident_report *report)
{
	if (resident_channel_send_report(inside->socket_fd, report) < 0 || report->status < 0)
		finish(EXIT_FAILURE);
}

static void await_order(const struct inside *inside, struct order *ret_order)
{
	if (resident_channel_receive(inside->socket_fd, ret_order, sizeof(*ret_order)) < 0)
		finish(EXIT_FAILURE);
}

/* Again after each change of the user namespace, which may clear it. */
static int die_with_parent(const struct inside *inside, struct error *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		int r = -errno;
		error_set(err, "cannot bind the program's life to ours: %s", strerror(-r));
		return r;
	}
	/* It may have died before that call: then no signal comes any more. */
	if (getppid() != inside->parent)
		finish(EXIT_FAILURE);
	return 0;
}

static void enter(const struct inside *inside)
{
	struct resident_report report = { .fd = -1 };

	report.status = die_with_parent(inside, &report.error);
	if (report.status == 0)
		report.status = inside->plan->join_fd >= 0
					? namespace_join(inside->plan->join_fd, &report.error)
					: namespace_unshare(&report.error);
	if (report.status == 0)
		report.status = die_with_parent(inside, &report.error);
	tell(inside, &report);
}

static void make_interface(const struct inside *inside)
{
	struct resident_report report = { .fd = -1 };

	report.status = tap_device_open(inside->plan->interface, &report.fd, &report.error);
	tell(inside, &report);
	fd_close(report.fd);
}

/* No failure: few programs look there, and the manual says where they find what was there before. */
static void show_interfaces(struct error *warning)
{
	int r = sysfs_mount_make();
	bool is_refused = r == -EPERM || r == -EACCES; /* by the kernel, or a security module */

	if (r < 0 && !is_refused && r != -ENOENT)
		error_set(warning, "cannot show the interfaces of the namespace in /sys: %s",
			  strerror(-r));
}

static void configure(const struct inside *inside, const struct order *order)
{
	struct resident_report report = { .fd = -1 };

	report.status = link_config_apply(inside->plan->interface, &order->config, &report.error);
	if (report.status == 0 && inside->plan->join_fd < 0) {
		report.status = resolv_mount_make(RESOLV_MOUNT_PATH, &order->server, &report.error);
		/* A warning: a machine without one has programs that do without one. */
		if (report.status == -ENOENT)
			report.status = 0;
	}
	if (report.status == 0 && inside->plan->join_fd < 0)
		show_interfaces(&report.error);
	tell(inside, &report);
}

static void execute(const struct inside *inside) __attribute__((noreturn));
static void execute(const struct inside *inside)
{
	char *const *argv = inside->plan->argv;
	struct resident_report report = { .fd = -1 };

	/* We ignore it; ignored signals would stay so behind exec. */
	signal(SIGPIPE, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, inside->plan->signal_mask, NULL) == 0)
		execvp(argv[0], argv);
	report.status = -errno;
	error_set(&report.error, "cannot run \"%.200s\": %s", argv[0], strerror(-report.status));
	tell(inside, &report);
	finish(EXIT_FAILURE);
}

static void live_inside(const struct inside *inside) __attribute__((noreturn));
static void live_inside(const struct inside *inside)
{
	struct order order;

	enter(inside);
	await_order(inside, &order);
	make_interface(inside);
	await_order(inside, &order);
	configure(inside, &order);
	if (!inside->plan->argv)
		finish(EXIT_SUCCESS);
	await_order(inside, &order);
	execute(inside);
}

/* Our side: one turn. */

static int receive(const struct resident *resident, struct resident_report *report,
		   struct error *err)
{
	int r = resident_channel_receive_report(resident->socket_fd, report);

	if (r < 0) {
		error_set(err, "the process inside the network namespace is gone: %s",
			  strerror(-r));
		return r;
	}
	error_set(err, "%s", report->error.text);
	return report->status;
}

static int order(const struct resident *resident, const struct order *what, struct error *err)
{
	int r = resident_channel_send(resident->socket_fd, what, sizeof(*what));

	if (r < 0)
		error_set(err, "the process inside the network namespace is gone: %s",
			  strerror(-r));
	return r;
}

static int fork_with(const struct resident_plan *plan, int ends[2], pid_t *ret_pid)
{
	struct inside inside = { .plan = plan, .socket_fd = ends[1], .parent = getpid() };
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		fd_close(ends[0]);
		live_inside(&inside);
	}
	*ret_pid = pid;
	return 0;
}

static int fork_resident(const struct resident_plan *plan, struct resident *resident,
			 struct error *err)
{
	int ends[2] = { -1, -1 };

	int r = resident_channel_open(ends);
	if (r == 0)
		r = fork_with(plan, ends, &resident->pid);
	/* Ours alone: its end of file tells that the resident is gone. */
	fd_close(ends[1]);
	if (r < 0) {
		fd_close(ends[0]);
		error_set(err, "cannot start a process for the network namespace: %s",
			  strerror(-r));
		return r;
	}
	resident->socket_fd = ends[0];
	return 0;
}

int resident_start(const struct resident_plan *plan, struct resident *ret_resident,
		   struct error *err)
{
	static const struct order go_on = { 0 };
	struct resident resident = { .socket_fd = -1, .tap_fd = -1 };
	struct resident_report report = { .fd = -1 };

	int r = fork_resident(plan, &resident, err);
	if (r == 0)
		r = receive(&resident, &report, err);
	if (r == 0 && plan->join_fd < 0)
		r = id_map_write(resident.pid, err);
	if (r == 0)
		r = order(&resident, &go_on, err);
	if (r == 0)
		r = receive(&resident, &report, err);
	resident.tap_fd = report.fd;
	if (r == 0 && resident.tap_fd < 0) {
		error_set(err, "the TAP's descriptor was lost (too many open files?)");
		r = -EMFILE;
	}
	if (r < 0) {
		resident_end(&resident);
		return r;
	}
	*ret_resident = resident;
	return 0;
}

int resident_configure(struct resident *resident, const struct link_config *config,
		       const struct ip_addr *server, struct error *err)
{
	const struct order configure_it = { .config = *config, .server = *server };
	struct resident_report report;

	int r = order(resident, &configure_it, err);
	return r < 0 ? r : receive(resident, &report, err);
}

int resident_execute(struct resident *resident, struct error *err)
{
	static const struct order execute_it = { 0 };
	struct resident_report report;

	int r = order(resident, &execute_it, err);
	if (r < 0)
		return r;
	r = resident_channel_receive_report(resident->socket_fd, &report);
	if (r == -EPIPE) {
		resident->socket_fd = fd_close(resident->socket_fd);
		return 0;
	}
	error_set(err, "%s", r == 0 ? report.error.text : strerror(-r));
	return r == 0 ? report.status : r;
}

void resident_end(struct resident *resident)
{
	resident->tap_fd = fd_close(resident->tap_fd);
	resident->socket_fd = fd_close(resident->socket_fd);
	if (resident->pid <= 0)
		return;
	/* Not reaped, so the number is still its own; it may have ended already. */
	(void)kill(resident->pid, SIGKILL);
	while (waitpid(resident->pid, NULL, 0) < 0 && errno == EINTR)
		;
	resident->pid = 0;
}
