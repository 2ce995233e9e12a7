/* What a guest may say it is, frame by frame. */
#include "filter/filter_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define GUEST	"\x0a\x00\x00\x02"
#define OTHER	"\x0a\x00\x00\x03"
#define WORLD	"\x08\x08\x08\x08"
#define NOBODY	"\x00\x00\x00\x00"
#define TO_ALL	"\xff\xff\xff\xff"
#define GROUP	"\xe0\x00\x00\xfb"
#define MAC	"\x02\x00\x00\x00\x00\x02"
#define MAC_2	"\x02\x00\x00\x00\x00\x03"
#define MAC_ALL "\xff\xff\xff\xff\xff\xff"

static struct filter_binding bound(void)
{
	return (struct filter_binding){ { { 2, 0, 0, 0, 0, 2 } }, ip_addr_from_v4(0x0a000002) };
}

struct bytes {
	uint8_t at[128];
	size_t size;
};

static void put(struct bytes *bytes, const void *from, size_t size)
{
	assert_true(bytes->size + size <= sizeof(bytes->at));
	memcpy(bytes->at + bytes->size, from, size);
	bytes->size += size;
}

static struct bytes ether(const char *source, unsigned type)
{
	struct bytes bytes = { .size = 0 };
	const uint8_t type_bytes[2] = { (uint8_t)(type >> 8), (uint8_t)type };

	put(&bytes, MAC_ALL, 6);
	put(&bytes, source, 6);
	put(&bytes, type_bytes, 2);
	return bytes;
}

static struct bytes arp(const char *ether_mac, unsigned operation, const char *mac,
			const char *addr)
{
	struct bytes bytes = ether(ether_mac, 0x0806);
	const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, (uint8_t)operation };

	put(&bytes, head, sizeof(head));
	put(&bytes, mac, 6);
	put(&bytes, addr, 4);
	put(&bytes, MAC_ALL, 6);
	put(&bytes, WORLD, 4);
	return bytes;
}

static void finish_ip(struct bytes *bytes, unsigned header_size)
{
	uint8_t *ip = bytes->at + 14;
	uint32_t sum = 0;

	ip[3] = (uint8_t)(bytes->size - 14);
	for (unsigned i = 0; i < header_size; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = (uint8_t)(~sum >> 8);
	ip[11] = (uint8_t)~sum;
}

struct ipv4 {
	const char *source;
	const char *destination;
	uint8_t protocol;
	uint16_t from;
	uint16_t to;
	uint16_t fragment; /* the field: flags and offset */
	bool options;
};

static struct bytes ipv4(const char *mac, struct ipv4 what)
{
	struct bytes bytes = ether(mac, 0x0800);
	const uint8_t head[12] = { what.options ? 0x46 : 0x45,
				   0,
				   0,
				   0,
				   0,
				   1,
				   (uint8_t)(what.fragment >> 8),
				   (uint8_t)what.fragment,
				   64,
				   what.protocol };
	const uint8_t udp[12] = { (uint8_t)(what.from >> 8),
				  (uint8_t)what.from,
				  (uint8_t)(what.to >> 8),
				  (uint8_t)what.to,
				  0,
				  12 };

	put(&bytes, head, sizeof(head));
	put(&bytes, what.source, 4);
	put(&bytes, what.destination, 4);
	if (what.options)
		put(&bytes, "\x83\x03\x04\x00", 4); /* loose source route */
	put(&bytes, udp, sizeof(udp));
	finish_ip(&bytes, what.options ? 24 : 20);
	return bytes;
}

/* What the judge says, or that the frame does not even get to him. */
static enum drop_reason judge(const struct bytes *bytes, const struct filter_binding *binding)
{
	enum drop_reason reason = DROP_REASON_COUNT;
	struct frame frame;

	if (!frame_from_bytes(&frame, bytes->at, bytes->size, 0, &reason))
		return reason;
	return filter_judge_source(&frame, binding, &reason) ? DROP_REASON_COUNT : reason;
}

static void test_arp(void **state)
{
	static const struct {
		const char *ether_mac;
		unsigned operation;
		const char *mac;
		const char *addr;
		enum drop_reason wanted; /* DROP_REASON_COUNT: passes */
	} rows[] = {
		{ MAC, 1, MAC, GUEST, DROP_REASON_COUNT },
		{ MAC, 2, MAC, GUEST, DROP_REASON_COUNT },
		{ MAC, 1, MAC, NOBODY, DROP_REASON_COUNT },
		{ MAC, 1, MAC, OTHER, DROP_BAD_ARP },
		{ MAC, 2, MAC, OTHER, DROP_BAD_ARP },
		{ MAC, 1, MAC_2, GUEST, DROP_BAD_ARP },
		{ MAC_2, 1, MAC_2, GUEST, DROP_BAD_SOURCE_MAC },
		{ MAC, 3, MAC, GUEST, DROP_BAD_ARP },
		{ MAC, 8, MAC, NOBODY, DROP_BAD_ARP },
	};
	const struct filter_binding binding = bound();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes bytes =
			arp(rows[i].ether_mac, rows[i].operation, rows[i].mac, rows[i].addr);
		if (judge(&bytes, &binding) != rows[i].wanted)
			fail_msg("row %zu", i);
	}
}

/* Hardware type, protocol type and both sizes are Ethernet's and IPv4's; nothing is cut off. */
static void test_arp_of_another_kind(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = { { 15, 2 }, { 16, 0x86 }, { 18, 5 }, { 19, 3 }, { 19, 16 } };
	const struct filter_binding binding = bound();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes bytes = arp(MAC, 1, MAC, NOBODY);
		bytes.at[rows[i].at] = rows[i].value;
		assert_int_equal(judge(&bytes, &binding), DROP_BAD_ARP);
	}
	for (size_t size = 14; size < 42; size++) {
		struct bytes bytes = arp(MAC, 1, MAC, NOBODY);
		bytes.size = size;
		assert_int_equal(judge(&bytes, &binding), DROP_BAD_ARP);
	}
}

static void test_ipv4(void **state)
{
	static const struct {
		const char *mac;
		struct ipv4 what;
		enum drop_reason wanted;
	} rows[] = {
		{ MAC, { GUEST, WORLD, 17, 1000, 53, 0, false }, DROP_REASON_COUNT },
		{ MAC, { GUEST, WORLD, 17, 1000, 53, .fragment = 0x2000 }, DROP_REASON_COUNT },
		{ MAC, { GUEST, WORLD, 50, 0, 0, 0, false }, DROP_REASON_COUNT },
		{ MAC, { OTHER, WORLD, 17, 1000, 53, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { WORLD, GUEST, 17, 1000, 53, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, WORLD, 17, 1000, 53, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC_2, { GUEST, WORLD, 17, 1000, 53, 0, false }, DROP_BAD_SOURCE_MAC },
		{ MAC, { GUEST, WORLD, 17, 1000, 53, .options = true }, DROP_IP_OPTIONS },
		{ MAC, { GUEST, GROUP, 17, 5353, 5353, 0, false }, DROP_FILTERED },
		{ MAC, { GUEST, TO_ALL, 17, 1000, 9, 0, false }, DROP_FILTERED },
		/* DHCP: of whoever has no address, and of the one who has it */
		{ MAC, { NOBODY, TO_ALL, 17, 68, 67, 0, false }, DROP_REASON_COUNT },
		{ MAC, { GUEST, TO_ALL, 17, 68, 67, 0, false }, DROP_REASON_COUNT },
		{ MAC, { OTHER, TO_ALL, 17, 68, 67, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, WORLD, 17, 68, 67, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, TO_ALL, 17, 68, 53, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, TO_ALL, 17, 5353, 67, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, TO_ALL, 50, 68, 67, 0, false }, DROP_BAD_SOURCE_ADDRESS },
		{ MAC,
		  { NOBODY, TO_ALL, 17, 68, 67, .fragment = 0x2000 },
		  DROP_BAD_SOURCE_ADDRESS },
		{ MAC, { NOBODY, TO_ALL, 17, 68, 67, .options = true }, DROP_IP_OPTIONS },
	};
	const struct filter_binding binding = bound();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes bytes = ipv4(rows[i].mac, rows[i].what);
		if (judge(&bytes, &binding) != rows[i].wanted)
			fail_msg("row %zu", i);
	}
}

/* Without an address of its own: probes and DHCP, nothing else. */
static void test_no_address_yet(void **state)
{
	const struct filter_binding binding = { .mac = { { 2, 0, 0, 0, 0, 2 } } };
	struct bytes probe = arp(MAC, 1, MAC, NOBODY);
	struct bytes claim = arp(MAC, 1, MAC, GUEST);
	struct bytes dhcp = ipv4(MAC, (struct ipv4){ NOBODY, TO_ALL, 17, 68, 67, 0, false });
	struct bytes datagram = ipv4(MAC, (struct ipv4){ GUEST, WORLD, 17, 1000, 53, 0, false });
	struct bytes nobody = ipv4(MAC, (struct ipv4){ NOBODY, WORLD, 17, 1000, 53, 0, false });

	(void)state;
	assert_int_equal(judge(&probe, &binding), DROP_REASON_COUNT);
	assert_int_equal(judge(&dhcp, &binding), DROP_REASON_COUNT);
	assert_int_equal(judge(&claim, &binding), DROP_BAD_ARP);
	assert_int_equal(judge(&datagram, &binding), DROP_BAD_SOURCE_ADDRESS);
	assert_int_equal(judge(&nobody, &binding), DROP_BAD_SOURCE_ADDRESS);
}

static void test_other_types(void **state)
{
	static const uint8_t router_advertisement[] = {
		0x60, 0, 0,   0, 0, 16,	  58, 255, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0,    0, 0,   0, 2, 0xff, 2,  0,   0,	 0,    0, 0, 0, 0, 0, 0, 0, 0, 0,
		0,    1, 134, 0, 0, 0,	  64, 0,   0,	 0,    0, 0, 0, 0, 0, 0, 0, 0,
	};
	static const unsigned types[] = { 0x8100, 0x88a8, 0x9100, 0x88cc,
					  0x8863, 0x0842, 0x0100, 0x0000 };
	const struct filter_binding binding = bound();
	struct bytes bytes = ether(MAC, 0x86dd);

	(void)state;
	put(&bytes, router_advertisement, sizeof(router_advertisement));
	assert_int_equal(judge(&bytes, &binding), DROP_IPV6_OFF);
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		bytes = ether(MAC, types[i]);
		put(&bytes, "\x00\x01\x08\x00\x45\x00\x00\x14", 8);
		assert_int_equal(judge(&bytes, &binding), DROP_UNKNOWN_ETHERTYPE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp),	    cmocka_unit_test(test_arp_of_another_kind),
		cmocka_unit_test(test_ipv4),	    cmocka_unit_test(test_no_address_yet),
		cmocka_unit_test(test_other_types),
	};

	return cmocka_run_group_tests_name("filter_source", tests, NULL, NULL);
}
