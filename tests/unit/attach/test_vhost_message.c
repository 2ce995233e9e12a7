/* Messages of a vhost-user front end: each kind back and forth, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attach/vhost_user/vhost_message.h"

#define BYTES (VHOST_MESSAGE_HEADER_SIZE + VHOST_MESSAGE_PAYLOAD_MOST)

struct sample {
	struct vhost_message message;
	size_t fds;
	size_t payload_size;
};

static const struct sample samples[] = {
	{ { .request = VHOST_GET_FEATURES }, 0, 0 },
	{ { .request = VHOST_SET_FEATURES, .u64 = 0x123456789abcdef0 }, 0, 8 },
	{ { .request = VHOST_SET_OWNER }, 0, 0 },
	{ { .request = VHOST_RESET_OWNER }, 0, 0 },
	{ { .request = VHOST_SET_MEM_TABLE, .memory = { 1, { { 0, 4096, 0x7f0000000000, 0 } } } },
	  1,
	  40 },
	{ { .request = VHOST_SET_MEM_TABLE,
	    .memory = { 8,
			{ { 1, 2, 3, 4 },
			  { 5, 6, 7, 8 },
			  { 9, 10, 11, 12 },
			  { 13, 14, 15, 16 },
			  { 17, 18, 19, 20 },
			  { 21, 22, 23, 24 },
			  { 25, 26, 27, 28 },
			  { 29, 30, 31, UINT64_MAX } } } },
	  8,
	  264 },
	{ { .request = VHOST_SET_LOG_BASE, .log = { 65536, 4096 } }, 1, 16 },
	{ { .request = VHOST_SET_LOG_FD }, 1, 0 },
	{ { .request = VHOST_SET_VRING_NUM, .state = { 1, 1024 } }, 0, 8 },
	{ { .request = VHOST_SET_VRING_ADDR, .address = { 1, 1, 2, 3, 4, UINT64_MAX } }, 0, 40 },
	{ { .request = VHOST_SET_VRING_BASE, .state = { 0, 65535 } }, 0, 8 },
	{ { .request = VHOST_GET_VRING_BASE, .state = { 1, 0 } }, 0, 8 },
	{ { .request = VHOST_SET_VRING_KICK, .vring_fd = { 1, true } }, 1, 8 },
	{ { .request = VHOST_SET_VRING_KICK, .vring_fd = { 0, false } }, 0, 8 },
	{ { .request = VHOST_SET_VRING_CALL, .vring_fd = { 255, true } }, 1, 8 },
	{ { .request = VHOST_SET_VRING_ERR, .vring_fd = { 0, false } }, 0, 8 },
	{ { .request = VHOST_GET_PROTOCOL_FEATURES }, 0, 0 },
	{ { .request = VHOST_SET_PROTOCOL_FEATURES, .u64 = 11 }, 0, 8 },
	{ { .request = VHOST_SET_VRING_ENABLE, .needs_reply = true, .state = { 1, 1 } }, 0, 8 },
	{ { .request = VHOST_NET_SET_MTU, .needs_reply = true, .u64 = 1500 }, 0, 8 },
};

static size_t build(const struct vhost_message *message, uint8_t bytes[BYTES])
{
	struct writer writer = writer_of(bytes, BYTES);

	vhost_message_build(&writer, message);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void back_and_forth(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
		struct vhost_message_header header;
		struct vhost_message message;
		uint8_t bytes[BYTES];
		uint8_t again[BYTES];
		size_t size = build(&samples[i].message, bytes);

		assert_int_equal(size, VHOST_MESSAGE_HEADER_SIZE + samples[i].payload_size);
		assert_true(vhost_message_parse_header(bytes, &header));
		assert_int_equal(header.request, samples[i].message.request);
		assert_int_equal(header.payload_size, samples[i].payload_size);
		assert_true(vhost_message_parse(&header, bytes + VHOST_MESSAGE_HEADER_SIZE,
						samples[i].fds, &message));
		assert_int_equal(message.needs_reply, samples[i].message.needs_reply);
		assert_int_equal(build(&message, again), size);
		assert_memory_equal(again, bytes, size);
		assert_non_null(vhost_message_name(message.request));
	}
}

/* Every other number of descriptors, and every other size up to the longest. */
static void wrong_sizes_and_descriptors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
		struct vhost_message_header header;
		struct vhost_message message;
		uint8_t bytes[BYTES] = {};

		(void)build(&samples[i].message, bytes);
		assert_true(vhost_message_parse_header(bytes, &header));
		for (size_t fds = 0; fds <= VHOST_MESSAGE_FDS_MOST; fds++)
			assert_int_equal(vhost_message_parse(&header,
							     bytes + VHOST_MESSAGE_HEADER_SIZE, fds,
							     &message),
					 fds == samples[i].fds);
		for (uint32_t size = 0; size <= VHOST_MESSAGE_PAYLOAD_MOST; size++) {
			header.payload_size = size;
			assert_int_equal(vhost_message_parse(&header,
							     bytes + VHOST_MESSAGE_HEADER_SIZE,
							     samples[i].fds, &message),
					 size == samples[i].payload_size);
		}
	}
}

static void unknown_requests(void **state)
{
	static const uint8_t payload[VHOST_MESSAGE_PAYLOAD_MOST];
	struct vhost_message message;

	(void)state;
	for (uint32_t request = 0; request < 300; request++) {
		struct vhost_message_header header = { .request = request };
		bool known = vhost_message_name(request) != NULL;

		assert_int_equal(known,
				 (request >= 1 && request <= 16) || request == 18 || request == 20);
		for (uint32_t size = 0; size <= 40 && !known; size++) {
			header.payload_size = size;
			assert_false(vhost_message_parse(&header, payload, 0, &message));
		}
	}
	assert_null(vhost_message_name(UINT32_MAX));
}

static void set_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void headers(void **state)
{
	static const struct {
		uint32_t flags;
		uint32_t size;
		bool good;
	} cases[] = {
		{ 1, 0, true },	   { 9, 264, true },	     { 0, 0, false },
		{ 2, 0, false },   { 3, 0, false },	     { 5, 0, false },
		{ 1, 265, false }, { 1, UINT32_MAX, false }, { 0xf1, 0, true },
		{ 4, 0, false },   { 1, 0x80000000, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct vhost_message_header header;
		uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE];

		set_u32(bytes, 1);
		set_u32(bytes + 4, cases[i].flags);
		set_u32(bytes + 8, cases[i].size);
		assert_int_equal(vhost_message_parse_header(bytes, &header), cases[i].good);
		if (cases[i].good)
			assert_int_equal(header.needs_reply, (cases[i].flags & 8) != 0);
	}
}

/* Bits of a vring's descriptor message that have no meaning. */
static void vring_bits(void **state)
{
	struct vhost_message_header header = { .request = VHOST_SET_VRING_CALL, .payload_size = 8 };
	struct vhost_message message;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = (uint64_t)1 << bit;
		uint8_t payload[8];

		memcpy(payload, &value, sizeof(value));
		assert_int_equal(vhost_message_parse(&header, payload, bit == 8 ? 0 : 1, &message),
				 bit <= 8);
		assert_false(vhost_message_parse(&header, payload, bit == 8 ? 1 : 0, &message));
	}
}

static void replies(void **state)
{
	const struct vhost_vring_state base = { 1, 77 };
	struct vhost_message_header header;
	uint8_t bytes[BYTES];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	uint32_t request;
	uint32_t size;
	uint64_t value;

	(void)state;
	vhost_message_build_u64(&writer, VHOST_GET_FEATURES, 42);
	assert_int_equal(writer.position, 20);
	assert_true(vhost_message_parse_reply(bytes, &request, &size));
	assert_int_equal(request, VHOST_GET_FEATURES);
	assert_int_equal(size, 8);
	memcpy(&value, bytes + 12, 8);
	assert_int_equal(value, 42);
	/* An answer is no request. */
	assert_false(vhost_message_parse_header(bytes, &header));

	writer = writer_of(bytes, sizeof(bytes));
	vhost_message_build_state(&writer, VHOST_GET_VRING_BASE, &base);
	assert_true(vhost_message_parse_reply(bytes, &request, &size));
	assert_memory_equal(bytes + 12, &base, 8);

	(void)build(&samples[0].message, bytes);
	assert_false(vhost_message_parse_reply(bytes, &request, &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(back_and_forth),   cmocka_unit_test(wrong_sizes_and_descriptors),
		cmocka_unit_test(unknown_requests), cmocka_unit_test(headers),
		cmocka_unit_test(vring_bits),	    cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
