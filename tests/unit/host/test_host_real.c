#include "host_rig.h"

/* Every operation is there: a caller never asks. */
static void test_operations(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	void (*operations[sizeof(struct host_ops) / sizeof(void (*)(void))])(void);
	_Static_assert(sizeof(operations) == sizeof(struct host_ops), "nothing but operations");
	memcpy(operations, rig.host->ops, sizeof(operations));
	for (size_t i = 0; i < ARRAY_COUNT(operations); i++)
		assert_non_null(operations[i]);
	rig_done(&rig);
}

/* Two hosts in a process share nothing. */
static void test_two(void **state)
{
	(void)state;
	struct rig one;
	struct rig two;
	rig_init(&one);
	rig_init(&two);
	rig_write_file(one.hosts, "192.0.2.1 name\n");
	rig_write_file(two.hosts, "192.0.2.2 name\n");
	struct ip_addr addr;
	bool known;
	assert_int_equal(host_call(one.host, hosts_lookup, "name", IP_FAMILY_V4, &addr, 1, &known),
			 1);
	assert_int_equal(ip_addr_to_v4(&addr), 0xc0000201);
	assert_int_equal(host_call(two.host, hosts_lookup, "name", IP_FAMILY_V4, &addr, 1, &known),
			 1);
	assert_int_equal(ip_addr_to_v4(&addr), 0xc0000202);
	rig_done(&one);
	rig_done(&two);
}

static void test_free_null(void **state)
{
	(void)state;
	assert_null(host_real_free(NULL));
}

/* With the system's files. */
static void test_new(void **state)
{
	(void)state;
	struct loop *loop;
	struct host *host;
	struct error err = { 0 };
	struct ip_endpoint resolver[8];
	assert_int_equal(loop_new(&clock_boottime, &loop), 0);
	assert_int_equal(host_real_new(loop, NULL, NULL, &host, &err), 0);
	assert_true(host_call(host, resolvers, resolver, ARRAY_COUNT(resolver)) <= 8);
	assert_null(host_real_free(host));
	assert_null(loop_free(loop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_free_null),
		cmocka_unit_test(test_new),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
