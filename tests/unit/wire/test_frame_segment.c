#include "packet_equal.h"
#include "wire_test.h"

#include "wire/checksum.h"
#include "wire/frame_segment.h"
#include "wire/packet_build.h"
#include "wire/udp.h"

/* What came out: every frame as the guest sees it, dissected and verified again. */
struct seen {
	size_t count;
	size_t payload_size;
	size_t largest;
	uint8_t payload[70000];
	uint32_t sequence[512];
	uint8_t flags[512];
	uint32_t id[512];
};

static void see(void *context, const struct frame *frame)
{
	struct seen *seen = context;
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));
	struct frame again;
	enum drop_reason reason;

	assert_int_not_equal(size, 0);
	assert_true(frame_from_bytes(&again, bytes, size, 0, &reason));
	assert_true(frame_verify_checksum(&again));
	assert_false(frame->offload.checksum_partial);
	assert_int_equal(frame->offload.gso, FRAME_GSO_NONE);
	assert_packet_equal(&again.packet, &frame->packet);
	assert_int_equal(frame_size(frame), size);
	assert_true(seen->count < 512);
	seen->id[seen->count] = again.packet.ip_id;
	if (again.packet.ip_protocol == PACKET_IP_PROTOCOL_TCP) {
		struct reader reader = frame_l4_reader(&again);
		struct tcp_header header;
		assert_true(tcp_parse(&reader, &header));
		seen->sequence[seen->count] = header.sequence;
		seen->flags[seen->count] = header.flags;
	}
	frame_copy_payload(&again, 0, seen->payload + seen->payload_size, again.payload_size);
	seen->payload_size += again.payload_size;
	if (again.payload_size > seen->largest)
		seen->largest = again.payload_size;
	seen->count++;
}

static uint8_t data[65000];

static void fill_data(void)
{
	uint32_t seed = 5;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
}

static void make_tcp(struct frame *frame, const struct iovec *iov, size_t count, uint16_t gso_size)
{
	const struct packet_link link = { .id = 0xfffe };
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 80 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	const struct tcp_header header = {
		.sequence = 0xffffff00,
		.flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR,
		.has_timestamps = true,
		.window = 9,
	};

	assert_true(packet_build_tcp(frame, &link, &from, &to, &header, iov, count, gso_size));
}

static void test_tcp(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	/* Cut at odd places. */
	struct iovec iov[] = {
		{ data, 1 },
		{ data + 1, 1447 },
		{ data + 1448, 4001 },
		{ data + 5449, 4551 },
	};

	fill_data();
	memset(&seen, 0, sizeof(seen));
	make_tcp(&frame, iov, 4, 1448);
	assert_int_equal(frame.offload.gso, FRAME_GSO_TCP4);
	assert_int_equal(frame_segment(&frame, see, &seen), 7);
	assert_int_equal(seen.count, 7);
	assert_int_equal(seen.payload_size, 10000);
	assert_int_equal(seen.largest, 1448);
	assert_memory_equal(seen.payload, data, 10000);
	for (uint32_t i = 0; i < 7; i++) {
		uint8_t want = TCP_ACK;
		if (i == 0)
			want |= TCP_CWR;
		if (i == 6)
			want |= TCP_PSH | TCP_FIN;
		assert_int_equal(seen.flags[i], want);
		assert_int_equal(seen.sequence[i], 0xffffff00U + i * 1448);
		assert_int_equal(seen.id[i], (0xfffeU + i) & 0xffff);
	}
}

static void test_exact_multiple(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	struct iovec iov = { data, 3000 };

	memset(&seen, 0, sizeof(seen));
	make_tcp(&frame, &iov, 1, 1000);
	assert_int_equal(frame_segment(&frame, see, &seen), 3);
	assert_int_equal(seen.payload_size, 3000);
	assert_int_equal(seen.flags[2], TCP_ACK | TCP_PSH | TCP_FIN);
}

static void test_largest(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	struct iovec iov = { data, 65000 };

	memset(&seen, 0, sizeof(seen));
	make_tcp(&frame, &iov, 1, 1448);
	assert_int_equal(frame_segment(&frame, see, &seen), 45);
	assert_memory_equal(seen.payload, data, 65000);
}

static void test_no_gso(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	struct iovec iov = { data, 100 };

	memset(&seen, 0, sizeof(seen));
	make_tcp(&frame, &iov, 1, 1448);
	assert_int_equal(frame.offload.gso, FRAME_GSO_NONE);
	assert_true(frame.offload.checksum_partial);
	assert_int_equal(frame_segment(&frame, see, &seen), 1);
	/* GSO marks on a payload that needs no cut. */
	make_tcp(&frame, &iov, 1, 1448);
	frame.offload.gso = FRAME_GSO_TCP4;
	frame.offload.gso_size = 100;
	assert_int_equal(frame_segment(&frame, see, &seen), 1);
	/* Nothing at all to send but the header. */
	make_tcp(&frame, NULL, 0, 1448);
	assert_int_equal(frame_segment(&frame, see, &seen), 1);
	assert_int_equal(seen.count, 3);
}

static void test_udp(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	const struct packet_link link = { .id = 1 };
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 53 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	struct iovec iov = { data, 2500 };

	memset(&seen, 0, sizeof(seen));
	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	frame.offload.gso = FRAME_GSO_UDP;
	frame.offload.gso_size = 1000;
	assert_int_equal(frame_segment(&frame, see, &seen), 3);
	assert_int_equal(seen.payload_size, 2500);
	assert_memory_equal(seen.payload, data, 2500);
}

struct at_index {
	const struct frame *whole;
	size_t index;
};

/* One of them alone is what it is among the others. */
static void compare_one(void *context, const struct frame *segment)
{
	struct at_index *at = context;
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	static uint8_t bytes[FRAME_MAX_SIZE];
	static uint8_t other_bytes[FRAME_MAX_SIZE];
	struct frame other;

	frame_segment_one(at->whole, at->index, parts, &other);
	size_t size = frame_copy(segment, bytes, sizeof(bytes));
	assert_int_equal(frame_copy(&other, other_bytes, sizeof(other_bytes)), size);
	assert_memory_equal(other_bytes, bytes, size);
	assert_packet_equal(&other.packet, &segment->packet);
	assert_true(other.offload.checksum_valid);
	at->index++;
}

static void test_one(void **state)
{
	(void)state;
	const struct packet_link link = { .id = 0xfffe };
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 80 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	struct iovec iov[] = {
		{ data, 1 }, { data + 1, 0 }, { data + 1, 2999 }, { data + 3000, 500 }
	};
	struct frame frame;

	fill_data();
	for (int kind = 0; kind < 2; kind++) {
		if (kind == 0)
			make_tcp(&frame, iov, 4, 700);
		else
			assert_true(
				packet_build_udp_partial(&frame, &link, &from, &to, iov, 4, 700));
		const struct frame whole = frame;
		struct at_index at = { .whole = &whole };
		assert_int_equal(frame_segment_count(&whole), 5);
		assert_int_equal(frame_segment(&frame, compare_one, &at), 5);
		assert_int_equal(at.index, 5);
	}
	make_tcp(&frame, iov, 4, 701);
	assert_int_equal(frame_segment_count(&frame), 5);
}

static void test_tcp6(void **state)
{
	(void)state;
	static struct seen seen;
	uint8_t bytes[14 + 40 + 20 + 3000] = {
		[12] = 0x86, 0xdd,	  0x60,	    [20] = 6,	 64,
		0xfd,	     [38] = 0xfd, [53] = 1, [66] = 0x50, TCP_ACK
	};
	struct frame frame;
	enum drop_reason reason;

	bytes[18] = 3020 >> 8;
	bytes[19] = 3020 & 0xff;
	memcpy(bytes + 74, data, 3000);
	assert_true(frame_from_bytes(&frame, bytes, sizeof(bytes), 0, &reason));
	frame.offload = (struct frame_offload){
		.checksum_partial = true,
		.checksum_start = 54,
		.checksum_offset = 16,
		.gso = FRAME_GSO_TCP6,
		.gso_size = 1200,
	};
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(frame_segment(&frame, see, &seen), 3);
	assert_memory_equal(seen.payload, data, 3000);
}

/* CVE-2024-11614: marks that contradict the frame. */
static void test_contradictions(void **state)
{
	(void)state;
	static struct seen seen;
	const struct {
		enum frame_gso gso;
		uint16_t gso_size;
		bool partial;
		uint16_t start;
		uint16_t offset;
	} rows[] = {
		{ FRAME_GSO_TCP4, 0, true, 34, 16 },	{ FRAME_GSO_TCP6, 1448, true, 34, 16 },
		{ FRAME_GSO_UDP, 1448, true, 34, 16 },	{ FRAME_GSO_TCP4, 1448, false, 34, 16 },
		{ FRAME_GSO_TCP4, 1448, true, 33, 16 }, { FRAME_GSO_TCP4, 1448, true, 34, 6 },
		{ FRAME_GSO_NONE, 0, true, 65535, 16 }, { FRAME_GSO_NONE, 0, true, 34, 65535 },
		{ FRAME_GSO_NONE, 0, true, 0, 0 },
	};

	memset(&seen, 0, sizeof(seen));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame frame;
		struct iovec iov = { data, 3000 };

		make_tcp(&frame, &iov, 1, 0);
		frame.offload.gso = rows[i].gso;
		frame.offload.gso_size = rows[i].gso_size;
		frame.offload.checksum_partial = rows[i].partial;
		frame.offload.checksum_start = rows[i].start;
		frame.offload.checksum_offset = rows[i].offset;
		assert_int_equal(frame_segment(&frame, see, &seen), 0);
	}

	struct frame frame;
	struct iovec iov = { data, 3000 };
	make_tcp(&frame, &iov, 1, 1448);
	frame.packet.has_l4 = false; /* a fragment with GSO marks */
	assert_int_equal(frame_segment(&frame, see, &seen), 0);
	make_tcp(&frame, &iov, 1, 1448);
	frame.header_size--; /* headers that are not whole */
	assert_int_equal(frame_segment(&frame, see, &seen), 0);
	assert_int_equal(seen.count, 0);
}

/* The guest's own sum in the field is not believed. */
static void test_wrong_partial_sum(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;
	struct iovec iov = { data, 99 };

	memset(&seen, 0, sizeof(seen));
	make_tcp(&frame, &iov, 1, 0);
	frame.header[34 + 16] ^= 0x55;
	assert_int_equal(frame_segment(&frame, see, &seen), 1);
}

/* A UDP sum that comes out as 0 is sent as 0xffff. */
static void test_udp_zero_checksum(void **state)
{
	(void)state;
	static struct seen seen;
	const struct packet_link link = { .id = 1 };
	const struct ip_endpoint from = { v4(10, 0, 0, 1), 1 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 2 };
	uint8_t two[2] = { 0, 0 };
	struct iovec iov = { two, 2 };
	struct frame frame;

	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	/* Adding the checksum itself as data brings the sum to 0xffff. */
	two[0] = frame.header[40];
	two[1] = frame.header[41];
	assert_true(packet_build_udp(&frame, &link, &from, &to, &iov, 1));
	assert_int_equal(frame.header[40], 0xff);
	assert_int_equal(frame.header[41], 0xff);
	frame.offload = (struct frame_offload){
		.checksum_partial = true,
		.checksum_start = 34,
		.checksum_offset = 6,
	};
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(frame_segment(&frame, see, &seen), 1);
	assert_int_equal(frame.header[40], 0xff);
	assert_int_equal(frame.header[41], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_exact_multiple),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_gso),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_tcp6),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_wrong_partial_sum),
		cmocka_unit_test(test_udp_zero_checksum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
