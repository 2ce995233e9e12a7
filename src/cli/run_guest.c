#include "cli/run_guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/run_attach.h"
#include "cli/run_daemons.h"
#include "cli/run_qemu.h"
#include "cli/run_sidecar.h"
#include "cli/run_signals.h"
#include "cli/run_suspend.h"
#include "loop/loop.h"
#include "vm/vm_directory.h"
#include "vm/vnc_server.h"

struct run_guest {
	struct run_guest_launch launch;
	struct loop *loop;
	struct run_signals signals;
	struct run_attach attach;
	struct run_qemu qemu;
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
};

static void end_in_order(struct run_guest *guest)
{
	guest->stopping = true;
	run_qemu_end_in_order(&guest->qemu);
}

static void guest_stop(struct run_guest *guest)
{
	if (guest->stopping) {
		run_qemu_kill(&guest->qemu); /* asked twice */
		return;
	}
	puts("Stopping VM...");
	run_suspend_abandon(&guest->suspend);
	end_in_order(guest);
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
			end_in_order(guest);
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
			end_in_order(guest);
		break;
	}
}

static void suspend_if_asked(struct run_guest *guest)
{
	if (!guest->started || !guest->suspend_asked || guest->stopping)
		return;
	guest->suspend_asked = false;
	suspend_event(guest, run_suspend_save(&guest->suspend, &guest->qemu.qmp));
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
	struct run_guest *guest = container_of(signals, struct run_guest, signals.signals);

	switch (signal_number) {
	case SIGUSR1:
		guest->suspend_asked = true;
		suspend_if_asked(guest);
		break;
	case SIGUSR2:
		(void)!qmp_power_down(
			&guest->qemu.qmp); /* a guest not up yet has no power button */
		break;
	default:
		stop_received(guest);
		break;
	}
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
		run_suspend_resume(&guest->suspend, &guest->qemu.qmp);
	else
		guest_is_started(guest);
}

static void qemu_is_ready(struct run_guest *guest)
{
	struct error err = { .text = "" };

	if (!guest->launch.display.vnc)
		start_guest(guest);
	else if (vnc_server_begin(&guest->vnc, &guest->qemu.qmp, &random_system, &err) < 0)
		give_up(guest, &err);
}

static void qemu_answered(struct qmp *qmp, const char *id, const json_t *result, const char *error)
{
	struct run_guest *guest = container_of(qmp, struct run_guest, qemu.qmp);
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
	qmp_read(&guest->qemu.qmp);
	if (guest->qemu.qmp.state == QMP_READY && !guest->ready) {
		guest->ready = true;
		qemu_is_ready(guest);
	}
	suspend_event(guest, run_suspend_advance(&guest->suspend, &guest->qemu.qmp));
	suspend_if_asked(guest);
}

static void qemu_said(struct run_qemu *qemu)
{
	read_qmp(container_of(qemu, struct run_guest, qemu));
}

/* The VM has no network any more: it is stopped. */
static void network_lost(struct run_attach *attach)
{
	struct run_guest *guest = container_of(attach, struct run_guest, attach);

	if (!guest->stopping)
		guest_stop(guest);
}

/* The process that had the network is gone. */
static void sidecar_lost(void *context)
{
	struct run_guest *guest = context;

	if (guest->stopping)
		return;
	fprintf(stderr, "Softnet process terminated prematurely\n");
	guest->failed = true;
	guest_stop(guest);
}

static int set_up(struct run_guest *guest)
{
	int r = loop_new(&clock_boottime, &guest->loop);
	if (r < 0)
		return r;
	run_qemu_open(&guest->qemu, guest->loop);
	r = run_attach_open(&guest->attach, guest->loop);
	if (r == 0)
		r = run_signals_open(&guest->signals, guest->loop, signal_received);
	return r;
}

int run_guest_new(struct run_guest **ret_guest, struct error *err)
{
	struct run_guest *guest = calloc(1, sizeof(*guest));
	if (!guest) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	guest->signals.stop_fd = -1;
	run_suspend_init(&guest->suspend);
	run_qemu_init(&guest->qemu, qemu_said);
	run_attach_init(&guest->attach, network_lost);
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
	return run_signals_stop_fd(&guest->signals);
}

const sigset_t *run_guest_child_mask(const struct run_guest *guest)
{
	return &guest->signals.signals.previous_mask;
}

bool run_guest_stop_is_asked(const struct run_guest *guest)
{
	return run_signals_stop_is_asked(&guest->signals);
}

static int attach_network(struct run_guest *guest, int *ret_fd, struct error *err)
{
	struct run_sidecar *sidecar = guest->launch.sidecar;

	if (!sidecar)
		return run_attach_begin(&guest->attach, &guest->launch, ret_fd, err);
	return run_sidecar_watch(sidecar, guest->loop, sidecar_lost, guest, ret_fd, err);
}

int run_guest_start(struct run_guest *guest, const struct run_guest_launch *launch,
		    struct error *err)
{
	autoclose int net_fd = -1;
	autoclose int qmp_fd = -1;

	guest->launch = *launch;
	int r = attach_network(guest, &net_fd, err);
	if (r == 0)
		r = run_qemu_open_qmp(&guest->qemu, &qmp_fd, err);
	guest->qemu.qmp.answered = qemu_answered;
	const struct run_daemons_launch daemons = {
		.loop = guest->loop,
		.shares = launch->shares,
		.directory_fd = launch->directory->fd,
		.log_fd = launch->log_fd,
		.signal_mask = &guest->signals.signals.previous_mask,
	};
	if (r == 0)
		r = run_daemons_start(&guest->daemons, &daemons, err);
	const struct run_qemu_start start = {
		.launch = &guest->launch,
		.suspend = &guest->suspend,
		.net_fd = net_fd,
		.qmp_fd = qmp_fd,
		.signal_mask = &guest->signals.signals.previous_mask,
	};
	if (r == 0)
		r = run_qemu_start(&guest->qemu, &start, err);
	return r;
}

static int outcome(struct run_guest *guest)
{
	if (guest->suspended) {
		printf("VM \"%s\" is suspended: it goes on from here at the next `tartlet run'\n",
		       guest->launch.directory->name);
		return COMMAND_OK;
	}
	if (guest->failed || run_attach_failed(&guest->attach))
		return COMMAND_FAILED;
	/* A signal that came together with the end of QEMU: at shutdown the system sends both. */
	if (guest->stopping || run_guest_stop_is_asked(guest))
		return COMMAND_OK;
	return run_qemu_outcome(&guest->qemu);
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

struct run_guest *run_guest_free(struct run_guest *guest)
{
	if (!guest)
		return NULL;
	run_qemu_end(&guest->qemu);
	run_daemons_end(&guest->daemons);
	run_suspend_done(&guest->suspend);
	run_qemu_done(&guest->qemu);
	run_attach_done(&guest->attach);
	if (guest->launch.sidecar)
		run_sidecar_unwatch(guest->launch.sidecar);
	run_signals_close(&guest->signals);
	loop_free(guest->loop);
	free(guest);
	return NULL;
}
