/*
 * Two processes: the keeper, whom others know, and the engine, its child. The engine, in this order: signals; the
 * network, with all that needs a file or a right; the sandbox, half of it before there is a second thread; and only
 * then the VM, whose bytes nobody has looked at before.
 */
#include "sidecar/softnet.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "sidecar/control_channel.h"
#include "sidecar/policy_rpc.h"
#include "sidecar/sandbox.h"
#include "sidecar/softnet_keeper.h"
#include "sidecar/softnet_network.h"

#ifndef SO_PASSRIGHTS /* Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

struct softnet {
	const struct softnet_options *options;
	const struct softnet_hooks *hooks;
	struct sandbox sandbox;
	int keeper_fd;
	struct loop *loop;
	struct loop_signals signals;
	struct loop_watch left_watch;
	struct loop_watch connect_watch; /* the one VM has not come yet */
	vmnet_network_ref network;
	struct policy_rpc rpc;
	struct control_channel *channel;
	int left_fd; /* eventfd: the VM has left, or was thrown out */
	pthread_mutex_t left_mutex;
	char left_error[sizeof(struct vmnet_error)]; /* under the mutex; "" = it left */
};

static void signal_received(struct loop_signals *signals, int signal_number)
{
	struct softnet *softnet = container_of(signals, struct softnet, signals);

	(void)signal_number;
	loop_stop(softnet->loop);
}

/* On the network's thread. */
static void port_closed(void *context, vmnet_port_t port, const char *error)
{
	struct softnet *softnet = context;
	const uint64_t one = 1;

	(void)port;
	pthread_mutex_lock(&softnet->left_mutex);
	snprintf(softnet->left_error, sizeof(softnet->left_error), "%s", error ? error : "");
	pthread_mutex_unlock(&softnet->left_mutex);
	(void)!write(softnet->left_fd, &one, sizeof(one)); /* an eventfd that counts one takes it */
}

static void vm_left(struct loop_watch *watch, uint32_t events)
{
	struct softnet *softnet = container_of(watch, struct softnet, left_watch);

	(void)events;
	loop_stop(softnet->loop);
}

static int hand_over(struct softnet *softnet, int vm_fd, struct error *err)
{
	return softnet_network_attach(softnet->options, vm_fd, softnet->network, port_closed,
				      softnet, err);
}

/* The first is the only one: as if it had been handed over connected, its leaving is the end. */
static void vm_connects(struct loop_watch *watch, uint32_t events)
{
	struct softnet *softnet = container_of(watch, struct softnet, connect_watch);
	struct error err = { .text = "" };

	(void)events;
	/* cppcheck-suppress nullPointer ; accept() without an address */
	int fd = accept4(softnet->options->vm_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	if (fd < 0)
		error_set(&err, "cannot accept the VM's connection: %s", strerror(errno));
	loop_watch_remove(softnet->loop, watch);
	(void)fd_close(softnet->options->vm_fd);
	if (fd >= 0 && hand_over(softnet, fd, &err) == 0)
		return;
	(void)fd_close(fd);
	port_closed(softnet, 0, err.text);
}

static char *channel_answer(void *context, const char *line, size_t size)
{
	struct softnet *softnet = context;

	return policy_rpc_answer(&softnet->rpc, line, size);
}

static char *channel_too_long(void *context)
{
	(void)context;
	return policy_rpc_too_long();
}

/* The last rules stay. */
static void channel_closed(void *context)
{
	struct softnet *softnet = context;

	softnet->channel = control_channel_free(softnet->channel);
}

static int open_loop(struct softnet *softnet, struct error *err)
{
	sigset_t wanted;

	loop_signals_of_end(&wanted);
	loop_watch_init(&softnet->left_watch, vm_left);
	loop_watch_init(&softnet->connect_watch, vm_connects);
	softnet->left_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = softnet->left_fd < 0 ? -errno : loop_new(&clock_boottime, &softnet->loop);
	if (r == 0)
		r = loop_signals_open(&softnet->signals, softnet->loop, &wanted, signal_received);
	if (r == 0)
		r = loop_watch_add(softnet->loop, &softnet->left_watch, softnet->left_fd, EPOLLIN);
	if (r < 0)
		error_set(err, "cannot make the event loop: %s", strerror(-r));
	return r;
}

/* Called by the library, when all is open and there is one thread. */
static int enter_sandbox(void *context, char text[512])
{
	struct softnet *softnet = context;
	struct error err = { .text = "" };

	int r = sandbox_enter(&softnet->sandbox, &err);
	snprintf(text, 512, "%s", err.text);
	return r;
}

static int lock_sandbox(struct softnet *softnet, struct error *err)
{
	int r = sandbox_lock(&softnet->sandbox, err);

	for (size_t i = 0; r == 0 && sandbox_missing(&softnet->sandbox, i); i++)
		fprintf(stderr, "%s\n", sandbox_missing(&softnet->sandbox, i));
	return r;
}

/*
 * A descriptor that nobody takes from its message is closed by who reads that: by the network's thread, for as long as a
 * socket that lingers likes. So none may be sent. An older kernel does not know the option: there the keeper ends what
 * hangs. What is no unix socket carries none, and is judged where it is attached.
 */
static void refuse_descriptors(int fd)
{
	const int passes = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &passes, sizeof(passes));
}

/* While it may: the sandbox has other options of sockets. */
static void restrict_sockets(const struct softnet_options *options)
{
	if (options->attach != SOFTNET_ATTACH_VHOST_USER) /* which shares memory by them */
		refuse_descriptors(options->vm_fd); /* one that connects to it inherits that */
	if (options->control_fd >= 0)
		refuse_descriptors(options->control_fd);
}

static int open_channel(struct softnet *softnet, struct error *err)
{
	const struct control_channel_ops ops = { .answer = channel_answer,
						 .too_long = channel_too_long,
						 .closed = channel_closed,
						 .context = softnet };

	if (softnet->options->control_fd < 0)
		return 0;
	softnet->rpc.network = softnet->network;
	int r = control_channel_new(softnet->loop, softnet->options->control_fd, &ops,
				    &softnet->channel);
	if (r < 0)
		error_set(err, "cannot use descriptor %d as control channel: %s",
			  softnet->options->control_fd, strerror(-r));
	return r;
}

static int attach_vm(struct softnet *softnet, struct error *err)
{
	int fd = softnet->options->vm_fd;
	int listening = 0;
	socklen_t size = sizeof(listening);

	if (!softnet->options->once ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
		return hand_over(softnet, fd, err);
	int r = fd_set_nonblocking(fd);
	if (r == 0)
		r = loop_watch_add(softnet->loop, &softnet->connect_watch, fd, EPOLLIN);
	if (r < 0)
		error_set(err, "cannot wait for the VM: %s", strerror(-r));
	return r;
}

static int start(struct softnet *softnet, struct error *err)
{
	const struct softnet_options *options = softnet->options;
	const struct softnet_trust trust = { .informant_fd = softnet->keeper_fd,
					     .before_thread = enter_sandbox,
					     .context = softnet };

	restrict_sockets(options);
	int r = open_loop(softnet, err);
	if (r == 0)
		r = softnet_network_create(options, &trust, &softnet->network, err);
	if (r == 0)
		r = lock_sandbox(softnet, err);
	if (r == 0)
		r = attach_vm(softnet, err);
	if (r == 0)
		r = open_channel(softnet, err);
	if (r == 0 && options->report_fd >= 0)
		r = softnet_network_report(options, softnet->network, err);
	if (r == 0 && softnet->hooks->ready)
		softnet->hooks->ready(softnet->hooks->context);
	return r;
}

static int run(struct softnet *softnet, struct error *err)
{
	int r = loop_run(softnet->loop);

	if (r < 0) {
		error_set(err, "the event loop failed: %s", strerror(-r));
		return r;
	}
	pthread_mutex_lock(&softnet->left_mutex);
	error_set(err, "%s", softnet->left_error);
	pthread_mutex_unlock(&softnet->left_mutex);
	return err->text[0] ? -EPROTO : 0;
}

static void finish(struct softnet *softnet)
{
	softnet->channel = control_channel_free(softnet->channel);
	vmnet_network_release(softnet->network);
	if (softnet->loop) {
		loop_watch_remove(softnet->loop, &softnet->left_watch);
		loop_watch_remove(softnet->loop, &softnet->connect_watch);
		loop_signals_close(&softnet->signals);
	}
	softnet->loop = loop_free(softnet->loop);
	softnet->left_fd = fd_close(softnet->left_fd);
	softnet->keeper_fd = fd_close(softnet->keeper_fd);
	pthread_mutex_destroy(&softnet->left_mutex);
}

static int run_engine(struct softnet *softnet)
{
	struct error err = { .text = "" };

	pthread_mutex_init(&softnet->left_mutex, NULL);
	int r = start(softnet, &err);
	if (r == 0)
		r = run(softnet, &err);
	finish(softnet);
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int softnet_run(const struct softnet_options *options, const struct softnet_hooks *hooks)
{
	struct softnet softnet = {
		.options = options, .hooks = hooks, .left_fd = -1, .keeper_fd = -1
	};
	const struct sandbox_options sandbox = { .strict = options->strict,
						 .has_user = options->has_user,
						 .user = options->user,
						 .group = options->group };
	struct error err = { .text = "" };
	sigset_t wanted;
	sigset_t before;

	/* The seed of jansson's tables, while /dev/urandom is there: later it would be the time. */
	json_object_seed(0);
	(void)fd_raise_limit(); /* the library sizes its tables by what there is */
	/* Nobody's until each of the two has its own way with them. */
	loop_signals_of_end(&wanted);
	(void)pthread_sigmask(SIG_BLOCK, &wanted, &before);
	pid_t child = sandbox_fork(&softnet.sandbox, &sandbox, &softnet.keeper_fd, &err);
	if (child < 0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	if (child > 0)
		return softnet_keeper_run(options, child, softnet.keeper_fd, &before);
	return run_engine(&softnet);
}
