/* What a port without offload gets: plain frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attach/door.h"
#include "wire/packet_build.h"

#define KEPT 128

struct kept {
	size_t count;
	size_t size[KEPT];
	uint8_t bytes[KEPT][2048];
};

static struct kept kept;

static void keep(void *context, const struct frame *frame, const struct iovec *parts, size_t count,
		 size_t size)
{
	size_t done = 0;

	assert_false(frame->offload.checksum_partial);
	assert_ptr_equal(context, &kept);
	assert_true(kept.count < KEPT && size <= sizeof(kept.bytes[0]));
	for (size_t i = 0; i < count; i++) {
		memcpy(kept.bytes[kept.count] + done, parts[i].iov_base, parts[i].iov_len);
		done += parts[i].iov_len;
	}
	assert_int_equal(done, size);
	kept.size[kept.count++] = size;
}

static bool pass(struct frame *frame)
{
	kept.count = 0;
	return door_pass(frame, &door_plain, keep, &kept);
}

/* Is it a frame that a guest's network card takes, with nothing left to be done? */
static void dissect(size_t index, struct frame *ret_frame)
{
	enum drop_reason reason;

	assert_true(frame_from_bytes(ret_frame, kept.bytes[index], kept.size[index], 0, &reason));
	assert_true(frame_verify_checksum(ret_frame));
}

static const struct ip_endpoint *guest(void)
{
	static struct ip_endpoint endpoint;

	endpoint = (struct ip_endpoint){ ip_addr_from_v4(0x0a000002), 4000 };
	return &endpoint;
}

static const struct ip_endpoint *remote(void)
{
	static struct ip_endpoint endpoint;

	endpoint = (struct ip_endpoint){ ip_addr_from_v4(0xcb007105), 80 };
	return &endpoint;
}

static void short_frames_are_padded(void **state)
{
	static char text[100];
	const struct packet_link link = {};

	(void)state;
	memset(text, 0xee, sizeof(text));
	for (size_t size = 0; size < 30; size++) {
		struct iovec payload = { text, size };
		struct frame frame;
		struct frame again;

		assert_true(packet_build_udp(&frame, &link, remote(), guest(), &payload, 1));
		assert_true(pass(&frame));
		assert_int_equal(kept.count, 1);
		assert_int_equal(kept.size[0], 42 + size < 60 ? 60 : 42 + size);
		for (size_t i = 42 + size; i < kept.size[0]; i++)
			assert_int_equal(kept.bytes[0][i], 0);
		dissect(0, &again);
		assert_int_equal(again.payload_size, size);
	}
}

static void partial_checksum_is_completed(void **state)
{
	const struct packet_link link = {};
	const struct tcp_header header = { .sequence = 1, .flags = TCP_SYN };
	struct frame frame;
	struct frame again;

	(void)state;
	assert_true(packet_build_tcp(&frame, &link, remote(), guest(), &header, NULL, 0, 0));
	assert_true(frame.offload.checksum_partial);
	assert_true(pass(&frame));
	assert_int_equal(kept.count, 1);
	dissect(0, &again);
}

static void super_frame_is_cut(void **state)
{
	enum {
		SIZE = 64000,
		SEGMENT = 1460
	};
	uint8_t *bytes = malloc(SIZE);
	const struct packet_link link = {};
	const struct tcp_header header = {
		.sequence = 1000,
		.acknowledgement = 7,
		.flags = TCP_ACK | TCP_PSH | TCP_FIN,
		.window = 500,
	};
	size_t done = 0;
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	/* In pieces that do not fit the segments. */
	struct iovec payload[3] = { { bytes, 1 },
				    { bytes + 1, 30000 },
				    { bytes + 30001, SIZE - 30001 } };
	assert_true(
		packet_build_tcp(&frame, &link, remote(), guest(), &header, payload, 3, SEGMENT));
	assert_true(pass(&frame));
	assert_int_equal(kept.count, (SIZE + SEGMENT - 1) / SEGMENT);
	for (size_t i = 0; i < kept.count; i++) {
		struct frame again;
		struct tcp_header segment;

		dissect(i, &again);
		struct reader reader = frame_l4_reader(&again);
		assert_true(tcp_parse(&reader, &segment));
		assert_int_equal(segment.sequence, 1000 + done);
		assert_int_equal(segment.flags,
				 i + 1 < kept.count ? TCP_ACK : TCP_ACK | TCP_PSH | TCP_FIN);
		assert_true(again.payload_size <= SEGMENT);
		assert_memory_equal(kept.bytes[i] + 54, bytes + done, again.payload_size);
		done += again.payload_size;
	}
	assert_int_equal(done, SIZE);
	free(bytes);
}

static void marks_that_contradict(void **state)
{
	static char text[3000];
	const struct packet_link link = {};
	struct iovec payload = { text, sizeof(text) };
	struct frame frame;

	(void)state;
	assert_true(packet_build_udp(&frame, &link, remote(), guest(), &payload, 1));
	frame.offload.gso = FRAME_GSO_TCP4;
	frame.offload.gso_size = 1000;
	assert_false(pass(&frame));
	assert_int_equal(kept.count, 0);
	assert_true(packet_build_udp(&frame, &link, remote(), guest(), &payload, 1));
	frame.offload.checksum_partial = true;
	frame.offload.checksum_start = 40000;
	assert_false(pass(&frame));
	assert_int_equal(kept.count, 0);
}

static struct frame_offload last_marks;

static void keep_marks(void *context, const struct frame *frame, const struct iovec *parts,
		       size_t count, size_t size)
{
	(void)parts;
	(void)count;
	(void)size;
	last_marks = frame->offload;
	(*(unsigned *)context)++;
}

/* What a port takes passes whole; what it does not is cut and completed. */
static void by_what_the_port_takes(void **state)
{
	static char text[3000];
	static const struct {
		struct door_caps caps;
		unsigned tcp;
		bool partial;
	} rows[] = {
		{ {}, 3, false },
		{ { .checksum = true }, 3, false },
		{ { .checksum = true, .tso6 = true, .uso = true }, 3, false },
		{ { .checksum = true, .tso4 = true }, 1, true },
	};
	const struct packet_link link = {};
	const struct tcp_header header = { .sequence = 1, .flags = TCP_ACK };
	struct iovec payload = { text, sizeof(text) };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame frame;
		unsigned count = 0;

		assert_true(packet_build_tcp(&frame, &link, remote(), guest(), &header, &payload, 1,
					     1000));
		assert_true(door_pass(&frame, &rows[i].caps, keep_marks, &count));
		assert_int_equal(count, rows[i].tcp);
		assert_int_equal(last_marks.checksum_partial, rows[i].partial);
		assert_int_equal(last_marks.gso,
				 rows[i].tcp == 1 ? FRAME_GSO_TCP4 : FRAME_GSO_NONE);

		/* Without GSO: the checksum alone. */
		count = 0;
		assert_true(
			packet_build_tcp(&frame, &link, remote(), guest(), &header, NULL, 0, 1000));
		assert_true(door_pass(&frame, &rows[i].caps, keep_marks, &count));
		assert_int_equal(count, 1);
		assert_int_equal(last_marks.checksum_partial, rows[i].caps.checksum);
	}
}

/* The same of datagrams, each of which is what it would have been alone. */
static void datagrams_by_what_the_port_takes(void **state)
{
	static char text[2500];
	static const struct {
		struct door_caps caps;
		unsigned frames;
	} rows[] = {
		{ {}, 3 },
		{ { .checksum = true, .tso4 = true, .tso6 = true }, 3 },
		{ { .checksum = true, .uso = true }, 1 },
	};
	const struct packet_link link = { .id = 5 };
	struct iovec payload = { text, sizeof(text) };
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned count = 0;

		assert_true(packet_build_udp_partial(&frame, &link, remote(), guest(), &payload, 1,
						     1000));
		assert_true(door_pass(&frame, &rows[i].caps, keep_marks, &count));
		assert_int_equal(count, rows[i].frames);
		assert_int_equal(last_marks.checksum_partial, rows[i].frames == 1);
		assert_int_equal(last_marks.gso,
				 rows[i].frames == 1 ? FRAME_GSO_UDP : FRAME_GSO_NONE);
	}
	assert_true(packet_build_udp_partial(&frame, &link, remote(), guest(), &payload, 1, 1000));
	assert_true(pass(&frame));
	assert_int_equal(kept.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct packet_link one = { .id = (uint16_t)(5 + i) };
		struct iovec part = { text, i < 2 ? 1000 : 500 };
		uint8_t bytes[1100];

		assert_true(packet_build_udp(&frame, &one, remote(), guest(), &part, 1));
		size_t size = frame_copy(&frame, bytes, sizeof(bytes));
		assert_int_equal(kept.size[i], size);
		assert_memory_equal(kept.bytes[i], bytes, size);
	}
}

static void whole_frames_are_judged_too(void **state)
{
	static char text[3000];
	static const struct door_caps all = { true, true, true, true };
	const struct packet_link link = {};
	const struct tcp_header header = { .sequence = 1, .flags = TCP_ACK };
	struct iovec payload = { text, sizeof(text) };
	struct frame frame;
	unsigned count = 0;

	(void)state;
	assert_true(packet_build_tcp(&frame, &link, remote(), guest(), &header, &payload, 1, 1000));
	frame.offload.checksum_start = 40000;
	assert_false(door_pass(&frame, &all, keep_marks, &count));
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_frames_are_padded),
		cmocka_unit_test(partial_checksum_is_completed),
		cmocka_unit_test(super_frame_is_cut),
		cmocka_unit_test(marks_that_contradict),
		cmocka_unit_test(by_what_the_port_takes),
		cmocka_unit_test(datagrams_by_what_the_port_takes),
		cmocka_unit_test(whole_frames_are_judged_too),
	};

	return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
