#include "packet_equal.h"
#include "wire_test.h"

#include "wire/checksum.h"
#include "wire/frame_segment.h"
#include "wire/ipv4.h"
#include "wire/packet_build.h"
#include "wire/udp.h"

static const struct packet_link link_all = {
	.source = { { 2, 0, 0, 0, 0, 1 } },
	.destination = { { 2, 0, 0, 0, 0, 9 } },
	.tos = 0xb8,
	.ttl = 3,
	.id = 0x1234,
	.dont_fragment = true,
};

static struct ip_endpoint from;
static struct ip_endpoint to;
static uint8_t data[65536];

static int set_up(void **state)
{
	(void)state;
	uint32_t seed = 11;

	from = (struct ip_endpoint){ v4(1, 2, 3, 4), 53 };
	to = (struct ip_endpoint){ v4(10, 0, 0, 2), 65535 };
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
	return 0;
}

/* The frame is what dissecting its bytes gives; returns a second look at it. */
static void look_again(const struct frame *frame, struct frame *again)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));
	enum drop_reason reason;

	assert_int_not_equal(size, 0);
	assert_true(frame_from_bytes(again, bytes, size, FRAME_PORT_NONE, &reason));
	assert_packet_equal(&again->packet, &frame->packet);
	assert_int_equal(again->header_size, frame->header_size);
	assert_int_equal(again->payload_size, frame->payload_size);
	assert_int_equal(frame->port, FRAME_PORT_NONE);
}

static void test_udp(void **state)
{
	(void)state;
	const size_t sizes[] = { 0, 1, 2, 1471, 1472, 65507 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec iov[] = { { data, sizes[i] / 2 },
				       { data + sizes[i] / 2, sizes[i] - sizes[i] / 2 } };
		struct frame frame;
		struct frame again;

		memset(&frame, 0xa5, sizeof(frame));
		assert_true(packet_build_udp(&frame, &link_all, &from, &to, iov, 2));
		look_again(&frame, &again);
		assert_true(frame.offload.checksum_valid);
		assert_false(frame.offload.checksum_partial);
		assert_true(frame_verify_checksum(&again));
		assert_int_equal(again.packet.ip_ttl, 3);
		assert_int_equal(again.packet.ip_tos, 0xb8);
		assert_int_equal(again.packet.ip_id, 0x1234);
		assert_true(again.packet.ip_dont_fragment);
		assert_int_equal(again.packet.port_source, 53);
		assert_int_equal(again.packet.port_destination, 65535);
		assert_true(mac_addr_equal(&again.packet.mac_source, &link_all.source));
		assert_true(ip_addr_equal(&again.packet.ip_destination, &to.addr));
	}
}

/* Whoever completes it gets what packet_build_udp() makes. */
static void test_udp_partial(void **state)
{
	(void)state;
	const size_t sizes[] = { 0, 1, 1472, 65507 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec iov = { data, sizes[i] };
		struct frame full;
		struct frame partial;

		memset(&partial, 0xa5, sizeof(partial));
		assert_true(packet_build_udp(&full, &link_all, &from, &to, &iov, 1));
		assert_true(packet_build_udp_partial(&partial, &link_all, &from, &to, &iov, 1, 0));
		assert_true(partial.offload.checksum_partial);
		assert_false(partial.offload.checksum_valid);
		assert_int_equal(partial.offload.gso, FRAME_GSO_NONE);
		assert_true(frame_check_offload(&partial));
		assert_packet_equal(&partial.packet, &full.packet);
		/* What is in the field is what a network card would complete. */
		struct reader reader = frame_l4_reader(&partial);
		struct udp_header header;
		assert_true(udp_parse(&reader, &header));
		assert_int_equal(header.checksum,
				 checksum_fold(checksum_pseudo(&from.addr, &to.addr, 17,
							       8 + (uint32_t)sizes[i])));
		assert_true(frame_complete_checksum(&partial));
		assert_int_equal(partial.header_size, full.header_size);
		assert_memory_equal(partial.header, full.header, full.header_size);
	}
}

static void test_udp_gso_mark(void **state)
{
	(void)state;
	static const struct {
		size_t size;
		uint16_t gso_size;
		bool gso;
	} rows[] = {
		{ 1000, 0, false }, { 1000, 1000, false },  { 1000, 999, true },
		{ 65507, 1, true }, { 65507, 65506, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct iovec iov = { data, rows[i].size };
		struct frame frame;
		struct frame again;

		assert_true(packet_build_udp_partial(&frame, &link_all, &from, &to, &iov, 1,
						     rows[i].gso_size));
		assert_int_equal(frame.offload.gso, rows[i].gso ? FRAME_GSO_UDP : FRAME_GSO_NONE);
		assert_int_equal(frame.offload.gso_size, rows[i].gso ? rows[i].gso_size : 0);
		assert_true(frame_check_offload(&frame));
		look_again(&frame, &again);
	}
	struct iovec iov = { data, 65508 };
	struct frame frame;
	assert_false(packet_build_udp_partial(&frame, &link_all, &from, &to, &iov, 1, 1000));
}

static void test_limits(void **state)
{
	(void)state;
	struct frame frame;
	struct iovec iov = { data, 65508 };
	struct iovec huge[] = { { data, 10 }, { data, SIZE_MAX } };
	struct iovec many[FRAME_PAYLOAD_MAX_PARTS + 1];
	const struct tcp_header header = { .flags = TCP_ACK };
	const struct icmp_header echo = { .type = ICMP_TYPE_ECHO_REPLY };

	assert_false(packet_build_udp(&frame, &link_all, &from, &to, &iov, 1));
	assert_false(packet_build_icmp(&frame, &link_all, &from.addr, &to.addr, &echo, &iov, 1));
	assert_false(packet_build_udp(&frame, &link_all, &from, &to, huge, 2));
	iov.iov_len = 65496;
	assert_false(packet_build_tcp(&frame, &link_all, &from, &to, &header, &iov, 1, 1448));
	iov.iov_len = 65495;
	assert_true(packet_build_tcp(&frame, &link_all, &from, &to, &header, &iov, 1, 1448));
	for (size_t i = 0; i < FRAME_PAYLOAD_MAX_PARTS + 1; i++)
		many[i] = (struct iovec){ data, 1 };
	assert_false(
		packet_build_udp(&frame, &link_all, &from, &to, many, FRAME_PAYLOAD_MAX_PARTS + 1));
	assert_true(packet_build_udp(&frame, &link_all, &from, &to, many, FRAME_PAYLOAD_MAX_PARTS));
	from.addr = ip_addr_from_v6(data);
	assert_false(packet_build_udp(&frame, &link_all, &from, &to, NULL, 0));
	from.addr = (struct ip_addr){ 0 };
	assert_false(packet_build_udp(&frame, &link_all, &from, &to, NULL, 0));
	(void)set_up(state);
}

static void test_default_ttl(void **state)
{
	(void)state;
	const struct packet_link link = { .id = 0 };
	struct frame frame;

	assert_true(packet_build_udp(&frame, &link, &from, &to, NULL, 0));
	assert_int_equal(frame.packet.ip_ttl, PACKET_TTL_DEFAULT);
	assert_false(frame.packet.ip_dont_fragment);
	assert_true(mac_addr_is_zero(&frame.packet.mac_destination));
}

static void test_tcp(void **state)
{
	(void)state;
	const struct tcp_header header = {
		.source_port = 1, /* not these */
		.destination_port = 2,
		.sequence = 7,
		.acknowledgement = 9,
		.flags = TCP_SYN | TCP_ACK,
		.window = 1000,
		.has_mss = true,
		.mss = 1460,
		.has_window_scale = true,
		.window_scale = 7,
	};
	struct frame frame;
	struct frame again;
	struct tcp_header out;

	memset(&frame, 0xa5, sizeof(frame));
	assert_true(packet_build_tcp(&frame, &link_all, &from, &to, &header, NULL, 0, 1460));
	look_again(&frame, &again);
	assert_true(frame.offload.checksum_partial);
	assert_int_equal(frame.offload.checksum_start, 34);
	assert_int_equal(frame.offload.checksum_offset, 16);
	assert_int_equal(frame.offload.gso, FRAME_GSO_NONE);
	struct reader reader = frame_l4_reader(&again);
	assert_true(tcp_parse(&reader, &out));
	assert_int_equal(out.source_port, 53);
	assert_int_equal(out.destination_port, 65535);
	assert_int_equal(out.mss, 1460);
	assert_int_equal(out.window_scale, 7);
	/* What is in the field is what a network card would complete. */
	assert_int_equal(out.checksum, checksum_fold(checksum_pseudo(&from.addr, &to.addr, 6, 28)));
	assert_true(frame_complete_checksum(&frame));
	look_again(&frame, &again);
	assert_true(frame_verify_checksum(&again));
}

static void test_tcp_gso_mark(void **state)
{
	(void)state;
	const struct tcp_header header = { .flags = TCP_ACK };
	const struct {
		size_t size;
		uint16_t gso_size;
		enum frame_gso gso;
	} rows[] = {
		{ 1448, 1448, FRAME_GSO_NONE },
		{ 1449, 1448, FRAME_GSO_TCP4 },
		{ 60000, 0, FRAME_GSO_NONE },
		{ 2, 1, FRAME_GSO_TCP4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct iovec iov = { data, rows[i].size };
		struct frame frame;

		assert_true(packet_build_tcp(&frame, &link_all, &from, &to, &header, &iov, 1,
					     rows[i].gso_size));
		assert_int_equal(frame.offload.gso, rows[i].gso);
		assert_int_equal(frame.offload.gso_size,
				 rows[i].gso == FRAME_GSO_NONE ? 0 : rows[i].gso_size);
	}
}

static void test_icmp(void **state)
{
	(void)state;
	const struct icmp_header echo = {
		.type = ICMP_TYPE_ECHO_REPLY,
		.checksum = 0xffff, /* not taken over */
		.identifier = 0xabcd,
		.sequence = 3,
	};
	struct iovec iov[] = { { data, 55 }, { data + 55, 1 } };
	struct frame frame;
	struct frame again;

	memset(&frame, 0xa5, sizeof(frame));
	assert_true(packet_build_icmp(&frame, &link_all, &from.addr, &to.addr, &echo, iov, 2));
	look_again(&frame, &again);
	assert_true(frame_verify_checksum(&again));
	assert_int_equal(again.packet.port_source, 0xabcd);
	assert_int_equal(again.packet.icmp_type, 0);
}

static void test_arp(void **state)
{
	(void)state;
	const struct arp_message message = {
		.operation = ARP_OPERATION_REPLY,
		.sender_mac = link_all.source,
		.sender_ip = from.addr,
		.target_mac = link_all.destination,
		.target_ip = to.addr,
	};
	struct arp_message bad = message;
	struct frame frame;
	struct frame again;
	struct arp_message out;

	memset(&frame, 0xa5, sizeof(frame));
	assert_true(packet_build_arp(&frame, &link_all.source, &link_all.destination, &message));
	look_again(&frame, &again);
	assert_int_equal(frame.packet.kind, PACKET_ARP);
	assert_int_equal(frame_size(&frame), 42);
	struct reader reader = reader_of(again.header + 14, again.header_size - 14);
	assert_true(arp_parse(&reader, &out));
	assert_true(ip_addr_equal(&out.target_ip, &to.addr));
	bad.target_ip.family = IP_FAMILY_V6;
	assert_false(packet_build_arp(&frame, &link_all.source, &link_all.destination, &bad));
}

static void test_set_macs(void **state)
{
	(void)state;
	const struct mac_addr a = { { 6, 6, 6, 6, 6, 6 } };
	const struct mac_addr b = { { 8, 8, 8, 8, 8, 8 } };
	struct frame frame;
	struct frame again;

	assert_true(packet_build_udp(&frame, &link_all, &from, &to, NULL, 0));
	packet_set_macs(&frame, NULL, &b);
	look_again(&frame, &again);
	assert_true(mac_addr_equal(&again.packet.mac_source, &link_all.source));
	assert_true(mac_addr_equal(&again.packet.mac_destination, &b));
	packet_set_macs(&frame, &a, NULL);
	look_again(&frame, &again);
	assert_true(mac_addr_equal(&again.packet.mac_source, &a));
	assert_true(mac_addr_equal(&again.packet.mac_destination, &b));
}

static void test_allows_error(void **state)
{
	(void)state;
	const struct {
		const char *what;
		struct ip_addr source;
		struct ip_addr destination;
		bool allowed;
	} rows[] = {
		{ "plain", v4(10, 0, 0, 2), v4(1, 2, 3, 4), true },
		{ "from nowhere", v4(0, 0, 0, 0), v4(1, 2, 3, 4), false },
		{ "from loopback", v4(127, 0, 0, 1), v4(1, 2, 3, 4), false },
		{ "from a group", v4(224, 0, 0, 1), v4(1, 2, 3, 4), false },
		{ "from everybody", v4(255, 255, 255, 255), v4(1, 2, 3, 4), false },
		{ "from class E", v4(240, 0, 0, 1), v4(1, 2, 3, 4), false },
		{ "to a group", v4(10, 0, 0, 2), v4(239, 1, 1, 1), false },
		{ "to everybody", v4(10, 0, 0, 2), v4(255, 255, 255, 255), false },
	};
	struct frame frame;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_endpoint a = { rows[i].source, 1 };
		struct ip_endpoint b = { rows[i].destination, 2 };
		assert_true(packet_build_udp(&frame, &link_all, &a, &b, NULL, 0));
		assert_int_equal(packet_allows_error(&frame.packet), rows[i].allowed);
	}

	assert_true(packet_build_udp(&frame, &link_all, &from, &to, NULL, 0));
	packet_set_macs(&frame, NULL, &mac_addr_broadcast);
	assert_false(packet_allows_error(&frame.packet));
	assert_true(packet_build_udp(&frame, &link_all, &from, &to, NULL, 0));
	frame.packet.ip_is_fragment = true;
	frame.packet.ip_more_fragments = true;
	assert_true(packet_allows_error(&frame.packet)); /* the first fragment */
	frame.packet.ip_fragment_offset = 8;
	assert_false(packet_allows_error(&frame.packet));

	struct icmp_header icmp = { .type = ICMP_TYPE_ECHO_REQUEST };
	assert_true(packet_build_icmp(&frame, &link_all, &from.addr, &to.addr, &icmp, NULL, 0));
	assert_true(packet_allows_error(&frame.packet));
	icmp.type = ICMP_TYPE_TIME_EXCEEDED;
	assert_true(packet_build_icmp(&frame, &link_all, &from.addr, &to.addr, &icmp, NULL, 0));
	assert_false(packet_allows_error(&frame.packet));
}

static void test_quote(void **state)
{
	(void)state;
	const size_t sizes[] = { 0, 1, 8, 519, 520, 521, 1472 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec iov = { data, sizes[i] };
		struct frame frame;
		uint8_t *quote = malloc(ICMP_QUOTE_MAX);
		struct icmp_quote parsed;

		assert_non_null(quote);
		assert_true(packet_build_udp(&frame, &link_all, &from, &to, &iov, 1));
		size_t size = packet_quote(&frame, quote);
		size_t whole = sizes[i] + 28;
		assert_int_equal(size, whole < ICMP_QUOTE_MAX ? whole : ICMP_QUOTE_MAX);
		struct reader reader = reader_of(quote, size);
		assert_true(icmp_parse_quote(&reader, &parsed));
		assert_int_equal(parsed.ip.total_size, whole);
		assert_int_equal(parsed.payload_size, size - 20);
		assert_memory_equal(parsed.payload + 8, data, size - 28);
		free(quote);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),	     cmocka_unit_test(test_udp_partial),
		cmocka_unit_test(test_udp_gso_mark), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_default_ttl),  cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_gso_mark), cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_arp),	     cmocka_unit_test(test_set_macs),
		cmocka_unit_test(test_allows_error), cmocka_unit_test(test_quote),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
