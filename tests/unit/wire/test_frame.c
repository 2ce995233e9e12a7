#include "packet_equal.h"
#include "wire_test.h"

#include "wire/frame.h"
#include "wire/packet_build.h"

static const struct ip_endpoint *guest(void)
{
	static struct ip_endpoint endpoint;

	endpoint = (struct ip_endpoint){ v4(10, 0, 0, 2), 4000 };
	return &endpoint;
}

static const struct ip_endpoint *world(void)
{
	static struct ip_endpoint endpoint;

	endpoint = (struct ip_endpoint){ v4(1, 2, 3, 4), 53 };
	return &endpoint;
}

/* A datagram as bytes. */
static size_t udp_bytes(uint8_t *bytes, size_t capacity, const void *payload, size_t size)
{
	struct frame frame;
	const struct packet_link link = { .id = 5 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };

	assert_true(packet_build_udp(&frame, &link, guest(), world(), &iov, 1));
	size_t written = frame_copy(&frame, bytes, capacity);
	assert_int_not_equal(written, 0);
	return written;
}

static void test_from_bytes(void **state)
{
	(void)state;
	uint8_t bytes[100] = { 0 };
	size_t size = udp_bytes(bytes, sizeof(bytes), "hello", 5);
	struct frame frame;
	enum drop_reason reason;
	char payload[5];

	assert_int_equal(size, 47);
	memset(bytes + size, 0xee, 60 - size); /* padding is cut off */
	assert_true(frame_from_bytes(&frame, bytes, 60, 3, &reason));
	assert_int_equal(frame.port, 3);
	assert_int_equal(frame.header_size, 42);
	assert_int_equal(frame.payload_size, 5);
	assert_int_equal(frame.payload_count, 1);
	assert_int_equal(frame_size(&frame), 47);
	frame_copy_payload(&frame, 0, payload, 5);
	assert_memory_equal(payload, "hello", 5);
	frame_copy_payload(&frame, 4, payload, 1);
	assert_int_equal(payload[0], 'o');
	frame_copy_payload(&frame, 5, payload, 0);

	/* The header is a copy: what the guest does to its memory now changes nothing. */
	memset(bytes, 0, 42);
	assert_int_equal(frame.header[12], 0x08);
	assert_true(frame_verify_checksum(&frame));
}

static void test_l4_reader(void **state)
{
	(void)state;
	uint8_t bytes[100] = { 0 };
	size_t size = udp_bytes(bytes, sizeof(bytes), "x", 1);
	struct frame frame;
	enum drop_reason reason;

	assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
	struct reader reader = frame_l4_reader(&frame);
	assert_int_equal(reader_left(&reader), 8);
	assert_int_equal(reader_u16(&reader), 4000);
	frame.packet.has_l4 = false;
	reader = frame_l4_reader(&frame);
	assert_int_equal(reader_u16(&reader), 0);
	assert_false(reader_ok(&reader));
}

static void test_sizes(void **state)
{
	(void)state;
	uint8_t *bytes = calloc(1, FRAME_MAX_SIZE + 1);
	struct frame frame;
	enum drop_reason reason = DROP_REASON_COUNT;

	assert_non_null(bytes);
	bytes[12] = 0x88; /* some ethertype */
	assert_false(frame_from_bytes(&frame, bytes, 0, 0, &reason));
	assert_int_equal(reason, DROP_SHORT_FRAME);
	assert_false(frame_from_bytes(&frame, bytes, 13, 0, &reason));
	assert_int_equal(reason, DROP_SHORT_FRAME);
	assert_false(frame_from_bytes(&frame, bytes, FRAME_MAX_SIZE + 1, 0, &reason));
	assert_int_equal(reason, DROP_LONG_FRAME);

	const size_t sizes[] = { 14, 15, 255, 256, 257, FRAME_MAX_SIZE };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t header = sizes[i] < FRAME_HEADER_MAX ? sizes[i] : FRAME_HEADER_MAX;
		assert_true(frame_from_bytes(&frame, bytes, sizes[i], 0, &reason));
		assert_int_equal(frame.header_size, header);
		assert_int_equal(frame_size(&frame), sizes[i]);
		assert_int_equal(frame.payload_count, sizes[i] > FRAME_HEADER_MAX ? 1 : 0);
	}
	free(bytes);
}

static void test_copy(void **state)
{
	(void)state;
	uint8_t bytes[100];
	uint8_t copy[100];
	size_t size = udp_bytes(bytes, sizeof(bytes), "hello", 5);
	struct frame frame;
	enum drop_reason reason;

	assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
	assert_int_equal(frame_copy(&frame, copy, size - 1), 0);
	assert_int_equal(frame_copy(&frame, copy, size), size);
	assert_memory_equal(copy, bytes, size);
}

static void test_copy_from_parts(void **state)
{
	(void)state;
	char text[] = "abcdefgh";
	struct iovec parts[] = {
		{ text, 1 },
		{ text + 1, 0 },
		{ text + 1, 3 },
		{ text + 4, 4 },
	};
	struct frame frame = { .payload = parts, .payload_count = 4, .payload_size = 8 };

	for (size_t from = 0; from <= 8; from++) {
		for (size_t size = 0; from + size <= 8; size++) {
			char copy[9] = "";
			frame_copy_payload(&frame, from, copy, size);
			assert_memory_equal(copy, text + from, size);
			assert_int_equal(copy[size], 0);
		}
	}
}

/* Every single changed byte of header or payload is seen. */
static void test_verify_udp(void **state)
{
	(void)state;
	uint8_t bytes[100];
	size_t size = udp_bytes(bytes, sizeof(bytes), "hello", 5);
	struct frame frame;
	enum drop_reason reason;

	for (size_t i = 34; i < size; i++) {
		if (i == 38 || i == 39) /* the size is dissection's to refuse */
			continue;
		bytes[i] ^= 0x40;
		assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
		assert_false(frame_verify_checksum(&frame));
		assert_false(frame.offload.checksum_valid);
		/* Marked frames are taken on trust. */
		frame.offload.checksum_partial = true;
		assert_true(frame_verify_checksum(&frame));
		bytes[i] ^= 0x40;
	}
	bytes[40] = 0;
	bytes[41] = 0;
	assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
	assert_true(frame_verify_checksum(&frame));
	assert_true(frame.offload.checksum_valid);
	frame.offload.checksum_valid = false;
	frame.packet.kind = PACKET_IPV6; /* there a checksum is a must */
	assert_false(frame_verify_checksum(&frame));
}

static void test_verify_icmp(void **state)
{
	(void)state;
	const struct packet_link link = { .id = 1 };
	const struct icmp_header echo = { .type = ICMP_TYPE_ECHO_REQUEST, .identifier = 9 };
	char data[] = "odd";
	struct iovec iov = { data, 3 };
	struct frame frame;
	uint8_t bytes[100];
	enum drop_reason reason;

	assert_true(
		packet_build_icmp(&frame, &link, &guest()->addr, &world()->addr, &echo, &iov, 1));
	size_t size = frame_copy(&frame, bytes, sizeof(bytes));
	assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
	assert_true(frame_verify_checksum(&frame));
	bytes[size - 1]++;
	assert_true(frame_from_bytes(&frame, bytes, size, 0, &reason));
	assert_false(frame_verify_checksum(&frame));
}

static void test_verify_icmp6(void **state)
{
	(void)state;
	/* An echo request fe80::1 -> fe80::2; the sum was worked out by hand: pseudo header
	 * fe80+1+fe80+2+8+3a, message 8000+1234+1. */
	uint8_t bytes[62] = { [12] = 0x86, 0xdd,	0x60,	  [19] = 8,    58,   64,
			      0xfe,	   0x80,	[37] = 1, [38] = 0xfe, 0x80, [53] = 2,
			      [54] = 128,  [58] = 0x12, 0x34,	  0,	       1 };
	uint32_t sum = 0xfe80 + 1 + 0xfe80 + 2 + 8 + 0x3a + 0x8000 + 0x1234 + 1;
	struct frame frame;
	enum drop_reason reason;

	sum = (sum & 0xffff) + (sum >> 16);
	bytes[56] = (uint8_t)(~sum >> 8);
	bytes[57] = (uint8_t)~sum;
	assert_true(frame_from_bytes(&frame, bytes, sizeof(bytes), 0, &reason));
	assert_true(frame.packet.has_l4);
	assert_true(frame_verify_checksum(&frame));
	bytes[61]++;
	assert_true(frame_from_bytes(&frame, bytes, sizeof(bytes), 0, &reason));
	assert_false(frame_verify_checksum(&frame));
}

/* The same frame, from one piece and from many: nothing differs but where the payload stands. */
static void test_parts(void **state)
{
	(void)state;
	const struct packet_link link = {};
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 80 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	const struct tcp_header header = { .sequence = 1, .flags = TCP_ACK };
	uint8_t data[3000];
	uint8_t bytes[4000];
	struct iovec payload = { data, sizeof(data) };
	struct frame built;
	uint32_t seed = 3;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
	assert_true(packet_build_tcp(&built, &link, &from, &to, &header, &payload, 1, 0));
	size_t size = frame_copy(&built, bytes, sizeof(bytes));

	for (unsigned round = 0; round < 300; round++) {
		struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
		struct iovec place[FRAME_PAYLOAD_MAX_PARTS];
		size_t count = 1 + next_random(&seed) % FRAME_PAYLOAD_MAX_PARTS;
		size_t done = 0;
		struct frame frame;
		enum drop_reason reason;
		uint8_t again[4000];

		for (size_t i = 0; i < count; i++) {
			size_t left = size - done;
			size_t now = i + 1 == count ? left : next_random(&seed) % (left / 2 + 1);

			parts[i] = (struct iovec){ exact_copy(bytes + done, now), now };
			done += now;
		}
		assert_true(frame_from_parts(&frame, parts, count, size, 7, place, &reason));
		assert_int_equal(frame.port, 7);
		assert_packet_equal(&frame.packet, &built.packet);
		assert_int_equal(frame_copy(&frame, again, sizeof(again)), size);
		assert_memory_equal(again, bytes, size);
		for (size_t i = 0; i < count; i++)
			free(parts[i].iov_base);
	}
}

static void test_check_offload(void **state)
{
	(void)state;
	const struct packet_link link = {};
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 80 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	const struct tcp_header header = { .sequence = 1, .flags = TCP_ACK };
	uint8_t data[3000] = { 0 };
	struct iovec payload = { data, sizeof(data) };
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, &payload, 1, 1000));
	assert_true(frame_check_offload(&frame));
	/* CVE-2024-11614: a start beyond the packet, and any other that we did not find. */
	frame.offload.checksum_start = 60000;
	assert_false(frame_check_offload(&frame));
	frame.offload.checksum_start = (uint16_t)(frame.packet.l4_offset + 1);
	assert_false(frame_check_offload(&frame));
	frame.offload.checksum_start = frame.packet.l4_offset;
	frame.offload.checksum_offset = 6; /* UDP's */
	assert_false(frame_check_offload(&frame));
	frame.offload.checksum_offset = 16;
	frame.offload.gso = FRAME_GSO_TCP6;
	assert_false(frame_check_offload(&frame));
	frame.offload.gso = FRAME_GSO_UDP;
	assert_false(frame_check_offload(&frame));
	frame.offload.gso = FRAME_GSO_TCP4;
	frame.offload.gso_size = 0;
	assert_false(frame_check_offload(&frame));
	/* A whole sum says nothing about the pieces. */
	frame.offload = (struct frame_offload){ .gso = FRAME_GSO_TCP4, .gso_size = 1000 };
	assert_false(frame_check_offload(&frame));
	frame.offload = (struct frame_offload){};
	assert_true(frame_check_offload(&frame));
}

static void test_acknowledgement(void **state)
{
	static const struct {
		uint8_t flags;
		size_t payload;
		bool expected;
	} cases[] = {
		{ TCP_ACK, 0, true },
		{ TCP_ACK | TCP_PSH, 0, true },
		{ TCP_ACK, 1, false },
		{ TCP_ACK | TCP_SYN, 0, false },
		{ TCP_ACK | TCP_FIN, 0, false },
		{ TCP_ACK | TCP_RST, 0, false },
		{ TCP_SYN, 0, false },
		{ TCP_RST, 0, false },
	};
	const struct packet_link link = { .source.octet = { 2, 0, 0, 0, 0, 1 } };
	const struct ip_endpoint from = { ip_addr_from_v4(0x0a000001), 1 };
	const struct ip_endpoint to = { ip_addr_from_v4(0x0a000002), 2 };
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct tcp_header header = { .flags = cases[i].flags };
		const struct iovec part = { (char[]){ 0 }, cases[i].payload };

		assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, &part, 1, 0));
		assert_int_equal(frame_is_acknowledgement(&frame), cases[i].expected);
	}
	assert_true(packet_build_udp(&frame, &link, &from, &to, NULL, 0));
	assert_false(frame_is_acknowledgement(&frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acknowledgement),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_check_offload),
		cmocka_unit_test(test_from_bytes),
		cmocka_unit_test(test_l4_reader),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_from_parts),
		cmocka_unit_test(test_verify_udp),
		cmocka_unit_test(test_verify_icmp),
		cmocka_unit_test(test_verify_icmp6),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
