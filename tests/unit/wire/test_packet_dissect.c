#include "wire_test.h"

#include "wire/checksum.h"
#include "wire/ether.h"
#include "wire/ipv4.h"
#include "wire/packet_dissect.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define L3 ETHER_HEADER_SIZE
#define L4 (ETHER_HEADER_SIZE + IPV4_HEADER_SIZE)

static const struct ether_header ipv4_ether = {
	.destination = { { 2, 0, 0, 0, 0, 1 } },
	.source = { { 2, 0, 0, 0, 0, 9 } },
	.type = ETHER_TYPE_IPV4,
};

static struct ipv4_header ipv4_of(uint8_t protocol, size_t l4_size)
{
	return (struct ipv4_header){
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + l4_size),
		.tos = 0x12,
		.id = 0x4321,
		.ttl = 9,
		.protocol = protocol,
		.source = v4(10, 0, 0, 2),
		.destination = v4(10, 0, 0, 1),
	};
}

static size_t make_udp(uint8_t *bytes, size_t size, size_t payload_size)
{
	struct writer writer = writer_of(bytes, size);
	struct ipv4_header ip = ipv4_of(17, UDP_HEADER_SIZE + payload_size);
	struct udp_header udp = { 68, 67, (uint16_t)(UDP_HEADER_SIZE + payload_size), 0 };

	ether_build(&writer, &ipv4_ether);
	ipv4_build(&writer, &ip);
	udp_build(&writer, &udp);
	writer_zeroes(&writer, payload_size);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static size_t make_l4(uint8_t *bytes, size_t size, uint8_t protocol, const void *l4, size_t l4_size)
{
	struct writer writer = writer_of(bytes, size);
	struct ipv4_header ip = ipv4_of(protocol, l4_size);

	ether_build(&writer, &ipv4_ether);
	ipv4_build(&writer, &ip);
	writer_bytes(&writer, l4, l4_size);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static bool dissect(const uint8_t *bytes, size_t size, struct packet *packet,
		    enum drop_reason *reason)
{
	uint8_t *copy = exact_copy(bytes, size);
	bool good = packet_dissect(copy, size, size, packet, reason);

	free(copy);
	return good;
}

static void assert_dropped(const uint8_t *bytes, size_t size, enum drop_reason want)
{
	struct packet packet = { .ether_type = 0x7777 };
	enum drop_reason reason = DROP_REASON_COUNT;

	assert_false(dissect(bytes, size, &packet, &reason));
	assert_int_equal(reason, want);
	assert_int_equal(packet.ether_type, 0x7777);
}

static void fix_ip_checksum(uint8_t *bytes)
{
	size_t size = (size_t)(bytes[L3] & 15) * 4;

	bytes[L3 + 10] = 0;
	bytes[L3 + 11] = 0;
	uint16_t checksum = checksum_finish(checksum_add(0, bytes + L3, size, false));
	bytes[L3 + 10] = (uint8_t)(checksum >> 8);
	bytes[L3 + 11] = (uint8_t)checksum;
}

static void test_udp(void **state)
{
	(void)state;
	uint8_t bytes[100];
	size_t size = make_udp(bytes, sizeof(bytes), 5);
	struct packet packet;
	enum drop_reason reason;
	struct ip_addr source = v4(10, 0, 0, 2);

	assert_true(dissect(bytes, size, &packet, &reason));
	assert_int_equal(packet.kind, PACKET_IPV4);
	assert_int_equal(packet.ether_type, 0x0800);
	assert_true(mac_addr_equal(&packet.mac_source, &ipv4_ether.source));
	assert_true(mac_addr_equal(&packet.mac_destination, &ipv4_ether.destination));
	assert_true(ip_addr_equal(&packet.ip_source, &source));
	assert_int_equal(packet.ip_tos, 0x12);
	assert_int_equal(packet.ip_id, 0x4321);
	assert_int_equal(packet.ip_ttl, 9);
	assert_int_equal(packet.ip_total_size, 33);
	assert_true(packet.has_l4);
	assert_int_equal(packet.l3_offset, 14);
	assert_int_equal(packet.l4_offset, 34);
	assert_int_equal(packet.payload_offset, 42);
	assert_int_equal(packet.port_source, 68);
	assert_int_equal(packet.port_destination, 67);
	assert_false(packet.ip_is_fragment);
	assert_false(packet.ip_has_options);
}

/* passt f072bc0: 60-byte padded frames. */
static void test_padding(void **state)
{
	(void)state;
	uint8_t bytes[100] = { 0 };
	size_t size = make_udp(bytes, sizeof(bytes), 0);
	struct packet packet;
	enum drop_reason reason;

	assert_int_equal(size, 42);
	memset(bytes + size, 0xff, 60 - size);
	assert_true(dissect(bytes, 60, &packet, &reason));
	assert_int_equal(packet.ip_total_size, 28);
	assert_true(packet.has_l4);
}

static void test_every_short_size(void **state)
{
	(void)state;
	uint8_t bytes[100];
	size_t size = make_udp(bytes, sizeof(bytes), 5);

	for (size_t cut = 0; cut < ETHER_HEADER_SIZE; cut++)
		assert_dropped(bytes, cut, DROP_SHORT_FRAME);
	for (size_t cut = ETHER_HEADER_SIZE; cut < size; cut++)
		assert_dropped(bytes, cut, DROP_BAD_IP_HEADER);
}

static void test_bad_ipv4(void **state)
{
	(void)state;
	const struct {
		size_t offset;
		uint8_t value;
	} rows[] = {
		{ 0, 0x55 }, { 0, 0x65 }, { 0, 0x44 }, { 0, 0x4f }, { 2, 1 }, { 3, 19 }, { 3, 34 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[100] = { 0 };
		size_t size = make_udp(bytes, sizeof(bytes), 5);
		bytes[L3 + rows[i].offset] = rows[i].value;
		if (bytes[L3] == 0x45)
			fix_ip_checksum(bytes);
		assert_dropped(bytes, size, DROP_BAD_IP_HEADER);
	}

	uint8_t bytes[100];
	size_t size = make_udp(bytes, sizeof(bytes), 5);
	bytes[L3 + 8]++;
	assert_dropped(bytes, size, DROP_BAD_IP_CHECKSUM);
}

static void test_options(void **state)
{
	(void)state;
	uint8_t bytes[100] = { 0 };
	struct packet packet;
	enum drop_reason reason;

	(void)make_udp(bytes, sizeof(bytes), 20);
	bytes[L3] = 0x48; /* the 12 bytes of UDP and payload behind are options now */
	memset(bytes + L4, 1, 12);
	memcpy(bytes + L4 + 12, "\0\1\0\2\0\x10\0\0", 8);
	fix_ip_checksum(bytes);
	assert_true(dissect(bytes, L4 + 28, &packet, &reason));
	assert_true(packet.ip_has_options);
	assert_int_equal(packet.l4_offset, 46);
	assert_int_equal(packet.port_destination, 2);
}

/* CVE-2021-3594, CVE-2020-10756: a size that is not what is there. */
static void test_bad_udp(void **state)
{
	(void)state;
	const uint8_t sizes[] = { 0, 7, 8, 12, 14, 255 };
	uint8_t bytes[100];
	size_t size = make_udp(bytes, sizeof(bytes), 5);

	for (size_t i = 0; i < sizeof(sizes); i++) {
		bytes[L4 + 5] = sizes[i];
		assert_dropped(bytes, size, DROP_BAD_L4_HEADER);
	}
	for (size_t l4_size = 0; l4_size < UDP_HEADER_SIZE; l4_size++) {
		uint8_t l4[UDP_HEADER_SIZE] = { 0, 1, 0, 2, 0, (uint8_t)l4_size };
		size = make_l4(bytes, sizeof(bytes), 17, l4, l4_size);
		memset(bytes + size, 0, 60 - size); /* the padding does not help */
		assert_dropped(bytes, 60, DROP_BAD_L4_HEADER);
	}
}

static void test_tcp(void **state)
{
	(void)state;
	uint8_t bytes[200];
	uint8_t l4[TCP_HEADER_MAX + 4] = { 1, 2, 3, 4 };
	struct packet packet;
	enum drop_reason reason;

	for (size_t words = 0; words < 16; words++) {
		l4[12] = (uint8_t)(words << 4);
		size_t size = make_l4(bytes, sizeof(bytes), 6, l4, sizeof(l4));
		if (words < 5) {
			assert_dropped(bytes, size, DROP_BAD_L4_HEADER);
			continue;
		}
		assert_true(dissect(bytes, size, &packet, &reason));
		assert_int_equal(packet.payload_offset, L4 + words * 4);
		assert_int_equal(packet.port_source, 0x0102);
		assert_int_equal(packet.port_destination, 0x0304);
		/* One byte less than the header says. */
		size = make_l4(bytes, sizeof(bytes), 6, l4, words * 4 - 1);
		assert_dropped(bytes, size, DROP_BAD_L4_HEADER);
	}
}

static void test_icmp(void **state)
{
	(void)state;
	uint8_t bytes[100];
	const uint8_t echo[] = { 8, 0, 0, 0, 0xab, 0xcd, 0, 1, 'x' };
	const uint8_t error[] = { 3, 4, 0, 0, 0, 0, 5, 0 };
	struct packet packet;
	enum drop_reason reason;

	size_t size = make_l4(bytes, sizeof(bytes), 1, echo, sizeof(echo));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_int_equal(packet.icmp_type, 8);
	assert_int_equal(packet.port_source, 0xabcd);
	assert_int_equal(packet.port_destination, 0xabcd);
	assert_int_equal(packet.payload_offset, L4 + 8);
	size = make_l4(bytes, sizeof(bytes), 1, error, sizeof(error));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_int_equal(packet.icmp_code, 4);
	assert_int_equal(packet.port_source, 0);
	size = make_l4(bytes, sizeof(bytes), 1, echo, 7);
	assert_dropped(bytes, size, DROP_BAD_L4_HEADER);
	/* ICMPv6 inside IPv4 is some protocol that we do not know. */
	size = make_l4(bytes, sizeof(bytes), 58, echo, 3);
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_false(packet.has_l4);
}

static void test_fragments(void **state)
{
	(void)state;
	const struct {
		uint16_t field;
		bool fragment;
		bool more;
		uint16_t offset;
	} rows[] = {
		{ 0x0000, false, false, 0 },   { 0x4000, false, false, 0 },
		{ 0x2000, true, true, 0 },     { 0x0001, true, false, 8 },
		{ 0x3fff, true, true, 65528 }, { 0x8000, false, false, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[100];
		struct packet packet;
		enum drop_reason reason;
		size_t size = make_udp(bytes, sizeof(bytes), 8);

		bytes[L3 + 6] = (uint8_t)(rows[i].field >> 8);
		bytes[L3 + 7] = (uint8_t)rows[i].field;
		fix_ip_checksum(bytes);
		assert_true(dissect(bytes, size, &packet, &reason));
		assert_int_equal(packet.ip_is_fragment, rows[i].fragment);
		assert_int_equal(packet.ip_more_fragments, rows[i].more);
		assert_int_equal(packet.ip_fragment_offset, rows[i].offset);
		assert_int_equal(packet.has_l4, !rows[i].fragment);
		assert_int_equal(packet.payload_offset, rows[i].fragment ? L4 : L4 + 8);
	}
}

static size_t make_ipv6(uint8_t *bytes, uint8_t next_header, const void *l4, size_t l4_size)
{
	struct writer writer = writer_of(bytes, 200);
	struct ether_header ether = ipv4_ether;
	uint8_t addr[16] = { 0xfd, [15] = 1 };

	ether.type = ETHER_TYPE_IPV6;
	ether_build(&writer, &ether);
	writer_u32(&writer, 0x6ab12345);
	writer_u16(&writer, (uint16_t)l4_size);
	writer_u8(&writer, next_header);
	writer_u8(&writer, 255);
	writer_bytes(&writer, addr, sizeof(addr));
	addr[15] = 2;
	writer_bytes(&writer, addr, sizeof(addr));
	writer_bytes(&writer, l4, l4_size);
	return writer.position;
}

static void test_ipv6(void **state)
{
	(void)state;
	const uint8_t udp[] = { 0, 53, 0, 54, 0, 9, 0, 0, 'x' };
	const uint8_t echo[] = { 128, 0, 0, 0, 0x12, 0x34, 0, 1 };
	uint8_t bytes[200];
	struct packet packet;
	enum drop_reason reason;

	size_t size = make_ipv6(bytes, 17, udp, sizeof(udp));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_int_equal(packet.kind, PACKET_IPV6);
	assert_int_equal(packet.ip_source.family, IP_FAMILY_V6);
	assert_int_equal(packet.ip_destination.octet[15], 2);
	assert_int_equal(packet.ip_tos, 0xab);
	assert_int_equal(packet.ip_ttl, 255);
	assert_int_equal(packet.ip_total_size, 49);
	assert_int_equal(packet.port_destination, 54);
	assert_int_equal(packet.payload_offset, 62);
	for (size_t cut = ETHER_HEADER_SIZE; cut < size; cut++)
		assert_dropped(bytes, cut, DROP_BAD_IP_HEADER);
	bytes[14] = 0x45;
	assert_dropped(bytes, size, DROP_BAD_IP_HEADER);

	size = make_ipv6(bytes, 58, echo, sizeof(echo));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_int_equal(packet.port_source, 0x1234);
	size = make_ipv6(bytes, 58, echo, 7);
	assert_dropped(bytes, size, DROP_BAD_L4_HEADER);

	/* Extension headers are seen, not walked. */
	size = make_ipv6(bytes, 0, echo, sizeof(echo));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_true(packet.ip_has_options);
	assert_false(packet.has_l4);
	assert_int_equal(packet.payload_offset, 54);
	size = make_ipv6(bytes, 44, echo, sizeof(echo));
	assert_true(dissect(bytes, size, &packet, &reason));
	assert_true(packet.ip_is_fragment);
	assert_false(packet.has_l4);
}

static void test_ipv6_longer_than_65535(void **state)
{
	(void)state;
	uint8_t bytes[200] = { 0 };
	struct packet packet;
	enum drop_reason reason = DROP_REASON_COUNT;

	(void)make_ipv6(bytes, 59, "", 0);
	bytes[18] = 0xff;
	bytes[19] = 0xff;
	assert_false(packet_dissect(bytes, sizeof(bytes), 70000, &packet, &reason));
	assert_int_equal(reason, DROP_BAD_IP_HEADER);
}

static void test_other_kinds(void **state)
{
	(void)state;
	const struct {
		uint16_t type;
		enum packet_kind kind;
	} rows[] = {
		{ 0x0806, PACKET_ARP },	  { 0x8100, PACKET_OTHER }, { 0x88cc, PACKET_OTHER },
		{ 0x0000, PACKET_OTHER }, { 0xffff, PACKET_OTHER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[ETHER_HEADER_SIZE] = { 0 };
		struct packet packet;
		enum drop_reason reason;

		bytes[12] = (uint8_t)(rows[i].type >> 8);
		bytes[13] = (uint8_t)rows[i].type;
		assert_true(dissect(bytes, sizeof(bytes), &packet, &reason));
		assert_int_equal(packet.kind, rows[i].kind);
		assert_int_equal(packet.ether_type, rows[i].type);
		assert_false(packet.has_l4);
	}
}

/* Any bytes: offsets stay inside the frame, and nothing is read beyond (AddressSanitizer). */
static void test_random_changes(void **state)
{
	(void)state;
	uint32_t seed = 99;

	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[100];
		struct packet packet;
		enum drop_reason reason;
		size_t size = make_udp(bytes, sizeof(bytes), next_random(&seed) % 40);

		for (int i = 0; i < 4; i++)
			bytes[12 + next_random(&seed) % (size - 12)] = (uint8_t)next_random(&seed);
		fix_ip_checksum(bytes);
		size -= next_random(&seed) % 8;
		if (!dissect(bytes, size, &packet, &reason))
			continue;
		if (packet.kind == PACKET_IPV4 || packet.kind == PACKET_IPV6) {
			assert_true(packet.payload_offset <= size);
			assert_true(packet.l4_offset <= packet.payload_offset);
			assert_true((size_t)packet.l3_offset + packet.ip_total_size <= size);
			assert_true(packet.payload_offset <=
				    packet.l3_offset + packet.ip_total_size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_bad_ipv4),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_udp),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv6_longer_than_65535),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_random_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
