#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attach/out_queue.h"
#include "base/random.h"

static struct out_queue queue;

static int setup(void **state)
{
	(void)state;
	return out_queue_init(&queue);
}

static int teardown(void **state)
{
	(void)state;
	out_queue_done(&queue);
	return 0;
}

static bool put(uint8_t byte, size_t size)
{
	static uint8_t bytes[70000];
	struct iovec parts[2] = { { bytes, size / 3 }, { bytes + size / 3, size - size / 3 } };

	memset(bytes, byte, size);
	return out_queue_put(&queue, parts, 2, size);
}

static void framing(void **state)
{
	struct iovec parts[2];
	size_t offset = 0;

	(void)state;
	assert_int_equal(out_queue_peek(&queue, parts), 0);
	assert_int_equal(out_queue_peek_frame(&queue, &offset, parts), 0);
	assert_int_equal(offset, 0);
	assert_true(put('a', 300));
	assert_true(put('b', 1));
	assert_int_equal(out_queue_used(&queue), 4 + 300 + 4 + 1);
	assert_int_equal(out_queue_peek(&queue, parts), 1);
	assert_int_equal(parts[0].iov_len, 309);
	assert_memory_equal(parts[0].iov_base,
			    "\0\0\x01\x2c"
			    "aaa",
			    7);
	assert_int_equal(out_queue_peek_frame(&queue, &offset, parts), 1);
	assert_int_equal(parts[0].iov_len, 300);
	assert_int_equal(offset, 304);
	assert_int_equal(out_queue_peek_frame(&queue, &offset, parts), 1);
	assert_int_equal(parts[0].iov_len, 1);
	assert_int_equal(out_queue_peek_frame(&queue, &offset, parts), 0);
	assert_int_equal(offset, 309);
	out_queue_take(&queue, 304);
	offset = 0;
	assert_int_equal(out_queue_peek_frame(&queue, &offset, parts), 1);
	assert_int_equal(parts[0].iov_len, 1);
	assert_int_equal(*(uint8_t *)parts[0].iov_base, 'b');
	out_queue_clear(&queue);
	assert_int_equal(out_queue_used(&queue), 0);
	assert_int_equal(out_queue_peek(&queue, parts), 0);
}

static void full_to_the_byte(void **state)
{
	size_t left = OUT_QUEUE_SIZE;

	(void)state;
	while (left > 60004) {
		assert_true(put('x', 60000));
		left -= 60004;
	}
	assert_false(put('y', left - 3));
	assert_int_equal(out_queue_used(&queue), OUT_QUEUE_SIZE - left);
	assert_true(put('y', left - 4));
	assert_int_equal(out_queue_used(&queue), OUT_QUEUE_SIZE);
	assert_false(put('z', 1));
}

/* Told once, and only who asked. */
static void room_and_its_return(void **state)
{
	(void)state;
	assert_true(out_queue_room(&queue) > OUT_QUEUE_SIZE / 2);
	assert_false(out_queue_room_returned(&queue));
	while (out_queue_room(&queue) > 0)
		assert_true(put('x', 60000));
	/* What it last said would have fitted. */
	assert_true(OUT_QUEUE_SIZE - out_queue_used(&queue) > 60004);
	assert_false(out_queue_room_returned(&queue));
	while (out_queue_used(&queue) > OUT_QUEUE_SIZE / 2 + 60004)
		out_queue_take(&queue, 60004);
	assert_false(out_queue_room_returned(&queue));
	out_queue_take(&queue, 60004);
	assert_true(out_queue_room_returned(&queue));
	assert_false(out_queue_room_returned(&queue));
}

/* Payload cut at the smallest MTU still fits with its headers. */
static void room_allows_for_headers(void **state)
{
	size_t told = out_queue_room(&queue);

	(void)state;
	for (size_t payload = 0; payload + 536 <= told; payload += 536)
		assert_true(put('x', 536 + 54));
}

/* Against a plain copy of the stream, over many rounds of the ring. */
static void random_operations(void **state)
{
	enum {
		COPY = 4 << 20
	};
	struct random_seeded random;
	uint8_t *copy = malloc(COPY);
	size_t head = 0;
	size_t tail = 0;

	(void)state;
	assert_non_null(copy);
	random_seeded_init(&random, 9);
	for (uint64_t i = 0; i < 20000; i++) {
		size_t size = 1 + random_below(&random.random,
					       random_below(&random.random, 3) == 0 ? 66000 : 1600);
		uint8_t byte = (uint8_t)i;
		struct iovec parts[2];

		if (random_below(&random.random, 2) == 0) {
			bool fits = size + 4 <= OUT_QUEUE_SIZE - (tail - head);

			assert_int_equal(put(byte, size), fits);
			if (fits) {
				const uint8_t length[4] = { 0, (uint8_t)(size >> 16),
							    (uint8_t)(size >> 8), (uint8_t)size };

				if (tail + 4 + size > COPY) {
					memmove(copy, copy + head, tail - head);
					tail -= head;
					head = 0;
				}
				memcpy(copy + tail, length, 4);
				memset(copy + tail + 4, byte, size);
				tail += 4 + size;
			}
		} else if (tail > head) {
			/* Each frame that waits is found; some of them are taken. */
			size_t offset = 0;
			size_t begin = head;
			size_t count;

			while ((count = out_queue_peek_frame(&queue, &offset, parts)) > 0) {
				size_t got = 0;

				for (size_t p = 0; p < count; p++) {
					assert_memory_equal(parts[p].iov_base,
							    copy + begin + 4 + got,
							    parts[p].iov_len);
					got += parts[p].iov_len;
				}
				begin += got + 4;
				assert_int_equal(offset, begin - head);
				if (random_below(&random.random, 2) == 0)
					break;
			}
			out_queue_take(&queue, offset);
			head += offset;
		}
		assert_int_equal(out_queue_used(&queue), tail - head);
		size_t count = out_queue_peek(&queue, parts);
		size_t whole = 0;
		for (size_t p = 0; p < count; p++)
			whole += parts[p].iov_len;
		assert_int_equal(whole, tail - head);
	}
	free(copy);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(framing),
		TEST(full_to_the_byte),
		TEST(room_and_its_return),
		TEST(room_allows_for_headers),
		TEST(random_operations),
	};

	return cmocka_run_group_tests_name("out_queue", tests, NULL, NULL);
}
