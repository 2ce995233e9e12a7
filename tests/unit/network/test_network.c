/* A whole network by its public calls: guests at the ends of sockets, and what they see. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/un.h>

#include "network_guest.h"

#include "base/compiler.h"
#include "wire/dns.h"
#include "wire/tcp.h"

/* --- the gateway's services -------------------------------------------------------------- */

static void test_dhcp(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("dhcp");
	const struct ether_addr client = ether_of(1);
	const struct ether_addr stranger = ether_of(9);
	struct vmnet_neighbour neighbours[2];
	struct guest_dhcp offer;
	struct in_addr reserved;
	struct guest guest;

	(void)state;
	reserve(config, 1);
	vmnet_network_ref network = create(config);
	assert_int_equal(vmnet_network_get_reservation(network, &client, &reserved), VMNET_SUCCESS);
	assert_int_equal(vmnet_network_get_reservation(network, &stranger, &reserved),
			 VMNET_INVALID_ARGUMENT);
	assert_int_equal(vmnet_network_get_neighbours(network, NULL, 0), 0);
	assert_int_equal(statistics_of(network).ports, 0);

	guest_attach(&guest, network, 1);
	guest_configure(&guest, &offer);
	assert_int_equal(ip_addr_to_v4(&guest.addr), ntohl(reserved.s_addr));
	assert_true(guest_dhcp_has(&offer, DHCP_OPTION_ROUTER, &guest.gateway));
	assert_true(guest_dhcp_has(&offer, DHCP_OPTION_DNS, &guest.gateway));
	assert_true(guest_dhcp_has(&offer, DHCP_OPTION_SERVER_ID, &guest.gateway));

	assert_int_equal(vmnet_network_get_neighbours(network, neighbours, ARRAY_COUNT(neighbours)),
			 1);
	assert_memory_equal(&neighbours[0].mac, &client, sizeof(client));
	assert_int_equal(neighbours[0].address.s_addr, reserved.s_addr);
	assert_true(neighbours[0].leased);
	assert_true(neighbours[0].lease_left_s > 0);

	struct vmnet_statistics statistics = statistics_of(network);
	assert_int_equal(statistics.ports, 1);
	assert_int_equal(statistics.frames_from_guests, 2);
	assert_int_equal(statistics.bytes_from_guests, 2 * (14 + 20 + 8 + DHCP_REPLY_MIN));
	assert_true(statistics.frames_to_guests >= 2);
	assert_true(statistics.bytes_to_guests >= 2 * (14 + 20 + 8 + DHCP_REPLY_MIN));
	assert_int_equal(statistics.dropped, 0);
	assert_int_equal(vmnet_network_detach(network, guest.port), VMNET_SUCCESS);
	assert_int_equal(statistics_of(network).ports, 0);
	vmnet_network_release(network);
	(void)close(guest.fd);
}

static uint32_t dhcp_u32(const struct guest_dhcp *dhcp, uint8_t code)
{
	struct dhcp_bytes value;

	assert_true(dhcp_find_option(dhcp->bytes, dhcp->size, code, &value));
	assert_int_equal(value.size, 4);
	return (uint32_t)value.bytes[0] << 24 | (uint32_t)value.bytes[1] << 16 |
	       (uint32_t)value.bytes[2] << 8 | value.bytes[3];
}

/* What the network says of itself beside addresses. */
static void test_dhcp_options(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("options");
	struct dhcp_bytes domain;
	struct guest_dhcp offer;
	struct in_addr subnet;
	struct in_addr mask;
	struct guest guest;

	(void)state;
	vmnet_network_ref network = create(config);
	vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
	guest_attach(&guest, network, 1);
	guest_configure(&guest, &offer);
	assert_true(dhcp_find_option(offer.bytes, offer.size, DHCP_OPTION_DOMAIN, &domain));
	assert_int_equal(domain.size, strlen("internal"));
	assert_memory_equal(domain.bytes, "internal", domain.size);
	assert_int_equal(dhcp_u32(&offer, DHCP_OPTION_MASK), ntohl(mask.s_addr));
	assert_int_equal(dhcp_u32(&offer, DHCP_OPTION_BROADCAST),
			 ntohl(subnet.s_addr) | ~ntohl(mask.s_addr));
	/* RFC 2131 4.4.5: a half and seven eighths. */
	uint32_t lease_s = dhcp_u32(&offer, DHCP_OPTION_LEASE);
	assert_true(lease_s >= 60);
	assert_int_equal(dhcp_u32(&offer, DHCP_OPTION_T1), lease_s / 2);
	assert_int_equal(dhcp_u32(&offer, DHCP_OPTION_T2), lease_s / 8 * 7);
	vmnet_network_release(network);
	(void)close(guest.fd);
}

/* The gateway's answer to a question for the A record of that name. */
static struct dns_message ask_name(struct guest *guest, const char *name, uint8_t *bytes,
				   size_t size, size_t *ret_size)
{
	static uint16_t id = 100;
	const struct ip_endpoint own = { guest->addr, 40000 };
	const struct ip_endpoint server = { guest->gateway, 53 };
	struct dns_message answer;
	struct frame frame;
	uint8_t query[DNS_NAME_MAX + 16];
	struct writer writer = writer_of(query, sizeof(query));

	writer_u16(&writer, ++id);
	writer_u16(&writer, 0x0100); /* RD */
	writer_u16(&writer, 1);
	for (int i = 0; i < 3; i++)
		writer_u16(&writer, 0);
	for (size_t length; (length = strcspn(name, ".")) > 0;
	     name += length + (name[length] == '.')) {
		writer_u8(&writer, (uint8_t)length);
		writer_bytes(&writer, name, length);
	}
	writer_u8(&writer, 0);
	writer_u16(&writer, 1); /* A */
	writer_u16(&writer, 1); /* IN */
	guest_send_udp(guest, &guest->gateway_mac, &own, &server, query, writer.position);
	*ret_size = guest_await_port(guest, PACKET_IP_PROTOCOL_UDP, own.port, &frame, bytes, size);
	assert_true(dns_parse(bytes, *ret_size, &answer));
	assert_int_equal(answer.id, id);
	return answer;
}

/* The VM's own name, alone and in the domain, and the host's. */
static void test_dns_names(void **state)
{
	static const char *const names[] = { "ci-3", "ci-3.internal", "CI-3.Internal" };
	vmnet_network_configuration_ref config = new_configuration("names");
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct dns_message answer;
	struct guest_dhcp offer;
	struct guest guest;
	size_t size;

	(void)state;
	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_set_hostname(config, "ci-3"), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_configure(&guest, &offer);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		answer = ask_name(&guest, names[i], bytes, sizeof(bytes), &size);
		assert_int_equal(answer.rcode, DNS_RCODE_NOERROR);
		assert_int_equal(answer.answer_count, 1);
		assert_memory_equal(bytes + size - 4, guest.addr.octet, 4);
	}
	answer = ask_name(&guest, "host.internal", bytes, sizeof(bytes), &size);
	assert_int_equal(answer.answer_count, 1);
	assert_memory_equal(bytes + size - 4, guest.gateway.octet, 4);
	vmnet_network_release(network);
	(void)close(guest.fd);
}

/* An offer or an ack names no router, in none of the three options that could (RFC 3442, 2132 5.8). */
static void check_no_route(const struct guest *guest, const struct guest_dhcp *dhcp)
{
	static const uint8_t routes[] = { DHCP_OPTION_ROUTER, 33, 121, 249 };
	struct dhcp_bytes value;

	for (size_t i = 0; i < ARRAY_COUNT(routes); i++)
		assert_false(dhcp_find_option(dhcp->bytes, dhcp->size, routes[i], &value));
	assert_true(dhcp_find_option(dhcp->bytes, dhcp->size, DHCP_OPTION_MASK, &value));
	assert_true(guest_dhcp_has(dhcp, DHCP_OPTION_DNS, &guest->gateway));
}

static void no_way_out(vmnet_network_configuration_ref config, bool host_mode)
{
	const struct tcp_header syn = { .sequence = 1000, .flags = TCP_SYN, .window = 1000 };
	struct ip_endpoint from = { .port = 40000 };
	const struct ip_endpoint to = { ip_addr_from_v4(0xcb007107), 80 }; /* 203.0.113.7 */
	uint8_t payload[GUEST_FRAME_SIZE];
	struct guest_dhcp said;
	struct tcp_header rst;
	struct frame frame;
	struct guest guest;

	reserve(config, 1);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_send_dhcp(&guest, DHCP_TYPE_DISCOVER, NULL);
	guest_await_dhcp(&guest, DHCP_TYPE_OFFER, &said);
	check_no_route(&guest, &said);
	guest_send_dhcp(&guest, DHCP_TYPE_REQUEST, &said.message.yiaddr);
	guest_await_dhcp(&guest, DHCP_TYPE_ACK, &said);
	check_no_route(&guest, &said);
	guest.addr = said.message.yiaddr;

	const struct packet_link link = { .source = guest.mac, .destination = guest.gateway_mac };
	from.addr = guest.addr;
	assert_int_equal(drops_of(network, "nat_off"), 0);
	assert_true(packet_build_tcp(&frame, &link, &from, &to, &syn, NULL, 0, 0));
	guest_send(&guest, &frame);
	assert_int_equal(guest_await_port(&guest, PACKET_IP_PROTOCOL_TCP, from.port, &frame,
					  payload, sizeof(payload)),
			 0);
	struct reader reader = frame_l4_reader(&frame);
	assert_true(tcp_parse(&reader, &rst));
	assert_int_equal(rst.flags, TCP_RST | TCP_ACK);
	assert_int_equal(rst.acknowledgement, 1001);
	assert_true(ip_addr_equal(&frame.packet.ip_source, &to.addr));
	assert_int_equal(drops_of(network, "nat_off"), 1);
	assert_int_equal(statistics_of(network).tcp_flows, 0);
	if (host_mode) {
		size_t size;
		struct dns_message answer =
			ask_name(&guest, "www.example.org", payload, sizeof(payload), &size);
		assert_int_equal(answer.rcode, DNS_RCODE_REFUSED);
		assert_int_equal(drops_of(network, "dns_outside"), 1);
		answer = ask_name(&guest, "host.internal", payload, sizeof(payload), &size);
		assert_int_equal(answer.answer_count, 1);
	}
	vmnet_network_release(network);
	(void)close(guest.fd);
}

static void test_no_nat(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("no-nat");

	(void)state;
	vmnet_network_configuration_disable_nat44(config);
	no_way_out(config, false);
	no_way_out(new_configuration_of("host-mode", VMNET_HOST_MODE), true);
}

static void test_no_dhcp(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("no-dhcp");
	struct vmnet_neighbour neighbour;
	struct guest guest;

	(void)state;
	vmnet_network_configuration_disable_dhcp(config);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_send_dhcp(&guest, DHCP_TYPE_DISCOVER, NULL);
	guest.addr = guest_addr_at(&guest, 77);
	guest_ask_gateway(&guest);
	assert_int_equal(guest.dhcp_answers, 0);

	/* known by its ARP only */
	assert_int_equal(vmnet_network_get_neighbours(network, &neighbour, 1), 1);
	assert_int_equal(ntohl(neighbour.address.s_addr), ip_addr_to_v4(&guest.addr));
	assert_false(neighbour.leased);
	/* and forgotten with its port */
	assert_int_equal(vmnet_network_detach(network, guest.port), VMNET_SUCCESS);
	assert_int_equal(vmnet_network_get_neighbours(network, NULL, 0), 0);
	vmnet_network_release(network);
	(void)close(guest.fd);
}

static void test_no_dns(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("no-dns");
	struct guest_dhcp offer;
	struct guest guest;

	(void)state;
	vmnet_network_configuration_disable_dns_proxy(config);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_configure(&guest, &offer);
	assert_false(guest_dhcp_has(&offer, DHCP_OPTION_DNS, &guest.gateway));
	assert_true(guest_dhcp_has(&offer, DHCP_OPTION_ROUTER, &guest.gateway));
	vmnet_network_release(network);
	(void)close(guest.fd);
}

/* The bytes of the file so far; the position of its description is left alone. */
static size_t read_all(int fd, uint8_t *bytes, size_t size)
{
	ssize_t got = pread(fd, bytes, size, 0);

	assert_true(got >= 0 && (size_t)got < size);
	return (size_t)got;
}

static void test_capture(void **state)
{
	static const uint8_t magic[4] = { 0x0a, 0x0d, 0x0d, 0x0a };
	static uint8_t bytes[1 << 16];
	vmnet_network_configuration_ref config = new_configuration("capture");
	struct guest_dhcp offer;
	struct guest guest;
	char path[96];

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_capture_fd(config, -1),
			 VMNET_INVALID_ARGUMENT);
	(void)snprintf(path, sizeof(path), "%s/capture.pcapng", directory);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(vmnet_network_configuration_set_capture_fd(config, fd), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	guest_attach(&guest, network, 1);
	guest_send_dhcp(&guest, DHCP_TYPE_DISCOVER, NULL);
	guest_await_dhcp(&guest, DHCP_TYPE_OFFER, &offer);
	/* runs behind the batch in which the answer was made */
	assert_int_equal(statistics_of(network).ports, 1);

	size_t size = read_all(fd, bytes, sizeof(bytes));
	assert_true(size > sizeof(magic));
	assert_memory_equal(bytes, magic, sizeof(magic));
	uint8_t *asked = memmem(bytes, size, guest.sent, guest.sent_size);
	uint8_t *answered = memmem(bytes, size, guest.got, guest.got_size);
	assert_non_null(asked);
	assert_non_null(answered);
	assert_true(asked < answered);
	vmnet_network_release(network);
	assert_true(read_all(fd, bytes, sizeof(bytes)) >= size);
	assert_int_equal(close(fd), 0); /* ours all the time */
	(void)close(guest.fd);
}

/* --- how ports end ------------------------------------------------------------------------ */

struct ended {
	vmnet_port_t port;
	char reason[128];
};

static void tell_end(void *context, vmnet_port_t port, const char *reason)
{
	const int *fd = context;
	struct ended ended = { .port = port };

	(void)snprintf(ended.reason, sizeof(ended.reason), "%s", reason);
	if (write(*fd, &ended, sizeof(ended)) != sizeof(ended))
		abort(); /* not the test's thread: its asserts cannot be used here */
}

static void test_bad_length_ends_the_port_once(void **state)
{
	static const uint8_t huge[4] = { 0xff, 0xff, 0xff, 0xff };
	vmnet_network_configuration_ref config = new_configuration("bad-length");
	struct guest_dhcp offer;
	struct guest guest;
	struct ended ended;
	vmnet_port_t port;
	int ends[2];
	int fds[2];

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_prefix_length(config, 30), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	const struct vmnet_port_options options = { .closed = tell_end, .context = &ends[1] };
	assert_int_equal(vmnet_network_attach_stream_fd(network, fds[0], &options, &port, NULL),
			 VMNET_SUCCESS);
	assert_int_equal(send(fds[1], huge, sizeof(huge), MSG_NOSIGNAL), sizeof(huge));
	await_readable(ends[0]);
	assert_int_equal(recv(ends[0], &ended, sizeof(ended), 0), sizeof(ended));
	assert_int_equal(ended.port, port);
	assert_string_equal(ended.reason, "closed: its stream sent an impossible frame length");
	assert_int_equal(drops_of(network, "bad_stream_length"), 1);
	assert_int_equal(statistics_of(network).ports, 0);
	assert_int_equal(vmnet_network_detach(network, port), VMNET_INVALID_ARGUMENT);
	(void)close(fds[1]);

	/* the only slot is free again, and one's own detach is no news */
	guest_attach(&guest, network, 1);
	assert_int_not_equal(guest.port, port);
	guest_configure(&guest, &offer);
	assert_int_equal(vmnet_network_detach(network, guest.port), VMNET_SUCCESS);
	(void)close(guest.fd);

	/* a peer that leaves is told, without a reason */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_attach_stream_fd(network, fds[0], &options, &port, NULL),
			 VMNET_SUCCESS);
	(void)close(fds[1]);
	await_readable(ends[0]);
	assert_int_equal(recv(ends[0], &ended, sizeof(ended), 0), sizeof(ended));
	assert_int_equal(ended.port, port);
	assert_string_equal(ended.reason, "");
	vmnet_network_release(network);

	/* nothing was told twice */
	assert_int_equal(recv(ends[0], &ended, sizeof(ended), MSG_DONTWAIT), -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static int connect_to(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	return fd;
}

static void test_listening_port_serves_one_after_the_other(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	vmnet_network_configuration_ref config = new_configuration("listening");
	struct guest_dhcp offer;
	struct guest guest;
	struct ended ended;
	vmnet_port_t port;
	int ends[2];

	(void)state;
	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_set_prefix_length(config, 30), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/port", directory);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	const struct vmnet_port_options options = { .closed = tell_end, .context = &ends[1] };
	assert_int_equal(vmnet_network_attach_stream_fd(network, listener, &options, &port, NULL),
			 VMNET_SUCCESS);

	guest_init(&guest, network, connect_to(&address), true, 1);
	guest_configure(&guest, &offer);
	(void)close(guest.fd);
	/* the second one is another connection of the same guest, which breaks the framing later */
	guest_init(&guest, network, connect_to(&address), true, 1);
	guest_send_dhcp(&guest, DHCP_TYPE_DISCOVER, NULL);
	guest_await_dhcp(&guest, DHCP_TYPE_OFFER, &offer);
	guest_send_bytes(&guest, "", 1);
	struct pollfd gone = { .fd = guest.fd, .events = POLLIN };
	assert_int_equal(poll(&gone, 1, GUEST_WAIT_MS), 1);
	assert_true(gone.revents & POLLHUP);
	(void)close(guest.fd);
	guest_init(&guest, network, connect_to(&address), true, 1);
	guest_configure(&guest, &offer);
	assert_int_equal(statistics_of(network).ports, 1);
	vmnet_network_release(network);
	assert_int_equal(recv(ends[0], &ended, sizeof(ended), MSG_DONTWAIT), -1);
	(void)close(guest.fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

typedef vmnet_return_t attach_fd(vmnet_network_ref network, int fd,
				 const struct vmnet_port_options *options, vmnet_port_t *port,
				 struct vmnet_error *error);

/* It belongs to the first, which goes on; given back, it may be attached again. */
static void test_one_descriptor_twice(void **state)
{
	static attach_fd *const attach[] = { vmnet_network_attach_datagram_fd,
					     vmnet_network_attach_stream_fd };
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(attach); i++) {
		vmnet_network_ref network = create(new_configuration("twice"));
		struct vmnet_error error;
		char sentence[64];
		vmnet_port_t port;
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(attach[i](network, fds[0], NULL, &port, &error), VMNET_SUCCESS);
		assert_int_equal(attach[i](network, fds[0], NULL, NULL, &error),
				 VMNET_INVALID_ARGUMENT);
		(void)snprintf(sentence, sizeof(sentence), "file descriptor %d is attached already",
			       fds[0]);
		assert_string_equal(error.text, sentence);
		assert_int_equal(statistics_of(network).ports, 1);
		int kept = dup(fds[0]);
		assert_true(kept >= 0);
		assert_int_equal(vmnet_network_detach(network, port), VMNET_SUCCESS);
		/* The number is free, and another descriptor gets it. */
		assert_int_equal(dup2(kept, fds[0]), fds[0]);
		assert_int_equal(attach[i](network, fds[0], NULL, NULL, &error), VMNET_SUCCESS);
		vmnet_network_release(network);
		(void)close(kept);
		(void)close(fds[1]);
	}
}

static void test_capacity(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("capacity");
	static struct guest guests[5]; /* too much for a frame */
	struct vmnet_error error;
	struct guest_dhcp offer;
	int fds[2];

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_prefix_length(config, 29), VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	for (uint8_t i = 0; i < ARRAY_COUNT(guests); i++)
		guest_attach(&guests[i], network, (uint8_t)(i + 1));
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_attach_datagram_fd(network, fds[0], NULL, NULL, &error),
			 VMNET_BUFFER_EXHAUSTED);
	assert_string_equal(error.text, "the network has all its 5 ports in use");
	assert_int_equal(statistics_of(network).ports, 5);
	/* still the caller's */
	assert_int_equal(close(fds[0]), 0);
	(void)close(fds[1]);
	/* and each of the five has an address for itself */
	for (size_t i = 0; i < ARRAY_COUNT(guests); i++) {
		guest_configure(&guests[i], &offer);
		for (size_t k = 0; k < i; k++)
			assert_false(ip_addr_equal(&guests[i].addr, &guests[k].addr));
	}
	assert_int_equal(vmnet_network_get_neighbours(network, NULL, 0), 5);
	vmnet_network_release(network);
	for (size_t i = 0; i < ARRAY_COUNT(guests); i++)
		(void)close(guests[i].fd);
}

/* --- guests among themselves --------------------------------------------------------------- */

/* Both known to the bridge, with addresses of their own choice. */
static vmnet_network_ref create_pair(const char *label, struct guest guests[2])
{
	vmnet_network_ref network = create(new_configuration(label));

	for (uint8_t i = 0; i < 2; i++) {
		guest_attach(&guests[i], network, (uint8_t)(i + 1));
		guests[i].addr = guest_addr_at(&guests[i], 0x40U + i);
		guest_ask_gateway(&guests[i]);
	}
	return network;
}

static void end_pair(vmnet_network_ref network, const struct guest guests[2])
{
	vmnet_network_release(network);
	(void)close(guests[0].fd);
	(void)close(guests[1].fd);
}

static void test_two_guests_talk(void **state)
{
	static const char text[] = "from one to the other";
	uint8_t bytes[GUEST_FRAME_SIZE];
	struct arp_message arp;
	struct guest guests[2];
	struct frame frame;

	(void)state;
	vmnet_network_ref network = create_pair("pair", guests);
	guest_send_arp(&guests[0], &guests[0].mac, &guests[1].addr);
	do {
		guest_await_arp(&guests[1], ARP_OPERATION_REQUEST, &guests[0].addr, &arp);
	} while (!ip_addr_equal(&arp.target_ip, &guests[1].addr));
	assert_true(mac_addr_equal(&arp.sender_mac, &guests[0].mac));

	for (size_t i = 0; i < 2; i++) {
		struct guest *one = &guests[i];
		struct guest *other = &guests[1 - i];
		const struct ip_endpoint from = { one->addr, 5000 };
		const struct ip_endpoint to = { other->addr, 6000 };

		guest_send_udp(one, &other->mac, &from, &to, text, sizeof(text));
		assert_int_equal(guest_await_port(other, PACKET_IP_PROTOCOL_UDP, to.port, &frame,
						  bytes, sizeof(bytes)),
				 sizeof(text));
		assert_string_equal((const char *)bytes, text);
		assert_true(mac_addr_equal(&frame.packet.mac_source, &one->mac));
		assert_true(ip_addr_equal(&frame.packet.ip_source, &one->addr));
	}
	assert_int_equal(statistics_of(network).ports, 2);
	assert_int_equal(statistics_of(network).udp_flows, 0);
	assert_int_equal(statistics_of(network).dropped, 0);
	end_pair(network, guests);
}

static void test_borrowed_macs_are_refused(void **state)
{
	struct guest guests[2];

	(void)state;
	vmnet_network_ref network = create_pair("macs", guests);
	guest_send_arp(&guests[0], &guests[1].mac, &guests[0].gateway);
	guest_ask_gateway(&guests[0]);
	assert_int_equal(drops_of(network, "mac_moved"), 1);
	guest_send_arp(&guests[0], &guests[0].gateway_mac, &guests[1].addr);
	guest_ask_gateway(&guests[0]);
	assert_int_equal(drops_of(network, "bad_source_mac"), 1);
	assert_int_equal(statistics_of(network).dropped, 2);
	/* the owner of the MAC is where it was */
	guest_ask_gateway(&guests[1]);

	/* after the owner left, another may have it */
	assert_int_equal(vmnet_network_detach(network, guests[1].port), VMNET_SUCCESS);
	guests[0].mac = guests[1].mac;
	guest_ask_gateway(&guests[0]);
	assert_int_equal(drops_of(network, "mac_moved"), 1);
	end_pair(network, guests);
}

static void test_no_guest_is_a_dhcp_server(void **state)
{
	static const uint8_t lie[DHCP_REPLY_MIN] = { DHCP_OP_REPLY, 1, 6 };
	const struct ip_endpoint to = { ip_addr_from_v4(UINT32_MAX), DHCP_PORT_CLIENT };
	struct arp_message arp;
	struct guest guests[2];

	(void)state;
	vmnet_network_ref network = create_pair("guard", guests);
	const struct ip_endpoint from = { guests[0].addr, DHCP_PORT_SERVER };
	guest_send_udp(&guests[0], &mac_addr_broadcast, &from, &to, lie, sizeof(lie));
	guest_send_udp(&guests[0], &guests[1].mac, &from, &to, lie, sizeof(lie));
	/* what comes behind it arrives, it does not */
	guest_send_arp(&guests[0], &guests[0].mac, &guests[1].addr);
	do {
		guest_await_arp(&guests[1], ARP_OPERATION_REQUEST, &guests[0].addr, &arp);
	} while (!ip_addr_equal(&arp.target_ip, &guests[1].addr));
	assert_int_equal(guests[1].dhcp_answers, 0);
	assert_int_equal(drops_of(network, "dhcp_server_guard"), 2);
	end_pair(network, guests);
}

/* Whatever is asked of a network of the registry is refused, be it of this process or another's. */
static void test_other_networks_are_refused(void **state)
{
	vmnet_network_ref network = create(new_configuration("mine"));
	vmnet_network_ref other = create(new_configuration("theirs"));
	struct in_addr subnet;
	struct guest guest;

	(void)state;
	guest_attach(&guest, network, 1);
	guest.addr = guest_addr_at(&guest, 9);
	guest_ask_gateway(&guest);
	vmnet_network_get_ipv4_subnet(other, &subnet, NULL);
	for (uint32_t host = 1; host < 4; host++) { /* the gateway of the other is the first */
		const struct ip_endpoint from = { guest.addr, 40000 };
		const struct ip_endpoint to = { ip_addr_from_v4(ntohl(subnet.s_addr) + host), 9 };

		guest_send_udp(&guest, &guest.gateway_mac, &from, &to, "x", 1);
		guest_ask_gateway(&guest);
		assert_int_equal(drops_of(network, "forbidden_destination"), host);
	}
	assert_int_equal(statistics_of(network).udp_flows, 0);
	vmnet_network_release(other);
	vmnet_network_release(network);
	(void)close(guest.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dhcp),
		cmocka_unit_test(test_dhcp_options),
		cmocka_unit_test(test_dns_names),
		cmocka_unit_test(test_no_nat),
		cmocka_unit_test(test_no_dhcp),
		cmocka_unit_test(test_no_dns),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_bad_length_ends_the_port_once),
		cmocka_unit_test(test_listening_port_serves_one_after_the_other),
		cmocka_unit_test(test_one_descriptor_twice),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_two_guests_talk),
		cmocka_unit_test(test_borrowed_macs_are_refused),
		cmocka_unit_test(test_no_guest_is_a_dhcp_server),
		cmocka_unit_test(test_other_networks_are_refused),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
