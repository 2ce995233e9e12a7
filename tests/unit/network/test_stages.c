/*
 * What a configuration says reaches the stage that it is about, and what a network does for its ports
 * reaches every stage: seen by a guest that speaks to a server on the host's loopback.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "network_guest.h"

#include "base/compiler.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

#define MTU	 1900 /* not the default, and still within GUEST_FRAME_SIZE */
#define FIRST	 1000 /* the guest's first sequence number */
#define SEGMENT	 1400
#define METADATA UINT32_C(0xa9fea9fe)

/* --- a server, and a TCP connection of the guest's to it ------------------------------------ */

static struct sockaddr_in loopback(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(addr),
		.sin_port = htons(port),
	};
}

static int bind_socket(int type, uint32_t addr, uint16_t *ret_port)
{
	struct sockaddr_in at = loopback(addr, 0);
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

struct connection {
	struct guest *guest;
	struct ip_endpoint own;
	struct ip_endpoint far;
	uint32_t sequence;	  /* the next to send */
	uint32_t acknowledged;	  /* by the other side */
	uint32_t acknowledgement; /* of ours */
	uint32_t window;
};

static void send_segment(const struct connection *connection, uint8_t flags, size_t size)
{
	static uint8_t bytes[SEGMENT];
	const struct packet_link link = { .source = connection->guest->mac,
					  .destination = connection->guest->gateway_mac };
	const struct tcp_header header = {
		.sequence = connection->sequence,
		.acknowledgement = connection->acknowledgement,
		.flags = flags,
		.window = 65535,
	};
	const struct iovec part = { bytes, size };
	struct frame frame;

	assert_true(size <= sizeof(bytes));
	assert_true(packet_build_tcp(&frame, &link, &connection->own, &connection->far, &header,
				     &part, 1, 0));
	guest_send(connection->guest, &frame);
}

static struct tcp_header await_segment(struct connection *connection)
{
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct tcp_header header;
	struct frame frame;

	(void)guest_await_port(connection->guest, PACKET_IP_PROTOCOL_TCP, connection->own.port,
			       &frame, bytes, sizeof(bytes));
	struct reader reader = frame_l4_reader(&frame);
	assert_true(tcp_parse(&reader, &header));
	connection->window = header.window;
	if (header.flags & TCP_ACK)
		connection->acknowledged = header.acknowledgement;
	return header;
}

/* SYN, and what is said to it. */
static struct tcp_header ask(struct guest *guest, uint16_t own_port, uint32_t addr, uint16_t port,
			     struct connection *ret_connection)
{
	*ret_connection = (struct connection){
		.guest = guest,
		.own = { guest->addr, own_port },
		.far = { ip_addr_from_v4(addr), port },
		.sequence = FIRST,
	};
	send_segment(ret_connection, TCP_SYN, 0);
	return await_segment(ret_connection);
}

/* To a listener of the host by the gateway's address. Returns the server's end. */
static int connect_guest(struct guest *guest, uint16_t own_port, int listener, uint16_t port,
			 struct connection *ret_connection)
{
	struct tcp_header header =
		ask(guest, own_port, ip_addr_to_v4(&guest->gateway), port, ret_connection);

	assert_int_equal(header.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(header.acknowledgement, FIRST + 1);
	ret_connection->sequence++;
	ret_connection->acknowledgement = header.sequence + 1;
	send_segment(ret_connection, TCP_ACK, 0);
	await_readable(listener);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void assert_refused(struct guest *guest, uint16_t own_port, uint32_t addr)
{
	struct connection connection;

	assert_int_equal(ask(guest, own_port, addr, 80, &connection).flags, TCP_RST | TCP_ACK);
}

/* --- networks -------------------------------------------------------------------------------- */

static vmnet_network_configuration_ref open_configuration(const char *label)
{
	vmnet_network_configuration_ref config = new_configuration(label);

	reserve(config, 1);
	assert_int_equal(
		vmnet_network_configuration_set_host_access(config, VMNET_HOST_ACCESS_LOOPBACK),
		VMNET_SUCCESS);
	return config;
}

static void join(struct guest *guest, vmnet_network_ref network)
{
	struct guest_dhcp offer;

	guest_attach(guest, network, 1);
	guest_configure(guest, &offer);
}

static void test_host_access(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("closed");
	struct connection connection;
	struct guest guest;
	uint16_t port;

	(void)state;
	int listener = bind_socket(SOCK_STREAM, INADDR_LOOPBACK, &port);
	assert_int_equal(listen(listener, 1), 0);
	reserve(config, 1);
	vmnet_network_ref network = create(config);
	join(&guest, network);
	struct tcp_header header =
		ask(&guest, 40000, ip_addr_to_v4(&guest.gateway), port, &connection);
	assert_int_equal(header.flags, TCP_RST | TCP_ACK);
	assert_int_equal(drops_of(network, "host_access"), 1);
	assert_refused(&guest, 40001, METADATA);
	assert_int_equal(drops_of(network, "forbidden_destination"), 1);
	vmnet_network_release(network);
	(void)close(guest.fd);

	network = create(open_configuration("open"));
	join(&guest, network);
	(void)close(connect_guest(&guest, 40000, listener, port, &connection));
	vmnet_network_release(network);
	(void)close(guest.fd);
	(void)close(listener);
}

/* The MTU is the same to DHCP, the gateway, the bridge, the port and TCP. */
static void test_mtu(void **state)
{
	vmnet_network_configuration_ref config = open_configuration("mtu");
	static uint8_t data[MTU - 20 - ICMP_HEADER_SIZE];
	const struct iovec part = { data, sizeof(data) };
	const struct icmp_header echo = { .type = ICMP_TYPE_ECHO_REQUEST, .identifier = 7 };
	struct connection connection;
	struct guest_dhcp offer;
	struct dhcp_bytes value;
	struct frame frame;
	struct guest guest;
	uint16_t port;

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_mtu(config, MTU), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_configure(&guest, &offer);
	assert_true(dhcp_find_option(offer.bytes, offer.size, DHCP_OPTION_MTU, &value));
	assert_int_equal(value.size, 2);
	assert_int_equal(value.bytes[0] << 8 | value.bytes[1], MTU);

	/* a ping as long as can be, and its answer, each in one piece */
	const struct packet_link link = { .source = guest.mac, .destination = guest.gateway_mac };
	assert_true(packet_build_icmp(&frame, &link, &guest.addr, &guest.gateway, &echo, &part, 1));
	guest_send(&guest, &frame);
	do {
		guest_receive(&guest, &frame);
	} while (frame.packet.ip_protocol != PACKET_IP_PROTOCOL_ICMP);
	assert_int_equal(frame.packet.icmp_type, ICMP_TYPE_ECHO_REPLY);
	assert_int_equal(frame.packet.ip_total_size, MTU);
	assert_int_equal(statistics_of(network).dropped, 0);

	/* with a VLAN tag's room, and not a byte more */
	assert_true(guest.sent_size + 5 <= sizeof(guest.sent));
	guest_send_bytes(&guest, guest.sent, guest.sent_size + 5);
	guest_ask_gateway(&guest);
	assert_int_equal(drops_of(network, "long_frame"), 1);

	int listener = bind_socket(SOCK_STREAM, INADDR_LOOPBACK, &port);
	assert_int_equal(listen(listener, 1), 0);
	struct tcp_header header =
		ask(&guest, 40000, ip_addr_to_v4(&guest.gateway), port, &connection);
	assert_true(header.has_mss);
	assert_int_equal(header.mss, MTU - 40);
	vmnet_network_release(network);
	(void)close(guest.fd);
	(void)close(listener);
}

/* An address that a live network of somebody else holds is not reached from here. */
static void test_other_networks(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("other");
	const struct ether_addr client = ether_of(2);
	struct in_addr address;
	struct guest guest;

	(void)state;
	reserve(config, 2);
	vmnet_network_ref other = create(config);
	assert_int_equal(vmnet_network_get_reservation(other, &client, &address), VMNET_SUCCESS);
	vmnet_network_ref network = create(open_configuration("one"));
	join(&guest, network);
	assert_refused(&guest, 40000, ntohl(address.s_addr));
	assert_int_equal(drops_of(network, "forbidden_destination"), 1);
	vmnet_network_release(network);
	vmnet_network_release(other);
	(void)close(guest.fd);
}

/* What is said to a request of the guest's, until so many bytes are there. */
static void fetch(struct connection *connection, const char *request, char *ret_text, size_t size)
{
	const struct packet_link link = { .source = connection->guest->mac,
					  .destination = connection->guest->gateway_mac };
	const struct tcp_header header = {
		.sequence = connection->sequence,
		.acknowledgement = connection->acknowledgement,
		.flags = TCP_ACK | TCP_PSH,
		.window = 65535,
	};
	const struct iovec part = { (void *)(uintptr_t)request, strlen(request) };
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct frame frame;
	size_t got = 0;

	assert_true(packet_build_tcp(&frame, &link, &connection->own, &connection->far, &header,
				     &part, 1, 0));
	guest_send(connection->guest, &frame);
	while (got < size) {
		size_t more = guest_await_port(connection->guest, PACKET_IP_PROTOCOL_TCP,
					       connection->own.port, &frame, bytes, sizeof(bytes));

		assert_true(more <= size - got);
		memcpy(ret_text + got, bytes, more);
		got += more;
	}
	ret_text[got] = '\0';
}

/* Its own network's guests fetch them; another network's do not, and no forward leads there. */
static void test_documents(void **state)
{
	static const char wanted[] = "HTTP/1.1 200 OK\r\n"
				     "Content-Type: application/octet-stream\r\n"
				     "Content-Length: 7\r\n"
				     "Cache-Control: no-store\r\n"
				     "Connection: keep-alive\r\n\r\n"
				     "guest-1";
	vmnet_network_configuration_ref config = open_configuration("documents");
	struct connection connection;
	char text[sizeof(wanted)];
	struct vmnet_error error;
	struct in_addr gateway;
	struct tcp_header header;
	struct guest stranger;
	struct guest guest;

	(void)state;
	assert_int_equal(
		vmnet_network_configuration_add_document(config, "/seed/meta-data", "guest-1", 7),
		VMNET_SUCCESS);
	vmnet_network_ref network = create(config); /* and released: the network has its own */
	join(&guest, network);
	header = ask(&guest, 40000, ip_addr_to_v4(&guest.gateway), 80, &connection);
	assert_int_equal(header.flags, TCP_SYN | TCP_ACK);
	connection.sequence++;
	connection.acknowledgement = header.sequence + 1;
	fetch(&connection, "GET /seed/meta-data HTTP/1.1\r\nHost: gateway\r\n\r\n", text,
	      strlen(wanted));
	assert_string_equal(text, wanted);

	vmnet_network_ref other = create(open_configuration("stranger"));
	join(&stranger, other);
	assert_refused(&stranger, 40000, ip_addr_to_v4(&guest.gateway));
	assert_int_equal(drops_of(other, "forbidden_destination"), 1);

	vmnet_network_get_gateway(network, &gateway, NULL);
	const struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
						    .external_family = AF_LOCAL,
						    .internal_address = gateway,
						    .internal_port = 80 };
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, NULL, &error),
			 VMNET_INVALID_ARGUMENT);
	vmnet_network_release(other);
	vmnet_network_release(network);
	(void)close(stranger.fd);
	(void)close(guest.fd);
}

/* Who may answer on a mapping: by default the addresses that the guest talked to. */
static void udp_filtering(bool is_independent)
{
	vmnet_network_configuration_ref config = open_configuration("filtering");
	struct sockaddr_in mapping;
	socklen_t mapping_size = sizeof(mapping);
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct frame frame;
	struct guest guest;
	uint16_t port;
	uint16_t stranger_port;

	if (is_independent)
		vmnet_network_configuration_set_udp_endpoint_independent_filtering(config, true);
	vmnet_network_ref network = create(config);
	join(&guest, network);
	int server = bind_socket(SOCK_DGRAM, INADDR_LOOPBACK, &port);
	int stranger = bind_socket(SOCK_DGRAM, INADDR_LOOPBACK + 1, &stranger_port);
	const struct ip_endpoint own = { guest.addr, 5000 };
	const struct ip_endpoint to = { guest.gateway, port };
	guest_send_udp(&guest, &guest.gateway_mac, &own, &to, "ask", 3);
	await_readable(server);
	assert_int_equal(recvfrom(server, bytes, sizeof(bytes), 0, (struct sockaddr *)&mapping,
				  &mapping_size),
			 3);
	assert_int_equal(
		sendto(stranger, "stranger", 8, 0, (struct sockaddr *)&mapping, mapping_size), 8);
	assert_int_equal(sendto(server, "answer", 6, 0, (struct sockaddr *)&mapping, mapping_size),
			 6);
	size_t size = guest_await_port(&guest, PACKET_IP_PROTOCOL_UDP, own.port, &frame, bytes,
				       sizeof(bytes));
	assert_int_equal(size, is_independent ? 8 : 6);
	assert_int_equal(drops_of(network, "udp_peer"), is_independent ? 0 : 1);
	vmnet_network_release(network);
	(void)close(server);
	(void)close(stranger);
	(void)close(guest.fd);
}

static void test_udp_filtering(void **state)
{
	(void)state;
	udp_filtering(false);
	udp_filtering(true);
}

/* Flows are bounded by what the limit of open files leaves: it is never run into. */
static void flows_within_the_file_limit(rlim_t limit, size_t forwards)
{
	const struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
						    .external_family = AF_LOCAL,
						    .internal_port = 22 };
	struct rlimit before;
	struct guest guest;
	uint16_t port;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit low = { .rlim_cur = limit, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	vmnet_network_configuration_ref config = open_configuration("limit");
	for (size_t i = 0; i < forwards; i++)
		assert_int_equal(vmnet_network_configuration_add_port_forward(config, &forward),
				 VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	join(&guest, network);
	int server = bind_socket(SOCK_DGRAM, INADDR_LOOPBACK, &port);
	const struct ip_endpoint to = { guest.gateway, port };
	for (uint16_t i = 0; i < 700; i++) {
		const struct ip_endpoint own = { guest.addr, (uint16_t)(5000 + i) };

		guest_send_udp(&guest, &guest.gateway_mac, &own, &to, "x", 1);
		if (i % 50 == 0)
			guest_ask_gateway(&guest); /* so that none is lost in a full socket */
	}
	guest_ask_gateway(&guest);
	assert_in_range(statistics_of(network).udp_flows, 64, 128);
	assert_true(drops_of(network, "flow_limit") > 0);
	assert_int_equal(drops_of(network, "socket_limit"), 0);
	vmnet_network_release(network);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	(void)close(server);
	(void)close(guest.fd);
}

static void test_flows_within_the_file_limit(void **state)
{
	(void)state;
	flows_within_the_file_limit(640, 0);
	/* Forwards have descriptors, too: one for each family. */
	flows_within_the_file_limit(840, 100);
}

/* A port that goes takes its flows along, and the far end is told. */
static void test_detach_ends_flows(void **state)
{
	struct connection connection;
	struct guest guest;
	uint16_t port;
	char byte;

	(void)state;
	int listener = bind_socket(SOCK_STREAM, INADDR_LOOPBACK, &port);
	assert_int_equal(listen(listener, 1), 0);
	vmnet_network_ref network = create(open_configuration("detach"));
	join(&guest, network);
	int fd = connect_guest(&guest, 40000, listener, port, &connection);
	assert_int_equal(statistics_of(network).tcp_flows, 1);
	assert_int_equal(vmnet_network_detach(network, guest.port), VMNET_SUCCESS);
	assert_int_equal(statistics_of(network).tcp_flows, 0);
	await_readable(fd);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	vmnet_network_release(network);
	(void)close(fd);
	(void)close(listener);
	(void)close(guest.fd);
}

/* Sends as much as is taken while nobody reads: all of it is acknowledged at the end. */
static uint32_t fill(struct connection *connection)
{
	while (connection->window >= SEGMENT) {
		send_segment(connection, TCP_ACK | TCP_PSH, SEGMENT);
		connection->sequence += SEGMENT;
		while (connection->acknowledged != connection->sequence)
			(void)await_segment(connection);
	}
	return connection->sequence - FIRST - 1;
}

/* Whether new connections are refused. A SYN that comes at the very moment gets no answer. */
static bool is_draining(struct guest *guest, uint16_t own_port, uint16_t port)
{
	struct connection late = {
		.guest = guest,
		.own = { guest->addr, own_port },
		.far = { guest->gateway, port },
		.sequence = FIRST,
	};
	struct pollfd wait = { .fd = guest->fd, .events = POLLIN };
	struct tcp_header header;
	struct frame frame;

	send_segment(&late, TCP_SYN, 0);
	while (poll(&wait, 1, 100) == 1) {
		guest_receive(guest, &frame);
		struct reader reader = frame_l4_reader(&frame);
		if (frame.packet.has_l4 && frame.packet.port_destination == own_port)
			return tcp_parse(&reader, &header) && header.flags & TCP_RST;
	}
	return false;
}

static void *release(void *context)
{
	vmnet_network_release(context);
	return NULL;
}

/* An orderly stop: what was acknowledged to the guest still reaches a server that reads late. */
static void test_release_drains(void **state)
{
	const int small = 4096;
	static char bytes[65536];
	struct connection connection;
	pthread_t releaser;
	struct guest guest;
	uint64_t heard = 0;
	uint16_t own_port = 40001;
	uint16_t port;
	ssize_t got;

	(void)state;
	int listener = bind_socket(SOCK_STREAM, INADDR_LOOPBACK, &port);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(listen(listener, 100), 0);
	vmnet_network_ref network = create(open_configuration("drain"));
	join(&guest, network);
	int fd = connect_guest(&guest, 40000, listener, port, &connection);
	uint32_t acknowledged = fill(&connection);
	assert_int_equal(pthread_create(&releaser, NULL, release, network), 0);
	while (!is_draining(&guest, own_port, port))
		own_port++;
	do {
		await_readable(fd);
		got = recv(fd, bytes, sizeof(bytes), 0);
		assert_true(got >= 0);
		heard += (uint64_t)got;
	} while (got > 0);
	assert_int_equal(heard, acknowledged);
	assert_int_equal(pthread_join(releaser, NULL), 0);
	(void)close(fd);
	(void)close(listener);
	(void)close(guest.fd);
}

/* As in Apple's API, a rule names no address of the host: it is the host's own business. */
static void test_rules_bind_loopback(void **state)
{
	const struct in_addr any = { 0 };
	struct vmnet_port_forward bound[4];
	vmnet_network_configuration_ref config = new_configuration("rules");

	(void)state;
	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_add_port_forwarding_rule(config, IPPROTO_TCP,
									      AF_INET, 22, 0, &any),
			 VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	size_t count = vmnet_network_get_port_forwards(network, bound, ARRAY_COUNT(bound));
	assert_in_range(count, 1, 2); /* one family or two */
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(bound[i].internal_port, 22);
		if (bound[i].external_family == AF_INET)
			assert_int_equal(bound[i].external_address.v4.s_addr,
					 htonl(INADDR_LOOPBACK));
		else
			assert_true(IN6_IS_ADDR_LOOPBACK(&bound[i].external_address.v6));
	}
	vmnet_network_release(network);
}

/* The mask of blocked signals of the thread with that name; false when there is none. */
static bool blocked_signals(const char *name, uint64_t *ret_mask)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	bool found = false;

	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		char path[300];
		char line[200] = "";
		bool is_it;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		FILE *status = fopen(path, "re");
		if (!status)
			continue;
		is_it = fgets(line, sizeof(line), status) && strncmp(line, "Name:\t", 6) == 0 &&
			strncmp(line + 6, name, strlen(name)) == 0 &&
			line[6 + strlen(name)] == '\n';
		while (is_it && fgets(line, sizeof(line), status)) {
			if (strncmp(line, "SigBlk:\t", 8) == 0) {
				*ret_mask = strtoull(line + 8, NULL, 16);
				found = true;
			}
		}
		(void)fclose(status);
	}
	(void)closedir(tasks);
	return found;
}

/* The thread has the label's name, cut between characters, and leaves signals to the program. */
static void test_thread(void **state)
{
	vmnet_network_ref network = create(new_configuration("fourteen bytes\xc3\xa9 more"));
	uint64_t mask = 0;

	(void)state;
	(void)statistics_of(network); /* the thread has answered, so it runs and has its name */
	assert_true(blocked_signals("fourteen bytes", &mask));
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGPIPE };
	for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
		assert_true(mask & UINT64_C(1) << (signals[i] - 1));
	vmnet_network_release(network);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_access),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_other_networks),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_udp_filtering),
		cmocka_unit_test(test_flows_within_the_file_limit),
		cmocka_unit_test(test_detach_ends_flows),
		cmocka_unit_test(test_release_drains),
		cmocka_unit_test(test_rules_bind_loopback),
		cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
