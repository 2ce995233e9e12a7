#include "gateway/echo.h"

#include <string.h>

#include "fixture.h"
#include "wire/frame_fragment.h"

static uint8_t data[60000];

static void build_echo(struct frame *frame, struct iovec *iov, const struct ip_addr *to,
		       uint8_t type, uint8_t ttl)
{
	const struct packet_link link = {
		.source = fixture_mac(2),
		.destination = fixture_mac_gateway,
		.tos = 0x10,
		.ttl = ttl,
		.id = 77,
	};
	const struct icmp_header header = { .type = type, .identifier = 0x1234, .sequence = 5 };
	const struct ip_addr from = fixture_addr(2);

	assert_true(packet_build_icmp(frame, &link, &from, to, &header, iov, 1));
}

static void ping(struct fixture *fixture, size_t size, uint8_t type, uint8_t ttl)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct frame frame;

	build_echo(&frame, &iov, &fixture->config.addr, type, ttl);
	fixture_send_frame(fixture, 0, &frame);
}

static void answers_ping(void **state)
{
	static const size_t sizes[] = { 0, 1, 56, 57, 1472 };
	struct fixture *fixture = *state;
	uint8_t got[1500];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct reader reader;
		struct icmp_header header;
		struct frame frame;

		ping(fixture, sizes[i], ICMP_TYPE_ECHO_REQUEST, i == 0 ? 1 : 64);
		assert_int_equal(fixture->to_bridge.pushed, i + 1);
		fixture_frame(&fixture->to_bridge, 0, &frame);
		assert_true(ip_addr_equal(&frame.packet.ip_source, &fixture->config.addr));
		assert_int_equal(frame.packet.ip_ttl, 64);
		assert_int_equal(frame.packet.ip_tos, 0x10);
		reader = frame_l4_reader(&frame);
		assert_true(icmp_parse(&reader, &header));
		assert_int_equal(header.type, ICMP_TYPE_ECHO_REPLY);
		assert_int_equal(header.identifier, 0x1234);
		assert_int_equal(header.sequence, 5);
		assert_int_equal(fixture_payload(&fixture->to_bridge, 0, got, sizeof(got)),
				 sizes[i]);
		assert_memory_equal(got, data, sizes[i]);
	}
	assert_int_equal(fixture_drops(fixture), 0);
	assert_int_equal(fixture->to_nat.pushed, 0);
}

static void send_fragment(void *context, const struct frame *frame)
{
	fixture_send_frame(context, 0, frame);
}

/* A long ping comes in fragments, and its answer leaves in some. */
static void answers_long_ping_in_fragments(void **state)
{
	struct fixture *fixture = *state;
	struct iovec iov = { .iov_base = data, .iov_len = 20000 };
	struct frame frame;
	size_t sum = 0;

	build_echo(&frame, &iov, &fixture->config.addr, ICMP_TYPE_ECHO_REQUEST, 64);
	assert_int_equal(frame_fragment(&frame, 1500, send_fragment, fixture), 14);
	assert_int_equal(fixture->to_bridge.pushed, 14);
	for (unsigned i = 0; i < 14; i++) {
		fixture_frame(&fixture->to_bridge, i, &frame);
		assert_true(frame.packet.ip_total_size <= 1500);
		assert_true(frame.packet.ip_is_fragment);
		sum += frame.packet.ip_total_size - 20U;
	}
	assert_int_equal(sum, 20008);
	assert_int_equal(fixture_drops(fixture), 0);
}

static void corrupt_ping_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct iovec iov = { .iov_base = data, .iov_len = 56 };
	uint8_t bytes[200];
	struct frame frame;
	size_t size;

	build_echo(&frame, &iov, &fixture->config.addr, ICMP_TYPE_ECHO_REQUEST, 64);
	size = frame_copy(&frame, bytes, sizeof(bytes));
	bytes[size - 1] ^= 1;
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->to_bridge.pushed, 0);
	assert_int_equal(fixture->drops.count[DROP_BAD_L4_CHECKSUM], 1);
	bytes[size - 1] ^= 1;
	bytes[35] = 1; /* a code that echo does not have */
	bytes[37]--;
	fixture_send_bytes(fixture, 0, bytes, size);
	assert_int_equal(fixture->to_bridge.pushed, 0);
}

/* Other types are NAT's: errors about its flows. */
static void other_types_go_on(void **state)
{
	struct fixture *fixture = *state;

	ping(fixture, 56, ICMP_TYPE_ECHO_REPLY, 64);
	assert_int_equal(fixture->to_bridge.pushed, 0);
	assert_int_equal(fixture->to_nat.pushed, 1);
}

static void send_out(struct fixture *fixture, const char *to, uint8_t type, uint8_t ttl,
		     uint32_t port)
{
	struct iovec iov = { .iov_base = data, .iov_len = 56 };
	struct ip_addr addr = fixture_parse(to);
	struct frame frame;

	build_echo(&frame, &iov, &addr, type, ttl);
	fixture_send_frame(fixture, port, &frame);
}

static void the_last_hop_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct icmp_quote quote;
	struct icmp_header header;
	struct reader reader;
	struct frame frame;
	uint8_t payload[600];
	size_t size;

	send_out(fixture, "192.0.2.1", ICMP_TYPE_ECHO_REQUEST, 2, 0);
	assert_int_equal(fixture->to_nat.pushed, 1);
	for (uint8_t ttl = 0; ttl < 2; ttl++) {
		/* A TTL of 0 in the builder is its default. */
		send_out(fixture, "192.0.2.1", ICMP_TYPE_ECHO_REQUEST, 1, 0);
		fixture_frame(&fixture->to_bridge, 0, &frame);
		assert_int_equal(frame.packet.icmp_type, ICMP_TYPE_TIME_EXCEEDED);
		assert_int_equal(frame.packet.icmp_code, ICMP_CODE_TTL_EXCEEDED);
		assert_true(ip_addr_equal(&frame.packet.ip_source, &fixture->config.addr));
	}
	assert_int_equal(fixture->to_nat.pushed, 1);
	assert_int_equal(fixture->drops.count[DROP_TTL_EXPIRED], 2);
	size = fixture_payload(&fixture->to_bridge, 0, payload, sizeof(payload));
	reader = reader_of(payload, size);
	assert_true(icmp_parse_quote(&reader, &quote));
	assert_int_equal(quote.ip.id, 77);
	reader = reader_of(quote.payload, quote.payload_size);
	assert_true(icmp_parse(&reader, &header));
	assert_int_equal(header.identifier, 0x1234);
	/* Never an error about an error (RFC 1122 3.2.2). */
	send_out(fixture, "192.0.2.1", ICMP_TYPE_UNREACHABLE, 1, 0);
	assert_int_equal(fixture->drops.count[DROP_TTL_EXPIRED], 3);
	assert_int_equal(fixture->to_bridge.pushed, 2);
}

static void errors_are_rate_limited(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 1000; i++)
		send_out(fixture, "192.0.2.1", ICMP_TYPE_ECHO_REQUEST, 1, 0);
	assert_int_equal(fixture->to_bridge.pushed, 100);
	assert_int_equal(fixture->drops.count[DROP_ICMP_LIMIT], 900);
	assert_int_equal(fixture->drops.count[DROP_TTL_EXPIRED], 1000);
	fixture_advance(fixture, 1000);
	send_out(fixture, "192.0.2.1", ICMP_TYPE_ECHO_REQUEST, 1, 0);
	assert_int_equal(fixture->to_bridge.pushed, 101);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_ping),
		TEST(answers_long_ping_in_fragments),
		TEST(corrupt_ping_is_dropped),
		TEST(other_types_go_on),
		TEST(the_last_hop_is_told),
		TEST(errors_are_rate_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
