/* A vhost-user port of a whole network: whatever its front end does, the other port goes on. */
#include "network_guest.h"

#include "vhost_front_end.h"

#define QUEUE_SIZE 256
#define FEATURES   (VHOST_FEATURES & ~VHOST_F_LOG_ALL)

struct ended {
	vmnet_port_t port;
	char reason[160];
};

/* On the network's thread: into a socket whose other end the test polls. */
static void tell_end(void *context, vmnet_port_t port, const char *error)
{
	struct ended ended = { .port = port };

	(void)snprintf(ended.reason, sizeof(ended.reason), "%s", error);
	if (send(*(const int *)context, &ended, sizeof(ended), MSG_NOSIGNAL) != sizeof(ended))
		abort();
}

static int ends[2];

static vmnet_port_t attach_front_end(vmnet_network_ref network, struct vhost_front_end *front,
				     bool sealed, bool allow_unsealed)
{
	const struct vmnet_port_options options = {
		.closed = tell_end,
		.context = &ends[1],
		.allow_unsealed_memory = allow_unsealed,
	};
	vmnet_port_t port;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	vhost_front_end_init(front, fds[1], QUEUE_SIZE, sealed);
	assert_int_equal(vmnet_network_attach_vhost_user_fd(network, fds[0], &options, &port, NULL),
			 VMNET_SUCCESS);
	return port;
}

static void expect_end(vmnet_port_t port, const char *part)
{
	struct ended ended;

	await_readable(ends[0]);
	assert_int_equal(recv(ends[0], &ended, sizeof(ended), 0), sizeof(ended));
	assert_int_equal(ended.port, port);
	if (!strstr(ended.reason, part))
		fail_msg("\"%s\" does not contain \"%s\"", ended.reason, part);
}

enum wrong {
	WRONG_REQUEST,
	WRONG_REGIONS,
	WRONG_RING,
	WRONG_LOOP,
	WRONG_UNSEALED,
	WRONG_CALL,
	WRONG_NOTHING, /* it only leaves */
	WRONG_COUNT,
};

/* The eventfd of its calls is full and blocks, though it did neither when the network was given it. */
static void block_call(struct vhost_front_end *front)
{
	const struct vhost_message question = { .request = VHOST_GET_FEATURES };
	const uint64_t most = UINT64_MAX - 1;
	uint64_t features;

	assert_true(vhost_front_end_send(front, &question, NULL, 0));
	await_readable(front->fd);
	assert_true(vhost_front_end_reply(front, VHOST_GET_FEATURES, &features));
	(void)vhost_front_end_called(front, 1);
	assert_int_equal(write(front->call_fds[1], &most, sizeof(most)), sizeof(most));
	assert_int_equal(fcntl(front->call_fds[1], F_SETFL, 0), 0);
	/* Shorter than its header: dropped, and used, which is called about. */
	vhost_guest_describe(front->guest.queues[1].descriptors, 0, VHOST_GUEST_BUFFERS, 11, 0, 0);
	vhost_guest_offer(&front->guest.queues[1], 0);
	vhost_front_end_kick(front, 1);
}

static const char *misbehave(struct vhost_front_end *front, enum wrong wrong)
{
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE, .memory.count = 2 };
	const int fds[2] = { front->guest.memory_fd, front->guest.memory_fd };

	if (wrong != WRONG_UNSEALED)
		vhost_front_end_start(front, FEATURES, VHOST_PROTOCOL_FEATURES);
	switch (wrong) {
	case WRONG_REQUEST:
		assert_true(vhost_front_end_set_state(front, VHOST_SET_VRING_NUM, 7, 8));
		return "SET_VRING_NUM";
	case WRONG_REGIONS:
		vhost_guest_regions(&front->guest, message.memory.regions);
		message.memory.regions[1].guest_address = 4096;
		assert_true(vhost_front_end_send(front, &message, fds, 2));
		return "overlap";
	case WRONG_RING:
		vhost_guest_set_available(&front->guest.queues[1], QUEUE_SIZE + 1);
		vhost_front_end_kick(front, 1);
		return "transmit ring";
	case WRONG_LOOP:
		vhost_guest_describe(front->guest.queues[1].descriptors, 0, 0, 1, VHOST_NEXT, 0);
		vhost_guest_offer(&front->guest.queues[1], 0);
		vhost_front_end_kick(front, 1);
		return "transmit ring";
	case WRONG_UNSEALED:
		assert_true(vhost_front_end_set_memory(front));
		return "F_SEAL_SHRINK";
	case WRONG_CALL:
		block_call(front);
		return "block";
	case WRONG_NOTHING:
	case WRONG_COUNT:
		break;
	}
	(void)close(front->fd);
	front->fd = -1;
	return "";
}

static void test_a_hostile_port_costs_itself(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("hostile");
	struct guest_dhcp offer;
	struct guest neighbour;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	vmnet_network_ref network = create(config);
	guest_attach(&neighbour, network, 1);
	guest_configure(&neighbour, &offer);
	for (enum wrong wrong = WRONG_REQUEST; wrong < WRONG_COUNT; wrong++) {
		struct vmnet_statistics statistics;
		struct vhost_front_end front;
		vmnet_port_t port =
			attach_front_end(network, &front, wrong != WRONG_UNSEALED, false);

		expect_end(port, misbehave(&front, wrong));
		assert_int_equal(vmnet_network_detach(network, port), VMNET_INVALID_ARGUMENT);
		if (front.fd >= 0)
			(void)close(front.fd);
		vhost_front_end_done(&front);
		vmnet_network_get_statistics(network, &statistics);
		assert_int_equal(statistics.ports, 1);
		guest_ask_gateway(&neighbour); /* and it answers */
	}
	vmnet_network_release(network);
	(void)close(neighbour.fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* The opt-in of the options reaches the attachment, and the port lives until it is detached. */
static void test_unsealed_memory_of_a_trusted_front_end(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("trusted");
	struct vhost_front_end front;
	uint64_t base;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	vmnet_network_ref network = create(config);
	vmnet_port_t port = attach_front_end(network, &front, false, true);
	vhost_front_end_start(&front, FEATURES, VHOST_PROTOCOL_FEATURES);
	assert_true(vhost_front_end_set_state(&front, VHOST_GET_VRING_BASE, 1, 0));
	await_readable(front.fd);
	assert_true(vhost_front_end_reply(&front, VHOST_GET_VRING_BASE, &base));
	assert_int_equal(vmnet_network_detach(network, port), VMNET_SUCCESS);
	await_readable(front.fd); /* the end */
	assert_int_equal(recv(front.fd, &base, sizeof(base), 0), 0);
	(void)close(front.fd);
	vhost_front_end_done(&front);
	vmnet_network_release(network);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_refused_descriptor(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("refused");
	struct vmnet_error error = {};
	int fds[2];

	(void)state;
	vmnet_network_ref network = create(config);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_attach_vhost_user_fd(network, fds[0], NULL, NULL, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_string_not_equal(error.text, "");
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	vmnet_network_release(network);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_hostile_port_costs_itself),
		cmocka_unit_test(test_unsealed_memory_of_a_trusted_front_end),
		cmocka_unit_test(test_refused_descriptor),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
