/* Connections of the program itself to a guest, who speaks TCP in frames. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "network_guest.h"

#include "wire/tcp.h"

#define PORT	  22
#define GUEST_ISN 1000

/* What `connected` was told, through a pipe. */
struct told {
	vmnet_return_t status;
	int fd;
	char error[256];
};

static void tell(void *context, vmnet_return_t status, int fd, const char *error)
{
	const int *pipe_fd = context;
	struct told told = { .status = status, .fd = fd };

	(void)snprintf(told.error, sizeof(told.error), "%s", error);
	if (write(*pipe_fd, &told, sizeof(told)) != sizeof(told))
		abort(); /* not the test's thread: its asserts cannot be used here */
}

static struct told await_told(int fd)
{
	struct told told;

	await_readable(fd);
	assert_int_equal(read(fd, &told, sizeof(told)), sizeof(told));
	return told;
}

struct fixture {
	vmnet_network_ref network;
	struct guest guest;
	int ends[2]; /* of the pipe */
};

static int setup(void **state)
{
	static struct fixture fixture;
	vmnet_network_configuration_ref config = new_configuration("connect");
	struct guest_dhcp offer;

	reserve(config, 1);
	fixture.network = create(config);
	guest_attach(&fixture.guest, fixture.network, 1);
	guest_configure(&fixture.guest, &offer);
	assert_int_equal(pipe2(fixture.ends, O_CLOEXEC), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	vmnet_network_release(fixture->network);
	(void)close(fixture->guest.fd);
	(void)close(fixture->ends[0]);
	(void)close(fixture->ends[1]);
	return 0;
}

static struct sockaddr_in address_of(const struct fixture *fixture)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(ip_addr_to_v4(&fixture->guest.addr)),
	};
}

static void begin(struct fixture *fixture)
{
	struct sockaddr_in to = address_of(fixture);
	struct vmnet_error error = { .text = "" };

	assert_int_equal(
		vmnet_network_connect(fixture->network, &to, tell, &fixture->ends[1], &error),
		VMNET_SUCCESS);
	assert_string_equal(error.text, "");
}

/* The next segment to the guest's port, with where it came from; the guest answers ARP meanwhile. */
static struct tcp_header await_segment(struct guest *guest, struct ip_endpoint *ret_from,
				       uint8_t *bytes, size_t *ret_size)
{
	struct tcp_header header;
	struct frame frame;

	*ret_size = guest_await_port(guest, PACKET_IP_PROTOCOL_TCP, PORT, &frame, bytes,
				     GUEST_FRAME_SIZE);
	*ret_from = (struct ip_endpoint){ frame.packet.ip_source, frame.packet.port_source };
	struct reader reader = frame_l4_reader(&frame);
	assert_true(tcp_parse(&reader, &header));
	return header;
}

static void send_segment(struct guest *guest, const struct ip_endpoint *to,
			 struct tcp_header header, const char *text)
{
	const struct packet_link link = { .source = guest->mac, .destination = guest->gateway_mac };
	const struct ip_endpoint from = { guest->addr, PORT };
	struct iovec part = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, to, &header, &part, *text ? 1 : 0, 0));
	guest_send(guest, &frame);
}

static void test_accepted(void **state)
{
	struct fixture *fixture = *state;
	struct guest *guest = &fixture->guest;
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct ip_endpoint client;
	struct tcp_header syn;
	struct tcp_header got;
	char text[16];
	size_t size;

	begin(fixture);
	syn = await_segment(guest, &client, bytes, &size);
	assert_int_equal(syn.flags, TCP_SYN);
	assert_true(ip_addr_equal(&client.addr, &guest->gateway));
	struct pollfd not_yet = { .fd = fixture->ends[0], .events = POLLIN };
	assert_int_equal(poll(&not_yet, 1, 0), 0);
	send_segment(guest, &client,
		     (struct tcp_header){ .sequence = GUEST_ISN,
					  .acknowledgement = syn.sequence + 1,
					  .flags = TCP_SYN | TCP_ACK,
					  .window = 8000 },
		     "");
	struct told told = await_told(fixture->ends[0]);
	assert_int_equal(told.status, VMNET_SUCCESS);
	assert_string_equal(told.error, "");
	assert_int_equal(fcntl(told.fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(told.fd, F_GETFD), FD_CLOEXEC);

	/* bytes and the end, there */
	assert_int_equal(send(told.fd, "hello", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(shutdown(told.fd, SHUT_WR), 0);
	bool finished = false;
	size_t heard = 0;
	while (!finished) {
		got = await_segment(guest, &client, bytes, &size);
		if (size > 0)
			assert_memory_equal(bytes, "hello", 5);
		heard += size;
		finished = got.flags & TCP_FIN;
	}
	assert_int_equal(heard, 5);
	/* and back */
	send_segment(guest, &client,
		     (struct tcp_header){ .sequence = GUEST_ISN + 1,
					  .acknowledgement = syn.sequence + 7,
					  .flags = TCP_ACK | TCP_FIN,
					  .window = 8000 },
		     "world");
	assert_int_equal(recv(told.fd, text, sizeof(text), MSG_WAITALL), 5);
	assert_memory_equal(text, "world", 5);
	assert_int_equal(recv(told.fd, text, sizeof(text), 0), 0);
	(void)close(told.fd);
}

static void test_reset_is_no_end(void **state)
{
	struct fixture *fixture = *state;
	struct guest *guest = &fixture->guest;
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct ip_endpoint client;
	char byte;
	size_t size;

	begin(fixture);
	struct tcp_header syn = await_segment(guest, &client, bytes, &size);
	struct tcp_header answer = { .sequence = GUEST_ISN,
				     .acknowledgement = syn.sequence + 1,
				     .flags = TCP_SYN | TCP_ACK,
				     .window = 8000 };
	send_segment(guest, &client, answer, "");
	struct told told = await_told(fixture->ends[0]);
	assert_int_equal(told.status, VMNET_SUCCESS);
	send_segment(guest, &client,
		     (struct tcp_header){ .sequence = GUEST_ISN + 1, .flags = TCP_RST }, "");
	assert_int_equal(recv(told.fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	(void)close(told.fd);

	/* a port that goes is none either */
	begin(fixture);
	syn = await_segment(guest, &client, bytes, &size);
	while (syn.flags != TCP_SYN)
		syn = await_segment(guest, &client, bytes, &size);
	answer.acknowledgement = syn.sequence + 1;
	send_segment(guest, &client, answer, "");
	told = await_told(fixture->ends[0]);
	assert_int_equal(told.status, VMNET_SUCCESS);
	assert_int_equal(vmnet_network_detach(fixture->network, guest->port), VMNET_SUCCESS);
	assert_int_equal(recv(told.fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	(void)close(told.fd);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct guest *guest = &fixture->guest;
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct ip_endpoint client;
	size_t size;

	begin(fixture);
	struct tcp_header syn = await_segment(guest, &client, bytes, &size);
	send_segment(guest, &client,
		     (struct tcp_header){ .acknowledgement = syn.sequence + 1,
					  .flags = TCP_RST | TCP_ACK },
		     "");
	struct told told = await_told(fixture->ends[0]);
	assert_int_equal(told.status, VMNET_FAILURE);
	assert_int_equal(told.fd, -1);
	assert_non_null(strstr(told.error, "refuses connections to its TCP port 22"));
}

/* Also: two at once are two. */
static void test_no_answer(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture);
	begin(fixture);
	for (int i = 0; i < 2; i++) {
		struct told told = await_told(fixture->ends[0]);
		assert_int_equal(told.status, VMNET_FAILURE);
		assert_int_equal(told.fd, -1);
		assert_non_null(strstr(told.error, "does not answer on TCP port 22"));
	}
	assert_int_equal(statistics_of(fixture->network).tcp_flows, 0);
}

static void test_network_ends_meanwhile(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture);
	vmnet_network_release(fixture->network);
	fixture->network = NULL;
	/* told before the release returned */
	struct pollfd told_already = { .fd = fixture->ends[0], .events = POLLIN };
	assert_int_equal(poll(&told_already, 1, 0), 1);
	struct told told = await_told(fixture->ends[0]);
	assert_int_equal(told.status, VMNET_FAILURE);
	assert_string_equal(told.error, "the network ends");
}

static void test_bad_addresses(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_in good = address_of(fixture);
	struct sockaddr_in bad[6] = { good, good, good, good, good, good };

	bad[0].sin_port = 0;
	bad[1].sin_family = AF_INET6;
	bad[2].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bad[3].sin_addr.s_addr = htonl(ip_addr_to_v4(&fixture->guest.gateway));
	bad[4].sin_addr.s_addr = htonl(ip_addr_to_v4(&fixture->guest.network));
	bad[5].sin_addr.s_addr = htonl(ip_addr_to_v4(&fixture->guest.network) + 255);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmnet_error error = { .text = "" };
		assert_int_equal(vmnet_network_connect(fixture->network, &bad[i], tell,
						       &fixture->ends[1], &error),
				 VMNET_INVALID_ARGUMENT);
		assert_string_not_equal(error.text, "");
		assert_int_equal(vmnet_network_connect(fixture->network, &bad[i], tell,
						       &fixture->ends[1], NULL),
				 VMNET_INVALID_ARGUMENT);
	}
	struct pollfd nothing = { .fd = fixture->ends[0], .events = POLLIN };
	assert_int_equal(poll(&nothing, 1, 0), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_accepted),  TEST(test_reset_is_no_end),	 TEST(test_refused),
		TEST(test_no_answer), TEST(test_network_ends_meanwhile), TEST(test_bad_addresses),
	};

	alarm(300);
	return cmocka_run_group_tests_name("connect", tests, make_directory, remove_directory);
}
