#include "cli/netns_guest.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "cli/command.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/signals.h"

struct netns_guest {
	bool has_command;
	struct loop *loop;
	struct loop_signals signals;
	struct loop_child child;
	struct loop_watch detached_watch;
	int detached_fd; /* eventfd: the network gave up the port */
	pthread_mutex_t detached_mutex;
	char detached_error[sizeof(struct vmnet_error)]; /* under the mutex */
	int code;
};

/* A Ctrl-C on a terminal went to every process of the foreground group: the program has it already,
 * unless it left our group. */
static bool has_it_already(const struct netns_guest *guest)
{
	return guest->signals.code == SI_KERNEL && getpgid(guest->child.pid) == getpgrp();
}

static void signal_received(struct loop_signals *signals, int signal_number)
{
	struct netns_guest *guest = container_of(signals, struct netns_guest, signals);

	if (!guest->has_command)
		loop_stop(guest->loop);
	else if (!has_it_already(guest))
		(void)loop_child_kill(&guest->child, signal_number); /* may be gone */
}

static void child_ended(struct loop_child *child, int wait_status)
{
	struct netns_guest *guest = container_of(child, struct netns_guest, child);

	if (WIFEXITED(wait_status))
		guest->code = WEXITSTATUS(wait_status);
	else if (WIFSIGNALED(wait_status))
		guest->code = 128 + WTERMSIG(wait_status);
	else
		guest->code = COMMAND_FAILED;
	loop_stop(guest->loop);
}

/* On the network's thread. */
static void port_closed(void *context, vmnet_port_t port, const char *error)
{
	struct netns_guest *guest = context;
	uint64_t one = 1;

	(void)port;
	pthread_mutex_lock(&guest->detached_mutex);
	snprintf(guest->detached_error, sizeof(guest->detached_error), "%s", error);
	pthread_mutex_unlock(&guest->detached_mutex);
	if (write(guest->detached_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it was told already */
}

/* A program may do without a network; an empty namespace has no other use for us. */
static void port_is_gone(struct loop_watch *watch, uint32_t events)
{
	struct netns_guest *guest = container_of(watch, struct netns_guest, detached_watch);

	(void)events;
	loop_watch_remove(guest->loop, watch);
	pthread_mutex_lock(&guest->detached_mutex);
	fprintf(stderr, "the network namespace has lost its network: %s\n",
		guest->detached_error[0] ? guest->detached_error : "the interface is gone");
	pthread_mutex_unlock(&guest->detached_mutex);
	if (guest->has_command)
		return;
	guest->code = COMMAND_FAILED;
	loop_stop(guest->loop);
}

static int open_signals(struct netns_guest *guest)
{
	static const int for_program[] = { SIGQUIT, SIGUSR1, SIGUSR2 };
	sigset_t set;

	loop_signals_of_end(&set);
	for (size_t i = 0; i < ARRAY_COUNT(for_program) && guest->has_command; i++)
		sigaddset(&set, for_program[i]);
	/* Whoever started us may ignore it; then the kernel would keep no exit code of a child. */
	signal(SIGCHLD, SIG_DFL);
	return loop_signals_open(&guest->signals, guest->loop, &set, signal_received);
}

static int set_up(struct netns_guest *guest)
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

int netns_guest_new(bool has_command, struct netns_guest **ret_guest, struct error *err)
{
	struct netns_guest *guest = calloc(1, sizeof(*guest));

	if (!guest) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	guest->has_command = has_command;
	guest->detached_fd = -1;
	pthread_mutex_init(&guest->detached_mutex, NULL);
	loop_watch_init(&guest->detached_watch, port_is_gone);
	int r = set_up(guest);
	if (r < 0) {
		error_set(err, "cannot set up the event loop: %s", strerror(-r));
		netns_guest_free(guest);
		return r;
	}
	*ret_guest = guest;
	return 0;
}

const sigset_t *netns_guest_signal_mask(const struct netns_guest *guest)
{
	return &guest->signals.previous_mask;
}

int netns_guest_attach(struct netns_guest *guest, vmnet_network_ref network,
		       enum vmnet_tcp_backlog tcp_backlog, int tap_fd, struct error *err)
{
	const struct vmnet_port_options options = {
		.closed = port_closed,
		.context = guest,
		.tcp_backlog = tcp_backlog,
	};
	struct vmnet_error vmnet_error = { .text = "" };
	vmnet_port_t port;

	vmnet_return_t status =
		vmnet_network_attach_tap_fd(network, tap_fd, &options, &port, &vmnet_error);
	if (status == VMNET_SUCCESS)
		return 0;
	error_set(err, "cannot attach to the network: %s",
		  vmnet_error.text[0] ? vmnet_error.text : vmnet_return_name(status));
	return -EIO;
}

int netns_guest_watch(struct netns_guest *guest, pid_t pid, struct error *err)
{
	int r = loop_child_open(&guest->child, guest->loop, pid, child_ended);

	if (r < 0)
		error_set(err, "cannot watch the program: %s", strerror(-r));
	return r;
}

int netns_guest_wait(struct netns_guest *guest)
{
	int r = loop_run(guest->loop);

	if (r < 0) {
		fprintf(stderr, "the event loop failed: %s\n", strerror(-r));
		return COMMAND_FAILED;
	}
	return guest->code;
}

static void end_program(struct netns_guest *guest)
{
	pid_t pid = guest->child.pid;

	if (!guest->child.loop)
		return;
	(void)loop_child_kill(&guest->child, SIGKILL); /* may be gone */
	loop_child_close(&guest->child);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

struct netns_guest *netns_guest_free(struct netns_guest *guest)
{
	if (!guest)
		return NULL;
	end_program(guest);
	if (guest->loop) {
		loop_watch_remove(guest->loop, &guest->detached_watch);
		loop_signals_close(&guest->signals);
	}
	loop_free(guest->loop);
	fd_close(guest->detached_fd);
	pthread_mutex_destroy(&guest->detached_mutex);
	free(guest);
	return NULL;
}
