#include "packet_equal.h"
#include "wire_test.h"

#include "wire/packet_build.h"
#include "wire/virtio_net.h"

/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers; little-endian */
struct row {
	const char *what;
	uint8_t bytes[VIRTIO_NET_HEADER_SIZE];
	bool good;
	struct frame_offload offload;
};

static const struct row rows[] = {
	{ "nothing", { 0 }, true, {} },
	{ "partial checksum",
	  { 1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0 },
	  true,
	  { .checksum_partial = true, .checksum_start = 34, .checksum_offset = 16 } },
	{ "a guest's own word is not believed", { 2, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0 }, true, {} },
	{ "TSO over IPv4",
	  { 1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 1, 0 },
	  true,
	  { .checksum_partial = true,
	    .checksum_start = 34,
	    .checksum_offset = 16,
	    .gso = FRAME_GSO_TCP4,
	    .gso_size = 1460 } },
	{ "TSO over IPv6 with CWR",
	  { 1, 0x84, 74, 0, 0xa0, 5, 54, 0, 16, 0, 1, 0 },
	  true,
	  { .checksum_partial = true,
	    .checksum_start = 54,
	    .checksum_offset = 16,
	    .gso = FRAME_GSO_TCP6,
	    .gso_ecn = true,
	    .gso_size = 1440 } },
	{ "USO",
	  { 1, 5, 42, 0, 0xc0, 5, 34, 0, 6, 0, 0, 0 },
	  true,
	  { .checksum_partial = true,
	    .checksum_start = 34,
	    .checksum_offset = 6,
	    .gso = FRAME_GSO_UDP,
	    .gso_size = 1472 } },
	{ "a size without GSO means nothing", { 0, 0, 0, 0, 7, 7 }, true, {} },
	{ "GSO without a size", { 1, 1, 54, 0, 0, 0, 34, 0, 16, 0 }, false, {} },
	{ "UFO was never offered", { 1, 3, 42, 0, 0xc0, 5, 34, 0, 6, 0 }, false, {} },
	{ "ECN without TCP", { 0, 0x80 }, false, {} },
	{ "ECN with USO", { 1, 0x85, 42, 0, 0xc0, 5 }, false, {} },
	{ "unknown GSO", { 1, 2, 42, 0, 0xc0, 5 }, false, {} },
};

static void assert_offload_equal(const struct frame_offload *a, const struct frame_offload *b)
{
	assert_int_equal(a->checksum_partial, b->checksum_partial);
	assert_int_equal(a->checksum_valid, b->checksum_valid);
	assert_int_equal(a->checksum_start, b->checksum_start);
	assert_int_equal(a->checksum_offset, b->checksum_offset);
	assert_int_equal(a->gso, b->gso);
	assert_int_equal(a->gso_ecn, b->gso_ecn);
	assert_int_equal(a->gso_size, b->gso_size);
}

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t *bytes = exact_copy(rows[i].bytes, VIRTIO_NET_HEADER_SIZE);
		struct reader reader = reader_of(bytes, VIRTIO_NET_HEADER_SIZE);
		struct frame_offload offload = { .gso_size = 99 };

		if (virtio_net_parse(&reader, &offload) != rows[i].good)
			fail_msg("%s", rows[i].what);
		if (rows[i].good)
			assert_offload_equal(&offload, &rows[i].offload);
		else
			assert_int_equal(offload.gso_size, 99); /* untouched */
		free(bytes);
	}
}

static void test_short(void **state)
{
	(void)state;
	for (size_t size = 0; size < VIRTIO_NET_HEADER_SIZE; size++) {
		uint8_t *bytes = exact_copy(rows[1].bytes, size);
		struct reader reader = reader_of(bytes, size);
		struct frame_offload offload;

		assert_false(virtio_net_parse(&reader, &offload));
		free(bytes);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct frame frame = { .header_size = 54, .offload = rows[i].offload };
		uint8_t bytes[VIRTIO_NET_HEADER_SIZE];
		struct writer writer = writer_of(bytes, sizeof(bytes));
		struct frame_offload offload;

		if (!rows[i].good)
			continue;
		virtio_net_build(&writer, &frame, 0x0102);
		assert_true(writer_ok(&writer));
		assert_int_equal(writer.position, VIRTIO_NET_HEADER_SIZE);
		assert_int_equal(bytes[VIRTIO_NET_NUM_BUFFERS_OFFSET], 2);
		assert_int_equal(bytes[VIRTIO_NET_NUM_BUFFERS_OFFSET + 1], 1);
		/* hdr_len says how much of a super-frame is headers. */
		assert_int_equal(bytes[2], rows[i].offload.gso == FRAME_GSO_NONE ? 0 : 54);
		struct reader reader = reader_of(bytes, sizeof(bytes));
		assert_true(virtio_net_parse(&reader, &offload));
		assert_offload_equal(&offload, &rows[i].offload);
	}
}

static void test_valid_is_told(void **state)
{
	struct frame frame = { .offload.checksum_valid = true };
	uint8_t bytes[VIRTIO_NET_HEADER_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));

	(void)state;
	virtio_net_build(&writer, &frame, 1);
	assert_int_equal(bytes[0], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_valid_is_told),
	};

	return cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
