#include "tcp_fixture.h"

static void take_and_give(void **state)
{
	struct tcp_pool pool;
	uint32_t first;
	uint32_t second;

	(void)state;
	assert_int_equal(tcp_pool_init(&pool, 8, 2), 0);
	first = tcp_pool_take(&pool, 0, 0);
	second = tcp_pool_take(&pool, 0, 1);
	assert_int_not_equal(first, TCP_BLOCK_NONE);
	assert_int_not_equal(second, TCP_BLOCK_NONE);
	assert_int_not_equal(first, second);
	memset(tcp_pool_bytes(&pool, second), 1, TCP_BLOCK_SIZE);
	assert_int_equal(tcp_pool_bytes(&pool, first)[TCP_BLOCK_SIZE - 1], 0);
	tcp_pool_give(&pool, first);
	tcp_pool_give(&pool, second);
	assert_int_equal(pool.used, 0);
	tcp_pool_done(&pool);
}

/* One port takes half at most; every newcomer finds something. */
static void ports_share(void **state)
{
	struct tcp_pool pool;
	uint32_t count = 0;

	(void)state;
	assert_int_equal(tcp_pool_init(&pool, 64, 2), 0);
	while (tcp_pool_take(&pool, 0, 0) != TCP_BLOCK_NONE)
		count++;
	assert_int_equal(count, 32);
	count = 0;
	while (tcp_pool_take(&pool, 1, 0) != TCP_BLOCK_NONE)
		count++;
	assert_int_equal(count, 16);
	/* A port that is none, and one beyond the capacity, are one. */
	assert_int_not_equal(tcp_pool_take(&pool, FRAME_PORT_NONE, 0), TCP_BLOCK_NONE);
	assert_int_not_equal(tcp_pool_take(&pool, 2, 0), TCP_BLOCK_NONE);
	assert_int_equal(pool.port_used[2], 2);
	tcp_pool_done(&pool);
}

/* A flow that holds much gets no more while little is left; one that holds nothing does. */
static void flows_share(void **state)
{
	struct tcp_pool pool;
	uint32_t held = 0;

	(void)state;
	assert_int_equal(tcp_pool_init(&pool, 64, 2), 0);
	while (tcp_pool_take(&pool, 0, held) != TCP_BLOCK_NONE)
		held++;
	assert_true(held >= 8 && held < 16);
	assert_int_not_equal(tcp_pool_take(&pool, 0, 0), TCP_BLOCK_NONE);
	assert_int_not_equal(tcp_pool_take(&pool, 0, 1), TCP_BLOCK_NONE);
	tcp_pool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(take_and_give),
		cmocka_unit_test(ports_share),
		cmocka_unit_test(flows_share),
	};

	return cmocka_run_group_tests_name("tcp_pool", tests, NULL, NULL);
}
