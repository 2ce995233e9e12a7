#include "tcp_fixture.h"

#define POOL_BLOCKS 128

struct bench {
	struct tcp_pool pool;
	struct tcp_buffer buffer;
	uint8_t *stream;
	uint64_t stream_size;
};

static struct bench bench;

static int begin(void **state)
{
	(void)state;
	bench.stream_size = UINT64_C(1) << 20;
	bench.stream = malloc(bench.stream_size);
	fill_pattern(bench.stream, bench.stream_size, 0);
	tcp_buffer_init(&bench.buffer);
	return tcp_pool_init(&bench.pool, POOL_BLOCKS, 1);
}

static int end(void **state)
{
	(void)state;
	tcp_buffer_clear(&bench.buffer, &bench.pool);
	assert_int_equal(bench.pool.used, 0);
	tcp_pool_done(&bench.pool);
	free(bench.stream);
	return 0;
}

static size_t store(uint64_t position, size_t size)
{
	struct frame frame = { .payload_count = 1, .payload_size = size };

	frame.single = (struct iovec){ .iov_base = bench.stream + position, .iov_len = size };
	frame.payload = &frame.single;
	return tcp_buffer_store(&bench.buffer, &bench.pool, 0, position, &frame, 0, size);
}

/* Takes all that is in order and compares it. */
static void drain(void)
{
	struct iovec parts[TCP_BUFFER_BLOCKS];
	size_t count = tcp_buffer_parts(&bench.buffer, &bench.pool, parts);
	uint64_t position = bench.buffer.head;

	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(parts[i].iov_base, bench.stream + position, parts[i].iov_len);
		position += parts[i].iov_len;
	}
	assert_true(position == bench.buffer.tail);
	tcp_buffer_consume(&bench.buffer, &bench.pool, tcp_buffer_size(&bench.buffer));
}

static void in_order(void **state)
{
	(void)state;
	assert_int_equal(store(0, 100000), 100000);
	assert_int_equal(tcp_buffer_size(&bench.buffer), 100000);
	tcp_buffer_consume(&bench.buffer, &bench.pool, 50000);
	assert_int_equal(bench.buffer.held, 4);
	assert_int_equal(store(100000, 5), 5);
	drain();
	assert_int_equal(bench.pool.used, 0);
}

static void full(void **state)
{
	size_t size = TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK;

	(void)state;
	tcp_buffer_pass(&bench.buffer, &bench.pool, TCP_BLOCK_SIZE - 1);
	assert_int_equal(store(TCP_BLOCK_SIZE - 1, size), size);
	assert_int_equal(bench.buffer.held, TCP_BUFFER_BLOCKS);
	drain();
}

static void gaps(void **state)
{
	(void)state;
	assert_int_equal(store(3000, 1000), 1000);
	assert_int_equal(store(1000, 1000), 1000);
	assert_int_equal(bench.buffer.range_count, 2);
	assert_int_equal(store(1500, 2000), 2000); /* overlaps both */
	assert_int_equal(bench.buffer.range_count, 1);
	assert_int_equal(tcp_buffer_size(&bench.buffer), 0);
	assert_int_equal(store(0, 1200), 1200);
	assert_int_equal(tcp_buffer_size(&bench.buffer), 4000);
	assert_int_equal(bench.buffer.range_count, 0);
	drain();
}

static void too_many_gaps(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < TCP_BUFFER_RANGES; i++)
		assert_int_equal(store(100 + i * 200, 100), 100);
	assert_int_equal(store(100 + TCP_BUFFER_RANGES * 200, 100), 0);
	assert_int_equal(store(200, 50), 50); /* joins a range */
	assert_int_equal(store(0, 100), 100);
	assert_int_equal(tcp_buffer_size(&bench.buffer), 250);
	drain();
}

static void pass_over_ranges(void **state)
{
	(void)state;
	assert_int_equal(store(20000, 1000), 1000);
	assert_int_equal(store(40000, 1000), 1000);
	tcp_buffer_pass(&bench.buffer, &bench.pool, 20500);
	assert_true(bench.buffer.head == 20500 && bench.buffer.tail == 21000);
	drain();
	tcp_buffer_pass(&bench.buffer, &bench.pool, 30000); /* over the whole second one */
	assert_int_equal(bench.buffer.range_count, 0);
	assert_int_equal(bench.pool.used, 0);
}

static void pool_is_empty(void **state)
{
	uint32_t taken = 0;
	size_t stored;

	(void)state;
	while (bench.pool.used < POOL_BLOCKS / 2 - 1 &&
	       tcp_pool_take(&bench.pool, 0, 0) != TCP_BLOCK_NONE)
		taken++;
	stored = store(0, 100000);
	assert_int_equal(stored, TCP_BLOCK_SIZE);
	assert_int_equal(store(50000, 10), 0);
	drain();
	assert_int_equal(bench.pool.used, taken);
	bench.pool.used = 0; /* those of the test itself */
}

/* Against a plain model: any order of pieces gives the stream. */
static void random_pieces(void **state)
{
	struct random_seeded random;

	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		random_seeded_init(&random, seed);
		tcp_buffer_clear(&bench.buffer, &bench.pool);
		tcp_buffer_init(&bench.buffer);
		while (bench.buffer.tail < 600000) {
			uint64_t room = bench.buffer.head + TCP_BUFFER_CAPACITY;
			uint64_t at =
				bench.buffer.tail + (random_below(&random.random, 2)
							     ? random_below(&random.random, 5000)
							     : 0);
			size_t size = 1 + random_below(&random.random, 9000);

			if (at < room && at + size <= room)
				(void)store(at, size);
			if (random_below(&random.random, 3) == 0)
				drain();
			else if (tcp_buffer_size(&bench.buffer) == 0)
				tcp_buffer_pass(&bench.buffer, &bench.pool,
						random_below(&random.random, 3000));
		}
		drain();
	}
}

#define TEST(function)                                                                             \
	{                                                                                          \
#function, function, begin, end, NULL                                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_order),
		TEST(full),
		TEST(gaps),
		TEST(too_many_gaps),
		TEST(pass_over_ranges),
		TEST(pool_is_empty),
		TEST(random_pieces),
	};

	return cmocka_run_group_tests_name("tcp_buffer", tests, NULL, NULL);
}
