/* The gateway's own lines, plain and wrapped up. */
#include "bridge_test.h"

#include "bridge/guard.h"
#include "wire/frame_fragment.h"

#define PASS DROP_REASON_COUNT

static enum drop_reason judge(const struct bytes *bytes)
{
	const struct ip_addr gateway = ip_addr_from_v4(GATEWAY);
	enum drop_reason reason = PASS;
	struct frame frame;

	frame_of(&frame, bytes);
	return guard_judge(&frame, &gateway, &reason) ? PASS : reason;
}

static struct bytes arp(uint32_t sender_ip, const struct mac_addr *sender_mac, uint16_t operation)
{
	const struct arp_message message = {
		.operation = operation,
		.sender_mac = *sender_mac,
		.sender_ip = ip_addr_from_v4(sender_ip),
		.target_ip = ip_addr_from_v4(OTHER),
	};
	struct frame frame;

	assert_true(packet_build_arp(&frame, &guest_mac, &mac_addr_broadcast, &message));
	return bytes_of(&frame);
}

static void arp_messages(void **state)
{
	const struct {
		uint32_t sender_ip;
		const struct mac_addr *sender_mac;
		enum drop_reason wanted;
	} rows[] = {
		{ GUEST, &guest_mac, PASS },
		{ 0, &guest_mac, PASS }, /* a probe (RFC 5227) */
		{ GATEWAY, &guest_mac, DROP_BAD_ARP },
		{ GATEWAY, &gateway_mac, DROP_BAD_ARP },
		{ GUEST, &gateway_mac, DROP_BAD_ARP },
		{ GUEST, &other_mac, DROP_BAD_ARP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (uint16_t operation = 1; operation <= 2; operation++) {
			struct bytes bytes = arp(rows[i].sender_ip, rows[i].sender_mac, operation);

			assert_int_equal(judge(&bytes), rows[i].wanted);
		}
	}
	/* Cut short. */
	struct bytes bytes = arp(GUEST, &guest_mac, 1);
	bytes.size = 14 + 27;
	assert_int_equal(judge(&bytes), DROP_BAD_ARP);
	bytes.size = 14;
	assert_int_equal(judge(&bytes), DROP_BAD_ARP);
}

static void dhcp_server(void **state)
{
	static const struct {
		uint32_t source;
		uint16_t port;
		enum drop_reason wanted;
	} rows[] = {
		{ GUEST, 67, DROP_DHCP_SERVER_GUARD },
		{ GUEST, 68, PASS },
		{ GUEST, 66, PASS },
		{ GUEST, 547, PASS },
		{ 0, 68, PASS },
		{ GATEWAY, 5000, DROP_BAD_SOURCE_ADDRESS },
		{ GATEWAY, 67, DROP_BAD_SOURCE_ADDRESS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes bytes =
			udp4(&mac_addr_broadcast, rows[i].source, rows[i].port, 68, 300);

		assert_int_equal(judge(&bytes), rows[i].wanted);
	}
}

struct fragments {
	struct bytes at[16];
	size_t count;
};

static void keep_fragment(void *context, const struct frame *frame)
{
	struct fragments *fragments = context;

	assert_true(fragments->count < ARRAY_COUNT(fragments->at));
	fragments->at[fragments->count++] = bytes_of(frame);
}

static void dhcp_server_in_fragments(void **state)
{
	static const uint32_t mtus[] = { 68, 100, 576 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(mtus); i++) {
		struct fragments *fragments = calloc(1, sizeof(*fragments));
		struct bytes whole = udp4(&mac_addr_broadcast, GUEST, 67, 68, 600);
		struct frame frame;

		frame_of(&frame, &whole);
		assert_true(frame_fragment(&frame, mtus[i], keep_fragment, fragments) > 1);
		assert_int_equal(judge(&fragments->at[0]), DROP_DHCP_SERVER_GUARD);
		/* The rest is worth nothing without it. */
		for (size_t j = 1; j < fragments->count; j++)
			assert_int_equal(judge(&fragments->at[j]), PASS);
		free(fragments);
	}
}

/* Other protocols have no ports there. */
static void not_udp(void **state)
{
	struct bytes bytes = udp4(&other_mac, GUEST, 67, 68, 20);
	const struct ip_endpoint from = { ip_addr_from_v4(GUEST), 67 };
	const struct ip_endpoint to = { ip_addr_from_v4(OTHER), 68 };
	const struct packet_link link = { .source = guest_mac, .destination = other_mac };
	const struct tcp_header syn = { .flags = TCP_SYN };
	struct frame frame;

	(void)state;
	assert_int_equal(judge(&bytes), DROP_DHCP_SERVER_GUARD);
	assert_true(packet_build_tcp(&frame, &link, &from, &to, &syn, NULL, 0, 0));
	bytes = bytes_of(&frame);
	assert_int_equal(judge(&bytes), PASS);
}

/* --- IPv6 --------------------------------------------------------------------------------- */

static struct bytes ip6(unsigned next, const struct bytes *payload)
{
	static const uint8_t addr[16] = { 0xfe, 0x80, [15] = 7 };
	struct bytes bytes = ether(&other_mac, &guest_mac, 0x86dd);

	put_u16(&bytes, 0x6000);
	put_u16(&bytes, 0);
	put_u16(&bytes, (unsigned)payload->size);
	put_u8(&bytes, next);
	put_u8(&bytes, 255);
	put(&bytes, addr, 16);
	put(&bytes, addr, 16);
	put(&bytes, payload->at, payload->size);
	return bytes;
}

static void put_icmp6(struct bytes *bytes, unsigned type)
{
	static const uint8_t rest[15] = { 0 };

	put_u8(bytes, type);
	put(bytes, rest, sizeof(rest));
}

static void put_udp6(struct bytes *bytes, unsigned source)
{
	put_u16(bytes, source);
	put_u16(bytes, 546);
	put_u16(bytes, 8);
	put_u16(bytes, 0);
}

/* An option header of any kind; `length` in units of 8 bytes beyond the first. */
static void put_options(struct bytes *bytes, unsigned next, unsigned length)
{
	put_u8(bytes, next);
	put_u8(bytes, length);
	for (unsigned i = 0; i < 6 + 8 * length; i++)
		put_u8(bytes, 0);
}

static void put_fragment(struct bytes *bytes, unsigned next, unsigned offset, bool more)
{
	put_u8(bytes, next);
	put_u8(bytes, 0);
	put_u16(bytes, offset << 3 | (more ? 1 : 0));
	put_u16(bytes, 0);
	put_u16(bytes, 7);
}

#define ICMP6 58
#define UDP   17

static void router_advertisements(void **state)
{
	static const struct {
		unsigned type;
		enum drop_reason wanted;
	} rows[] = {
		{ 134, DROP_ROUTER_GUARD },
		{ 137, DROP_ROUTER_GUARD },
		{ 133, PASS },
		{ 135, PASS },
		{ 136, PASS },
		{ 128, PASS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (unsigned wrap = 0; wrap < 8; wrap++) {
			struct bytes payload = { .size = 0 };
			unsigned next = ICMP6;

			switch (wrap) {
			case 0:
				break;
			case 1:
				next = 0; /* hop by hop */
				put_options(&payload, ICMP6, 0);
				break;
			case 2:
				next = 60;
				put_options(&payload, 60, 1);
				put_options(&payload, ICMP6, 30);
				break;
			case 3: /* a routing header, far into the frame */
				next = 0;
				put_options(&payload, 43, 100);
				put_options(&payload, ICMP6, 50);
				break;
			case 4:
				next = 51;
				put_u8(&payload, ICMP6);
				put_u8(&payload, 1); /* (1 + 2) * 4 bytes */
				put(&payload, "0123456789", 10);
				break;
			case 5:
				next = 44;
				put_fragment(&payload, ICMP6, 0, true);
				break;
			case 6: /* an atomic fragment behind options */
				next = 60;
				put_options(&payload, 44, 2);
				put_fragment(&payload, ICMP6, 0, false);
				break;
			default: /* options behind a fragment header */
				next = 44;
				put_fragment(&payload, 60, 0, true);
				put_options(&payload, ICMP6, 0);
				break;
			}
			put_icmp6(&payload, rows[i].type);
			struct bytes bytes = ip6(next, &payload);
			assert_int_equal(judge(&bytes), rows[i].wanted);
		}
	}
}

static void dhcp6_server(void **state)
{
	(void)state;
	for (unsigned port = 546; port <= 548; port++) {
		enum drop_reason wanted = port == 547 ? DROP_DHCP_SERVER_GUARD : PASS;
		struct bytes plain = { .size = 0 };
		struct bytes wrapped = { .size = 0 };
		struct bytes bytes;

		put_udp6(&plain, port);
		bytes = ip6(UDP, &plain);
		assert_int_equal(judge(&bytes), wanted);
		put_fragment(&wrapped, 60, 0, true);
		put_options(&wrapped, UDP, 3);
		put_udp6(&wrapped, port);
		bytes = ip6(44, &wrapped);
		assert_int_equal(judge(&bytes), wanted);
	}
}

/* RFC 7113: what cannot be judged does not pass; what is behind a first fragment does. */
static void chains_that_are_cut(void **state)
{
	struct bytes payload = { .size = 0 };
	struct bytes bytes;

	(void)state;
	put_fragment(&payload, 60, 0, true);
	bytes = ip6(44, &payload);
	assert_int_equal(judge(&bytes), DROP_ROUTER_GUARD);
	payload.size = 0;
	put_fragment(&payload, ICMP6, 0, true);
	bytes = ip6(44, &payload);
	assert_int_equal(judge(&bytes), DROP_ROUTER_GUARD);
	payload.size = 0;
	put_fragment(&payload, UDP, 0, true);
	put_u8(&payload, 2);
	bytes = ip6(44, &payload);
	assert_int_equal(judge(&bytes), DROP_DHCP_SERVER_GUARD);
	payload.size = 0;
	put_options(&payload, ICMP6, 0);
	payload.at[1] = 255; /* says that it is longer than the packet */
	put_icmp6(&payload, 128);
	bytes = ip6(60, &payload);
	assert_int_equal(judge(&bytes), DROP_ROUTER_GUARD);
	payload.size = 0;
	bytes = ip6(60, &payload);
	assert_int_equal(judge(&bytes), DROP_ROUTER_GUARD);

	payload.size = 0;
	put_fragment(&payload, ICMP6, 1, false);
	put_icmp6(&payload, 134);
	bytes = ip6(44, &payload);
	assert_int_equal(judge(&bytes), PASS);
	/* More headers than anybody needs. */
	payload.size = 0;
	for (int i = 0; i < 20; i++)
		put_options(&payload, 60, 0);
	put_icmp6(&payload, 128);
	bytes = ip6(60, &payload);
	assert_int_equal(judge(&bytes), DROP_ROUTER_GUARD);
	/* Nothing that we guard. */
	payload.size = 0;
	bytes = ip6(59, &payload);
	assert_int_equal(judge(&bytes), PASS);
}

/* --- other frames ------------------------------------------------------------------------- */

static void tags_and_lengths(void **state)
{
	static const struct {
		unsigned type;
		unsigned tag;
		enum drop_reason wanted;
	} rows[] = {
		{ 0x8100, 0x0000, DROP_UNKNOWN_ETHERTYPE },
		{ 0x8100, 0xe000, DROP_UNKNOWN_ETHERTYPE }, /* a priority, no VLAN */
		{ 0x8100, 0x0005, PASS },
		{ 0x88a8, 0x1000, DROP_UNKNOWN_ETHERTYPE },
		{ 0x88a8, 0x0fff, PASS },
		{ 0x9100, 0x0000, DROP_UNKNOWN_ETHERTYPE },
		{ 0x0026, 0x4242, DROP_UNKNOWN_ETHERTYPE }, /* STP */
		{ 0x0100, 0xaaaa, DROP_UNKNOWN_ETHERTYPE }, /* SNAP */
		{ 0x05ff, 0xaaaa, DROP_UNKNOWN_ETHERTYPE },
		{ 0x0600, 0x0000, PASS },
		{ 0x8864, 0x0000, PASS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes bytes = ether(&other_mac, &guest_mac, rows[i].type);

		put_u16(&bytes, rows[i].tag);
		put_u16(&bytes, 0x0800);
		for (int j = 0; j < 60; j++)
			put_u8(&bytes, 0);
		assert_int_equal(judge(&bytes), rows[i].wanted);
	}
	struct bytes bytes = ether(&other_mac, &guest_mac, 0x8100);
	put_u8(&bytes, 1);
	assert_int_equal(judge(&bytes), DROP_UNKNOWN_ETHERTYPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_messages),
		cmocka_unit_test(dhcp_server),
		cmocka_unit_test(dhcp_server_in_fragments),
		cmocka_unit_test(not_udp),
		cmocka_unit_test(router_advertisements),
		cmocka_unit_test(dhcp6_server),
		cmocka_unit_test(chains_that_are_cut),
		cmocka_unit_test(tags_and_lengths),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
