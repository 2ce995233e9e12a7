#include "cli/run_daemons.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "cli/run_shares.h"
#include "vm/net_attach.h"
#include "vm/qemu_process.h"
#include "vm/share_daemon.h"

/* QEMU's end ends them, too, and may be seen later than theirs: the loop stops with it. */
#define REPORT_WAIT_NS NS_PER_S

static void report_timer_expired(struct timer *timer, uint64_t now_ns)
{
	struct run_daemons *daemons = container_of(timer, struct run_daemons, report_timer);

	(void)now_ns;
	for (size_t i = 0; i < SHARE_MOST; i++) {
		struct run_daemon *daemon = &daemons->daemons[i];
		char end[QEMU_END_TEXT_SIZE];
		if (!daemon->share || daemon->runs || daemon->reported)
			continue;
		daemon->reported = true;
		fprintf(stderr,
			"the directory \"%s\" cannot be reached by the VM any more: its virtiofsd "
			"ended by itself with %s (qemu.log in the VM's folder has its last words)\n",
			daemon->share->tag, qemu_process_end_text(daemon->wait_status, end));
	}
}

static void daemon_ended(struct loop_child *child, int wait_status)
{
	struct run_daemon *daemon = container_of(child, struct run_daemon, child);
	struct run_daemons *all = daemon->all;

	daemon->runs = false;
	daemon->wait_status = wait_status;
	timer_set(loop_timers(all->loop), &all->report_timer, loop_now(all->loop) + REPORT_WAIT_NS);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int spawn(const struct run_daemons_launch *launch, const struct share *share, int listen_fd,
		 pid_t *ret_pid, struct error *err)
{
	struct share_confinement confinement;
	struct share_daemon_args args;

	if (share_daemon_args_build(&launch->shares->daemon, share->path, listen_fd, &args) < 0) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	share_confinement_init(&confinement, share->path, share->read_only);
	const struct qemu_spawn spawn = {
		.what = "virtiofsd",
		.argv = args.argv,
		.directory_fd = launch->directory_fd,
		.log_fd = launch->log_fd,
		.inherited = &listen_fd,
		.inherited_count = 1,
		.signal_mask = launch->signal_mask,
		.confine = share_confinement_enter,
		.confine_context = &confinement,
	};
	int r = qemu_process_start(&spawn, ret_pid, err);
	share_daemon_args_done(&args);
	return r;
}

static int start_one(struct run_daemons *daemons, const struct run_daemons_launch *launch, size_t i,
		     struct error *err)
{
	const struct share *share = &launch->shares->shares[i];
	struct run_daemon *daemon = &daemons->daemons[i];
	autoclose int listen_fd = -1;
	pid_t pid;

	daemon->all = daemons;
	daemon->share = share;
	int r = net_attach_listen(launch->directory_fd, share->socket_name, &listen_fd, err);
	if (r < 0)
		return r;
	r = fd_set_blocking(listen_fd); /* the daemon waits in accept() */
	if (r < 0) {
		error_set(err, "cannot share %s: %s", share->path, strerror(-r));
		return r;
	}
	r = spawn(launch, share, listen_fd, &pid, err);
	if (r < 0)
		return r;
	r = loop_child_open(&daemon->child, launch->loop, pid, daemon_ended);
	if (r < 0) {
		error_set(err, "cannot watch virtiofsd: %s", strerror(-r));
		kill(pid, SIGKILL); /* not reaped, so the number is still its own */
		reap(pid);
		return r;
	}
	daemon->runs = true;
	return 0;
}

int run_daemons_start(struct run_daemons *daemons, const struct run_daemons_launch *launch,
		      struct error *err)
{
	int r = 0;

	daemons->loop = launch->loop;
	daemons->directory_fd = launch->directory_fd;
	timer_init(&daemons->report_timer, report_timer_expired);
	for (size_t i = 0; r == 0 && i < launch->shares->count; i++) {
		if (launch->shares->shares[i].transport == SHARE_VIRTIOFS)
			r = start_one(daemons, launch, i, err);
	}
	return r;
}

void run_daemons_end(struct run_daemons *daemons)
{
	if (!daemons->loop)
		return;
	timer_clear(loop_timers(daemons->loop), &daemons->report_timer);
	for (size_t i = 0; i < SHARE_MOST; i++) {
		struct run_daemon *daemon = &daemons->daemons[i];
		if (!daemon->share)
			continue;
		if (daemon->runs) {
			pid_t pid = daemon->child.pid;
			(void)loop_child_kill(&daemon->child, SIGKILL); /* may be gone */
			loop_child_close(&daemon->child);
			reap(pid);
		}
		(void)unlinkat(daemons->directory_fd, daemon->share->socket_name, 0);
	}
	daemons->loop = NULL;
}
