#include "cli/run_attach.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/run_guest.h"
#include "vm/net_attach.h"
#include "vm/qemu_process.h"
#include "vm/vm_directory.h"

/* On the network's thread. */
static void port_closed(void *context, vmnet_port_t port, const char *error)
{
	struct run_attach *attach = context;
	uint64_t one = 1;

	(void)port;
	if (!error[0])
		return; /* QEMU ended: its pidfd tells how */
	pthread_mutex_lock(&attach->mutex);
	snprintf(attach->error, sizeof(attach->error), "%s", error);
	pthread_mutex_unlock(&attach->mutex);
	if (write(attach->lost_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it was told already */
}

static void port_is_gone(struct loop_watch *watch, uint32_t events)
{
	struct run_attach *attach = container_of(watch, struct run_attach, lost_watch);

	(void)events;
	loop_watch_remove(attach->loop, watch);
	pthread_mutex_lock(&attach->mutex);
	fprintf(stderr,
		"virtual machine's network attachment has been disconnected with error: %s\n",
		attach->error);
	pthread_mutex_unlock(&attach->mutex);
	attach->lost(attach);
}

typedef vmnet_return_t attach_call(vmnet_network_ref network, int fd,
				   const struct vmnet_port_options *options, vmnet_port_t *port,
				   struct vmnet_error *error);

/* Takes the descriptor over, also when it fails. */
static int hand_over(struct run_attach *attach, int fd, attach_call *call, struct error *err)
{
	const struct vmnet_port_options options = {
		.closed = port_closed,
		.context = attach,
		.tcp_backlog = attach->launch->tcp_backlog,
	};
	struct vmnet_error vmnet_error = { .text = "" };
	vmnet_port_t port;

	vmnet_return_t status = call(attach->launch->network, fd, &options, &port, &vmnet_error);
	if (status == VMNET_SUCCESS)
		return 0;
	error_set(err, "cannot attach to the network: %s",
		  vmnet_error.text[0] ? vmnet_error.text : vmnet_return_name(status));
	fd_close(fd);
	return -EIO;
}

static void stop_listening(struct run_attach *attach)
{
	if (attach->listen_fd < 0)
		return;
	loop_watch_remove(attach->loop, &attach->connect_watch);
	attach->listen_fd = fd_close(attach->listen_fd);
	(void)unlinkat(attach->launch->directory->fd, RUN_ATTACH_SOCKET_NAME, 0); /* may be gone */
}

/* Once: whoever comes first is the QEMU that we started, for the directory is ours alone. */
static void qemu_connects(struct loop_watch *watch, uint32_t events)
{
	struct run_attach *attach = container_of(watch, struct run_attach, connect_watch);
	struct error err = { .text = "" };

	(void)events;
	/* cppcheck-suppress nullPointer ; accept() without an address */
	int fd = accept4(attach->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	if (fd < 0)
		error_set(&err, "cannot accept QEMU's connection: %s", strerror(errno));
	else
		(void)hand_over(attach, fd, vmnet_network_attach_vhost_user_fd, &err);
	stop_listening(attach);
	port_closed(attach, 0, err.text); /* as when it is lost later; nothing without an error */
}

/* Hands one end of a new pair to the network; *ret_fd is QEMU's. */
static int attach_stream(struct run_attach *attach, int *ret_fd, struct error *err)
{
	int fds[2];

	int r = qemu_process_socket_pair(fds);
	if (r < 0) {
		error_set(err, "cannot make the network's socket: %s", strerror(-r));
		return r;
	}
	r = hand_over(attach, fds[0], vmnet_network_attach_stream_fd, err);
	if (r < 0) {
		fd_close(fds[1]);
		return r;
	}
	*ret_fd = fds[1];
	return 0;
}

/* QEMU takes no descriptor for vhost-user: it connects to a name, and is attached when it does. */
static int await_qemu(struct run_attach *attach, struct error *err)
{
	int r = net_attach_listen(attach->launch->directory->fd, RUN_ATTACH_SOCKET_NAME,
				  &attach->listen_fd, err);
	if (r < 0)
		return r;
	r = loop_watch_add(attach->loop, &attach->connect_watch, attach->listen_fd, EPOLLIN);
	if (r < 0)
		error_set(err, "cannot wait for QEMU: %s", strerror(-r));
	return r;
}

int run_attach_begin(struct run_attach *attach, const struct run_guest_launch *launch, int *ret_fd,
		     struct error *err)
{
	attach->launch = launch;
	return launch->net.attach == NET_ATTACH_VHOST_USER ? await_qemu(attach, err)
							   : attach_stream(attach, ret_fd, err);
}

/* The network, and with it the thread that writes the text, is still there when QEMU has ended. */
bool run_attach_failed(struct run_attach *attach)
{
	pthread_mutex_lock(&attach->mutex);
	bool failed = attach->error[0] != '\0';
	pthread_mutex_unlock(&attach->mutex);
	return failed;
}

void run_attach_init(struct run_attach *attach, void (*lost)(struct run_attach *attach))
{
	*attach = (struct run_attach){ .lost = lost, .listen_fd = -1, .lost_fd = -1 };
	pthread_mutex_init(&attach->mutex, NULL);
	loop_watch_init(&attach->lost_watch, port_is_gone);
	loop_watch_init(&attach->connect_watch, qemu_connects);
}

int run_attach_open(struct run_attach *attach, struct loop *loop)
{
	attach->loop = loop;
	attach->lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (attach->lost_fd < 0)
		return -errno;
	return loop_watch_add(loop, &attach->lost_watch, attach->lost_fd, EPOLLIN);
}

void run_attach_done(struct run_attach *attach)
{
	if (attach->loop) {
		loop_watch_remove(attach->loop, &attach->lost_watch);
		stop_listening(attach);
	}
	attach->lost_fd = fd_close(attach->lost_fd);
	pthread_mutex_destroy(&attach->mutex);
}
