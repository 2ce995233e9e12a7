/* What a segment of ours looks like on the wire. */
#include "tcp_fixture.h"

static struct frame *last_frame;
static uint8_t *last_bytes;
static size_t last_size;

static void keep_push(struct frame_sink *sink, struct frame *frame)
{
	(void)sink;
	*last_frame = *frame;
	last_size = frame_copy(frame, last_bytes, FRAME_MAX_SIZE);
}

static const struct frame_sink_ops keep_ops = {
	.push = keep_push,
	.flush = sink_flush,
	.room = sink_room,
};

static void headers(void **state)
{
	struct fake_socket *fake = open_flow(500);
	static uint8_t bytes[5000];
	enum drop_reason reason;
	struct packet packet;

	(void)state;
	last_frame = calloc(1, sizeof(*last_frame));
	last_bytes = calloc(1, FRAME_MAX_SIZE);
	fixture->to_guest.ops = &keep_ops;
	host_gives(fake, bytes, sizeof(bytes));
	fixture->to_guest.ops = &sink_ops;
	assert_int_equal(last_size, 14 + 20 + 20 + sizeof(bytes));
	assert_true(packet_dissect(last_bytes, FRAME_HEADER_MAX, last_size, &packet, &reason));
	assert_memory_equal(&packet.mac_source, &fixture->nat->config.mac,
			    sizeof(packet.mac_source));
	assert_true(ip_addr_equal(&packet.ip_source, &fixture->remote.addr));
	assert_true(ip_addr_equal(&packet.ip_destination, &fixture->guest.addr));
	assert_int_equal(packet.port_source, fixture->remote.port);
	assert_int_equal(packet.port_destination, fixture->guest.port);
	assert_true(packet.ip_dont_fragment);
	assert_true(last_frame->offload.checksum_partial);
	assert_int_equal(last_frame->offload.gso, FRAME_GSO_TCP4);
	assert_int_equal(last_frame->offload.gso_size, GUEST_MSS);
	assert_int_equal(last_frame->port, FRAME_PORT_NONE);
	free(last_frame);
	free(last_bytes);
}

/* RFC 9293 3.10.7.1 */
static void resets_of_segments(void **state)
{
	static const struct {
		uint8_t flags;
		size_t size;
		bool has_answer;
		uint8_t answer;
		uint32_t sequence;
		uint32_t acknowledgement;
	} cases[] = {
		{ TCP_ACK, 10, true, TCP_RST, 700, 0 },
		{ TCP_FIN | TCP_ACK, 0, true, TCP_RST, 700, 0 },
		{ 0, 10, true, TCP_RST | TCP_ACK, 0, 510 },
		{ TCP_FIN, 10, true, TCP_RST | TCP_ACK, 0, 511 },
		{ TCP_RST, 0, false, 0, 0, 0 },
		{ TCP_RST | TCP_ACK, 10, false, 0, 0, 0 },
	};
	static const uint8_t bytes[10];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct seen_segment *seen;

		guest_send(cases[i].flags, 500, 700, 100, bytes, cases[i].size);
		if (!cases[i].has_answer) {
			expect_nothing();
			continue;
		}
		seen = expect_segment(cases[i].answer);
		assert_int_equal(seen->header.sequence, cases[i].sequence);
		assert_int_equal(seen->header.acknowledgement, cases[i].acknowledgement);
		assert_int_equal(seen->header.window, 0);
		assert_true(ip_endpoint_equal(&seen->from, &fixture->remote));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(headers),
		TEST_KEPT(resets_of_segments),
	};

	return cmocka_run_group_tests_name("tcp_output", tests, NULL, NULL);
}
