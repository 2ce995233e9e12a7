#include "packet_equal.h"
#include "wire_test.h"

#include "wire/frame_fragment.h"
#include "wire/packet_build.h"

struct seen {
	size_t count;
	size_t data_size;
	size_t largest;
	bool last;
	uint8_t data[66000];
};

/* Fragments come in order, so putting together is adding up. */
static void see(void *context, const struct frame *frame)
{
	struct seen *seen = context;
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t size = frame_copy(frame, bytes, sizeof(bytes));
	struct frame again;
	enum drop_reason reason;

	assert_int_not_equal(size, 0);
	assert_true(frame_from_bytes(&again, bytes, size, 0, &reason));
	assert_packet_equal(&again.packet, &frame->packet);
	assert_int_equal(again.packet.ip_id, 77);
	assert_int_equal(again.packet.ip_fragment_offset, seen->data_size);
	assert_false(seen->last);
	seen->last = !again.packet.ip_more_fragments;
	if (!seen->last)
		assert_int_equal((again.packet.ip_total_size - 20) % 8, 0);
	if (again.packet.ip_total_size > seen->largest)
		seen->largest = again.packet.ip_total_size;
	size_t behind_ip = size - again.packet.l4_offset;
	memcpy(seen->data + seen->data_size, bytes + again.packet.l4_offset, behind_ip);
	seen->data_size += behind_ip;
	seen->count++;
}

static uint8_t data[65507];

static void make_udp(struct frame *frame, size_t size)
{
	static struct iovec iov[2];
	const struct packet_link link = { .id = 77 };
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 53 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	uint32_t seed = 3;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
	iov[0] = (struct iovec){ data, size / 3 };
	iov[1] = (struct iovec){ data + size / 3, size - size / 3 };
	assert_true(packet_build_udp(frame, &link, &from, &to, iov, 2));
}

static void test_sizes(void **state)
{
	(void)state;
	static struct seen seen;
	const struct {
		size_t payload;
		uint32_t mtu;
		size_t frames;
	} rows[] = {
		{ 0, 1500, 1 },	   { 1472, 1500, 1 },	{ 1473, 1500, 2 },   { 2952, 1500, 2 },
		{ 2953, 1500, 3 }, { 65507, 1500, 45 }, { 65507, 65535, 1 }, { 100, 68, 3 },
		{ 1473, 1499, 2 }, { 65507, 576, 119 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame frame;

		memset(&seen, 0, sizeof(seen));
		make_udp(&frame, rows[i].payload);
		assert_int_equal(frame_fragment(&frame, rows[i].mtu, see, &seen), rows[i].frames);
		assert_int_equal(seen.count, rows[i].frames);
		assert_true(seen.last);
		assert_true(seen.largest <= rows[i].mtu);
		assert_int_equal(seen.data_size, rows[i].payload + 8);
		assert_memory_equal(seen.data, frame.header + 34, 8);
		assert_memory_equal(seen.data + 8, data, rows[i].payload);
	}
}

/* Nobody behind could complete the checksum: it covers all fragments. */
static void test_partial_checksum(void **state)
{
	(void)state;
	static struct seen seen;
	const struct packet_link link = { .id = 77 };
	const struct ip_endpoint from = { v4(1, 2, 3, 4), 53 };
	const struct ip_endpoint to = { v4(10, 0, 0, 2), 4000 };
	struct iovec iov = { data, 5000 };
	struct frame full;
	struct frame partial;

	make_udp(&full, 5000);
	assert_true(packet_build_udp_partial(&partial, &link, &from, &to, &iov, 1, 0));
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(frame_fragment(&partial, 1500, see, &seen), 4);
	assert_memory_equal(seen.data, full.header + 34, 8);
}

static void test_refused(void **state)
{
	(void)state;
	static struct seen seen;
	struct frame frame;

	memset(&seen, 0, sizeof(seen));
	make_udp(&frame, 2000);
	assert_int_equal(frame_fragment(&frame, 67, see, &seen), 0);
	frame.packet.ip_is_fragment = true;
	assert_int_equal(frame_fragment(&frame, 1500, see, &seen), 0);
	make_udp(&frame, 2000);
	frame.offload.gso = FRAME_GSO_UDP;
	assert_int_equal(frame_fragment(&frame, 1500, see, &seen), 0);
	make_udp(&frame, 2000);
	frame.packet.kind = PACKET_IPV6;
	assert_int_equal(frame_fragment(&frame, 1500, see, &seen), 0);
	make_udp(&frame, 2000);
	frame.packet.ip_has_options = true;
	assert_int_equal(frame_fragment(&frame, 1500, see, &seen), 0);
	assert_int_equal(seen.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_partial_checksum),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
