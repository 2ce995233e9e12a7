#include "cli/run_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "cli/run_guest.h"
#include "vm/vm_directory.h"

/* What the network was handed, and how it calls back. */
static struct {
	int stream_fd;
	int vhost_fd;
	struct vmnet_port_options options;
	vmnet_return_t refusal;
} network;

static vmnet_return_t attach_to_fake(int *kept_fd, int fd, const struct vmnet_port_options *options,
				     vmnet_port_t *port, struct vmnet_error *error)
{
	if (network.refusal != VMNET_SUCCESS) {
		snprintf(error->text, sizeof(error->text), "no port is free");
		return network.refusal;
	}
	*kept_fd = fd;
	network.options = *options;
	*port = 1;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_attach_stream_fd(vmnet_network_ref ref, int fd,
					      const struct vmnet_port_options *options,
					      vmnet_port_t *port, struct vmnet_error *error)
{
	(void)ref;
	return attach_to_fake(&network.stream_fd, fd, options, port, error);
}

vmnet_return_t vmnet_network_attach_vhost_user_fd(vmnet_network_ref ref, int fd,
						  const struct vmnet_port_options *options,
						  vmnet_port_t *port, struct vmnet_error *error)
{
	(void)ref;
	return attach_to_fake(&network.vhost_fd, fd, options, port, error);
}

struct rig {
	struct loop *loop;
	struct run_attach attach;
	struct vm_directory directory;
	struct run_guest_launch launch;
	char path[64];
	int lost;
	int fd; /* QEMU's */
	struct error err;
};

static void lost(struct run_attach *attach)
{
	container_of(attach, struct rig, attach)->lost++;
}

static void rig_open(struct rig *rig, enum net_attach how)
{
	memset(&network, 0, sizeof(network));
	network.stream_fd = -1;
	network.vhost_fd = -1;
	network.refusal = VMNET_SUCCESS;
	*rig = (struct rig){ .fd = -1, .path = "/tmp/run-attach-XXXXXX" };
	assert_non_null(mkdtemp(rig->path));
	rig->directory.fd = open(rig->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(rig->directory.fd >= 0);
	rig->launch = (struct run_guest_launch){ .directory = &rig->directory, .net.attach = how };
	assert_int_equal(loop_new(&clock_boottime, &rig->loop), 0);
	run_attach_init(&rig->attach, lost);
	assert_int_equal(run_attach_open(&rig->attach, rig->loop), 0);
}

static bool has_socket(const struct rig *rig)
{
	struct stat status;

	return fstatat(rig->directory.fd, RUN_ATTACH_SOCKET_NAME, &status, 0) == 0;
}

static void rig_close(struct rig *rig)
{
	run_attach_done(&rig->attach);
	assert_false(has_socket(rig));
	loop_free(rig->loop);
	fd_close(rig->fd);
	fd_close(network.stream_fd);
	fd_close(network.vhost_fd);
	fd_close(rig->directory.fd);
	assert_int_equal(rmdir(rig->path), 0);
}

static void turn(struct rig *rig)
{
	assert_int_equal(loop_run_once(rig->loop, 0), 0);
}

static int connect_to(const struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", rig->path,
		 RUN_ATTACH_SOCKET_NAME);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_stream(void **state)
{
	struct rig rig;
	char byte = 0;

	(void)state;
	rig_open(&rig, NET_ATTACH_STREAM);
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), 0);
	assert_int_equal(write(rig.fd, "x", 1), 1);
	assert_int_equal(read(network.stream_fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_false(has_socket(&rig));
	rig_close(&rig);
}

static void test_stream_refused(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NET_ATTACH_STREAM);
	network.refusal = VMNET_FAILURE;
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), -EIO);
	assert_string_equal(rig.err.text, "cannot attach to the network: no port is free");
	assert_int_equal(rig.fd, -1);
	rig_close(&rig);
}

/* The first to connect is QEMU; then nobody can any more. */
static void test_vhost_user(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NET_ATTACH_VHOST_USER);
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), 0);
	assert_int_equal(rig.fd, -1);
	rig.fd = connect_to(&rig);
	turn(&rig);
	assert_true(network.vhost_fd >= 0);
	assert_false(has_socket(&rig));
	assert_int_equal(rig.lost, 0);
	assert_false(run_attach_failed(&rig.attach));
	rig_close(&rig);
}

static void test_vhost_user_refused(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NET_ATTACH_VHOST_USER);
	network.refusal = VMNET_FAILURE;
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), 0);
	rig.fd = connect_to(&rig);
	turn(&rig);
	assert_true(run_attach_failed(&rig.attach));
	turn(&rig);
	assert_int_equal(rig.lost, 1);
	rig_close(&rig);
}

static void test_never_connected(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NET_ATTACH_VHOST_USER);
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), 0);
	assert_true(has_socket(&rig));
	rig_close(&rig);
}

/* An end without an error is QEMU's own; one with an error is told once, and known before that. */
static void test_lost(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NET_ATTACH_STREAM);
	assert_int_equal(run_attach_begin(&rig.attach, &rig.launch, &rig.fd, &rig.err), 0);
	network.options.closed(network.options.context, 1, "");
	turn(&rig);
	assert_int_equal(rig.lost, 0);
	assert_false(run_attach_failed(&rig.attach));
	network.options.closed(network.options.context, 1, "a frame of 4 GB");
	assert_true(run_attach_failed(&rig.attach));
	assert_int_equal(rig.lost, 0);
	turn(&rig);
	turn(&rig);
	assert_int_equal(rig.lost, 1);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),		cmocka_unit_test(test_stream_refused),
		cmocka_unit_test(test_vhost_user),	cmocka_unit_test(test_vhost_user_refused),
		cmocka_unit_test(test_never_connected), cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
