/* Echo and ICMP errors through the whole network. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig.h"

#define IDENT 0x1234

struct lab {
	struct rig *rig;
	uint64_t heard;
	struct packet packet;
	size_t size;
	uint8_t data[2048];
};

static void guest_heard(void *context, const struct packet *packet, const uint8_t *payload,
			size_t size)
{
	struct lab *lab = context;

	lab->heard++;
	lab->packet = *packet;
	lab->size = size;
	memcpy(lab->data, payload, size < sizeof(lab->data) ? size : sizeof(lab->data));
}

static struct lab *lab_new(void)
{
	const struct rig_config whole = { .seed = 1, .whole = true };
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	lab->rig = rig_new(&whole);
	lab->rig->guest.packet = guest_heard;
	lab->rig->guest.context = lab;
	rig_guest_announce(&lab->rig->guest);
	return lab;
}

static void lab_free(struct lab *lab)
{
	assert_int_equal(lab->rig->guest.bad_frames, 0);
	rig_free(lab->rig);
	free(lab);
}

static void ping(struct lab *lab, uint32_t addr, uint16_t sequence, uint8_t ttl)
{
	struct ip_addr to = ip_addr_from_v4(addr);
	uint8_t data[56];

	rig_pattern(5, sequence, data, sizeof(data));
	rig_guest_send_echo(&lab->rig->guest, &to, IDENT, sequence, ttl, data, sizeof(data));
	rig_time_run(&lab->rig->time, 20 * NS_PER_MS);
}

static void assert_reply(const struct lab *lab, uint32_t addr, uint16_t sequence)
{
	uint8_t data[56];

	rig_pattern(5, sequence, data, sizeof(data));
	assert_int_equal(lab->packet.ip_protocol, PACKET_IP_PROTOCOL_ICMP);
	assert_int_equal(lab->packet.icmp_type, 0);
	assert_int_equal(ip_addr_to_v4(&lab->packet.ip_source), addr);
	assert_int_equal(lab->packet.port_source, IDENT);
	assert_int_equal(lab->size, sizeof(data));
	assert_memory_equal(lab->data, data, sizeof(data));
}

static void test_ping(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	for (uint16_t i = 1; i <= 5; i++) {
		ping(lab, RIG_ADDR_SERVER, i, 64);
		assert_int_equal(lab->heard, i);
		assert_reply(lab, RIG_ADDR_SERVER, i);
	}
	ping(lab, RIG_ADDR_GATEWAY, 6, 64);
	assert_int_equal(lab->heard, 6);
	assert_reply(lab, RIG_ADDR_GATEWAY, 6);
	rig_time_run(&lab->rig->time, 100 * NS_PER_S);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

/* The gateway is the first hop; the others answer for themselves, with the guest's packet quoted. */
static void test_traceroute(void **state)
{
	static const uint32_t hops[] = { 0x0a0a0a01, 0x0a0a0b01 };
	struct lab *lab = lab_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(hops); i++)
		lab->rig->host.hop[i] = ip_addr_from_v4(hops[i]);
	lab->rig->host.hop_count = ARRAY_COUNT(hops);
	for (uint8_t ttl = 1; ttl <= 3; ttl++) {
		uint32_t expected = ttl == 1 ? RIG_ADDR_GATEWAY : hops[ttl - 2];

		ping(lab, RIG_ADDR_SERVER, ttl, ttl);
		assert_int_equal(lab->heard, ttl);
		assert_int_equal(lab->packet.icmp_type, 11);
		assert_int_equal(ip_addr_to_v4(&lab->packet.ip_source), expected);
		struct reader reader = reader_of(lab->data, lab->size);
		reader_skip(&reader, 12);
		assert_int_equal(reader_u32(&reader), RIG_ADDR_GUEST);
		assert_int_equal(reader_u32(&reader), RIG_ADDR_SERVER);
		assert_int_equal(reader_u8(&reader), 8);
		reader_skip(&reader, 3);
		assert_int_equal(reader_u16(&reader), IDENT);
		assert_int_equal(reader_u16(&reader), ttl);
	}
	ping(lab, RIG_ADDR_SERVER, 4, 4);
	assert_reply(lab, RIG_ADDR_SERVER, 4);
	lab_free(lab);
}

static void test_not_allowed(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->rig->host.no_echo = true;
	ping(lab, RIG_ADDR_SERVER, 1, 64);
	assert_int_equal(lab->heard, 0);
	assert_int_equal(lab->rig->drops.count[DROP_PING_OFF], 1);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

static void test_flood(void **state)
{
	struct lab *lab = lab_new();
	struct ip_addr to = ip_addr_from_v4(RIG_ADDR_SERVER);
	struct nat_statistics statistics;

	(void)state;
	lab->rig->host.echo_silent = true;
	for (uint32_t i = 0; i < 10000; i++) {
		rig_guest_send_echo(&lab->rig->guest, &to, (uint16_t)i, 1, 64, "x", 1);
		if (i % 100 == 0)
			rig_time_run(&lab->rig->time, NS_PER_MS);
	}
	rig_time_run(&lab->rig->time, NS_PER_MS);
	nat_get_statistics(lab->rig->nat, &statistics);
	assert_in_range(statistics.icmp_flows, 1, 1024);
	lab->rig->host.echo_silent = false;
	ping(lab, RIG_ADDR_SERVER, 7, 64);
	assert_int_equal(lab->heard, 1);
	rig_time_run(&lab->rig->time, 100 * NS_PER_S);
	assert_null(rig_what_is_left(lab->rig));
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_traceroute),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
