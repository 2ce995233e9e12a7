/*
 * Networks come and go from two threads at once, with ports attached and detached meanwhile: under
 * ASan nothing is used after release, released twice or left over, and what a network held is free
 * for the next.
 */

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "network_rig.h"

#include "base/compiler.h"

static void attach_pair(vmnet_network_ref network, int *ret_fd, vmnet_port_t *ret_port)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_attach_stream_fd(network, fds[0], NULL, ret_port, NULL),
			 VMNET_SUCCESS);
	*ret_fd = fds[1];
}

#define ROUNDS 60

static void *come_and_go(void *context)
{
	const char *label = context;

	for (unsigned i = 0; i < ROUNDS; i++) {
		vmnet_network_ref network = create(new_configuration(label));
		vmnet_port_t port;
		int fd;

		attach_pair(network, &fd, &port);
		assert_ptr_equal(vmnet_network_retain(network), network);
		vmnet_network_release(network);
		if (i % 3 == 0) /* the guest leaves by itself, at the same moment */
			(void)close(fd);
		(void)vmnet_network_detach(network, port);
		vmnet_network_release(network);
		if (i % 3 != 0)
			(void)close(fd);
	}
	return NULL;
}

static void test_two_threads_with_networks_of_their_own(void **state)
{
	pthread_t threads[2];
	char labels[2][2] = { "a", "b" };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, labels[i]), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void *share(void *context)
{
	vmnet_network_ref network = context;

	for (unsigned i = 0; i < ROUNDS * 3; i++) {
		struct vmnet_statistics statistics;
		vmnet_port_t port;
		int fd;

		attach_pair(network, &fd, &port);
		vmnet_network_get_statistics(network, &statistics);
		assert_true(statistics.ports >= 1 && statistics.ports <= 2);
		assert_int_equal(vmnet_network_detach(network, port), VMNET_SUCCESS);
		assert_int_equal(vmnet_network_detach(network, port), VMNET_INVALID_ARGUMENT);
		(void)close(fd);
	}
	vmnet_network_release(network);
	return NULL;
}

/* Whoever releases last ends the network, whichever thread that is. */
static void test_two_threads_share_one_network(void **state)
{
	pthread_t threads[2];
	vmnet_network_ref network = create(new_configuration("shared"));

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, share, vmnet_network_retain(network)), 0);
	vmnet_network_release(network);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static size_t count_forwards_of(vmnet_network_ref network, uint16_t port)
{
	struct vmnet_port_forward listed[16];
	size_t count = vmnet_network_get_port_forwards(network, listed, ARRAY_COUNT(listed));
	size_t found = 0;

	assert_in_range(count, 0, ARRAY_COUNT(listed));
	for (size_t i = 0; i < count; i++)
		found += listed[i].external_port == port;
	return found;
}

static void *change_forwards(void *context)
{
	vmnet_network_ref network = context;
	struct vmnet_port_forward wanted = { .protocol = IPPROTO_TCP,
					     .external_family = AF_LOCAL,
					     .internal_port = 22 };

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct vmnet_port_forward bound;
		struct vmnet_error error;

		assert_int_equal(vmnet_network_add_port_forward(network, &wanted, &bound, &error),
				 VMNET_SUCCESS);
		assert_in_range(count_forwards_of(network, bound.external_port), 1, 2);
		bound.external_family = AF_UNSPEC; /* of both families */
		assert_int_equal(vmnet_network_remove_port_forward(network, &bound, &error),
				 VMNET_SUCCESS);
	}
	vmnet_network_release(network);
	return NULL;
}

static void test_two_threads_change_forwards(void **state)
{
	pthread_t threads[2];
	vmnet_network_configuration_ref config = new_configuration("forwards");

	(void)state;
	reserve(config, 1);
	vmnet_network_ref network = create(config);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_forwards,
						vmnet_network_retain(network)),
				 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(vmnet_network_get_port_forwards(network, NULL, 0), 0);
	vmnet_network_release(network);
}

static void test_release_gives_everything_back(void **state)
{
	struct in_addr subnet;
	struct in_addr mask;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		vmnet_network_configuration_ref config = new_configuration("fixed");

		assert_int_equal(inet_pton(AF_INET, "10.77.0.0", &subnet), 1);
		assert_int_equal(inet_pton(AF_INET, "255.255.255.252", &mask), 1);
		assert_int_equal(
			vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask),
			VMNET_SUCCESS);
		vmnet_network_ref network = create(config);
		vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
		assert_int_equal(subnet.s_addr, inet_addr("10.77.0.0"));
		assert_int_equal(mask.s_addr, inet_addr("255.255.255.252"));

		/* while it is held, nobody else gets it, and the sentence names the holder */
		config = new_configuration("second");
		assert_int_equal(
			vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask),
			VMNET_SUCCESS);
		vmnet_return_t status;
		assert_null(vmnet_network_create(config, &status));
		assert_int_equal(status, VMNET_SHARING_SERVICE_BUSY);
		assert_non_null(strstr(vmnet_network_configuration_get_error(config), "fixed"));
		vmnet_network_configuration_release(config);
		vmnet_network_release(network);
	}
}

static void test_taken_port_names_the_holder(void **state)
{
	struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
					      .external_family = AF_UNSPEC,
					      .internal_port = 22 };
	struct vmnet_port_forward bound[4];
	vmnet_network_configuration_ref config = new_configuration("ci-3");
	vmnet_return_t status;
	char sentence[128];

	(void)state;
	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_add_port_forward(config, &forward),
			 VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	size_t count = vmnet_network_get_port_forwards(network, bound, ARRAY_COUNT(bound));
	assert_true(count == 1 || count == 2); /* one family or two */
	assert_true(bound[0].external_port > 0);
	assert_int_equal(bound[0].external_family, AF_INET);

	config = new_configuration("ci-4");
	reserve(config, 2);
	forward.external_port = bound[0].external_port;
	assert_int_equal(vmnet_network_configuration_add_port_forward(config, &forward),
			 VMNET_SUCCESS);
	assert_null(vmnet_network_create(config, &status));
	assert_int_equal(status, VMNET_SHARING_SERVICE_BUSY);
	(void)snprintf(sentence, sizeof(sentence),
		       "TCP port %u on 0.0.0.0 is in use by VM \"ci-3\"", forward.external_port);
	assert_string_equal(vmnet_network_configuration_get_error(config), sentence);
	vmnet_network_release(network);

	/* now it is free, so the very same configuration goes through */
	network = create(config);
	vmnet_network_release(network);
}

static void test_live_forwards(void **state)
{
	struct vmnet_port_forward forward = { .protocol = IPPROTO_UDP,
					      .external_family = AF_LOCAL,
					      .internal_port = 53 };
	struct vmnet_port_forward bound;
	struct vmnet_error error;
	vmnet_network_configuration_ref config = new_configuration("live");
	struct in_addr subnet;
	struct in_addr mask;

	(void)state;
	reserve(config, 1);
	vmnet_network_ref network = create(config);
	vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
	const uint32_t nobody[] = { 0, 1, ~ntohl(mask.s_addr) };
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, &bound, &error),
			 VMNET_SUCCESS);
	assert_int_equal(bound.external_address.v4.s_addr, htonl(INADDR_LOOPBACK));
	assert_true(vmnet_network_get_port_forwards(network, NULL, 0) >= 1);
	forward.external_port = bound.external_port;
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, &bound, &error),
			 VMNET_SHARING_SERVICE_BUSY);
	assert_non_null(strstr(error.text, "is forwarded already"));
	assert_int_equal(vmnet_network_remove_port_forward(network, &forward, &error),
			 VMNET_SUCCESS);
	assert_int_equal(vmnet_network_get_port_forwards(network, NULL, 0), 0);
	assert_int_equal(vmnet_network_remove_port_forward(network, &forward, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_non_null(strstr(error.text, "is not forwarded"));
	/* Nobody can be there: the subnet's ends, the gateway. */
	for (uint32_t i = 0; i < ARRAY_COUNT(nobody); i++) {
		forward.internal_address.s_addr = subnet.s_addr | htonl(nobody[i]);
		assert_int_equal(vmnet_network_add_port_forward(network, &forward, &bound, &error),
				 VMNET_INVALID_ARGUMENT);
		assert_non_null(strstr(error.text, "the address is no guest's in"));
	}
	forward.internal_address.s_addr = 0;
	forward.external_family = AF_INET;
	forward.external_address.v4.s_addr = inet_addr("224.0.0.1");
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, &bound, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_string_equal(error.text,
			    "a forward cannot listen on 224.0.0.1, which is a group address");
	forward.external_family = AF_LOCAL;
	forward.internal_address.s_addr = inet_addr("8.8.8.8");
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, &bound, &error),
			 VMNET_INVALID_ARGUMENT);
	vmnet_network_release(network);
}

static void test_capacity_is_a_named_error(void **state)
{
	struct vmnet_error error;
	vmnet_network_configuration_ref config = new_configuration("one");
	vmnet_port_t port;
	int fd;
	int fds[2];

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_prefix_length(config, 30), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	attach_pair(network, &fd, &port);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_attach_datagram_fd(network, fds[0], NULL, NULL, &error),
			 VMNET_BUFFER_EXHAUSTED);
	assert_string_equal(error.text, "the network has all its 1 ports in use");
	/* the descriptors are still ours, also after a refusal for their kind */
	assert_int_equal(vmnet_network_attach_stream_fd(network, fds[0], NULL, NULL, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_non_null(strstr(error.text, "is not a stream socket"));
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	vmnet_network_release(network);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_threads_with_networks_of_their_own),
		cmocka_unit_test(test_two_threads_share_one_network),
		cmocka_unit_test(test_two_threads_change_forwards),
		cmocka_unit_test(test_release_gives_everything_back),
		cmocka_unit_test(test_taken_port_names_the_holder),
		cmocka_unit_test(test_live_forwards),
		cmocka_unit_test(test_capacity_is_a_named_error),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
