#include "tcp_fixture.h"

static uint8_t pattern[FIXTURE_STREAM];

struct bench {
	struct tcp_pool pool;
	struct host_socket socket;
	struct fake_socket *fake;
	uint8_t scratch[TCP_BACKLOG_GET_MAX];
	struct tcp_backlog_source source;
	struct tcp_backlog backlog;
};

static struct bench bench;

static void begin(enum nat_backlog kind, uint32_t blocks)
{
	host_socket_init(&bench.socket, NULL);
	bench.fake = fake_open(&bench.socket);
	bench.fake->down = malloc(FIXTURE_STREAM);
	memcpy(bench.fake->down, pattern, FIXTURE_STREAM);
	bench.fake->closed = true;
	assert_int_equal(tcp_pool_init(&bench.pool, blocks, 1), 0);
	bench.source = (struct tcp_backlog_source){
		.host = &fixture->host,
		.socket = &bench.socket,
		.pool = &bench.pool,
		.scratch = bench.scratch,
	};
	tcp_backlog_init(&bench.backlog, kind, &bench.source);
}

static void end(void)
{
	tcp_backlog_clear(&bench.backlog, &bench.pool);
	assert_int_equal(bench.pool.used, 0);
	tcp_pool_done(&bench.pool);
}

/* Gets and compares with the pattern at `at`. */
static ssize_t get(size_t offset, size_t size, size_t at)
{
	struct iovec parts[TCP_BACKLOG_PARTS];
	size_t count = 0;
	ssize_t got = tcp_backlog_get(&bench.backlog, &bench.source, offset, size, parts, &count);

	for (size_t i = 0; got > 0 && i < count; i++) {
		assert_memory_equal(parts[i].iov_base, pattern + at, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	return got;
}

static int discard(size_t size)
{
	return tcp_backlog_discard(&bench.backlog, &bench.source, size);
}

static void life(enum nat_backlog kind)
{
	begin(kind, 256);
	assert_int_equal(get(0, 100, 0), -EAGAIN);
	assert_int_equal(bench.pool.used, 0);
	bench.fake->down_size = 100000;
	assert_int_equal(get(0, 65536, 0), 65536);
	assert_int_equal(get(65536, 65536, 65536), 100000 - 65536);
	assert_int_equal(get(100000, 10, 0), -EAGAIN);
	assert_int_equal(get(5, 1000, 5), 1000); /* again, from the middle */
	assert_int_equal(discard(300), 0);
	assert_int_equal(get(0, 1000, 300), 1000);
	assert_int_equal(get(99700 - 10, 1000, 99990), 10);
	bench.fake->down_size = 100005;
	assert_int_equal(get(99700, 1000, 100000), 5);
	bench.fake->down_ended = true;
	assert_int_equal(get(99705, 1000, 0), 0);
	assert_true(bench.backlog.ended);
	assert_int_equal(get(0, 1, 300), 1);
	assert_int_equal(discard(99705), 0);
	assert_int_equal(bench.pool.used, 0);
	assert_int_equal(bench.fake->down_head, 100005);
	assert_int_equal(get(0, 1, 0), 0);
	end();
}

static void life_kept(void **state)
{
	(void)state;
	life(NAT_BACKLOG_KEPT);
}

static void life_peek(void **state)
{
	(void)state;
	life(NAT_BACKLOG_PEEK);
	fixture->peek_unavailable = true;
	life(NAT_BACKLOG_PEEK); /* falls back */
}

static void random_steps(enum nat_backlog kind)
{
	struct random_seeded random;

	for (uint64_t seed = 0; seed < 50; seed++) {
		size_t head = 0;

		random_seeded_init(&random, seed);
		begin(kind, 256);
		while (head < 1000000) {
			size_t size = tcp_backlog_size(&bench.backlog);
			size_t offset = random_below(&random.random, 3) == 0
						? random_below(&random.random, (uint32_t)size + 1)
						: size;

			bench.fake->down_size += random_below(&random.random, 70000);
			if (bench.fake->down_size > FIXTURE_STREAM)
				bench.fake->down_size = FIXTURE_STREAM;
			if (offset < TCP_BACKLOG_CAPACITY)
				(void)get(offset, 1 + random_below(&random.random, 65536),
					  head + offset);
			size = tcp_backlog_size(&bench.backlog);
			if (random_below(&random.random, 2) == 0) {
				size_t part = random_below(&random.random, (uint32_t)size + 1);

				assert_int_equal(discard(part), 0);
				head += part;
			}
			assert_true(size <= TCP_BACKLOG_CAPACITY);
		}
		end();
		free(bench.fake->down);
		bench.fake->down = NULL;
	}
}

static void random_kept(void **state)
{
	(void)state;
	random_steps(NAT_BACKLOG_KEPT);
}

static void random_peek(void **state)
{
	(void)state;
	random_steps(NAT_BACKLOG_PEEK);
}

static void errors(void **state)
{
	(void)state;
	begin(NAT_BACKLOG_KEPT, 2);
	bench.fake->down_size = 100000;
	assert_int_equal(get(0, 65536, 0), TCP_BLOCK_SIZE); /* the share of a port: half */
	assert_int_equal(get(TCP_BLOCK_SIZE, 10, 0), -ENOBUFS);
	assert_int_equal(discard(TCP_BLOCK_SIZE), 0);
	assert_int_equal(get(0, 10, TCP_BLOCK_SIZE), 10);
	bench.fake->down_size = bench.fake->down_head;
	bench.fake->down_error = -ECONNRESET;
	assert_int_equal(get(10, 10, 0), -ECONNRESET);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_KEPT(life_kept),	TEST_KEPT(life_peek), TEST_KEPT(random_kept),
		TEST_KEPT(random_peek), TEST_KEPT(errors),
	};

	fill_pattern(pattern, sizeof(pattern), 0);
	return cmocka_run_group_tests_name("tcp_backlog", tests, NULL, NULL);
}
