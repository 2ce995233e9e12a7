#include "cli/memory_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static bool can_have(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	munmap(memory, size);
	return true;
}

static void test_limit(void **state)
{
	struct rlimit before;
	struct rlimit after;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	assert_true(can_have(256 * MIB));
	memory_limit_set(128 * MIB);
	assert_true(can_have(64 * MIB));
	assert_false(can_have(256 * MIB));
	/* It is never raised. */
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	memory_limit_set(1024 * MIB);
	assert_int_equal(getrlimit(RLIMIT_DATA, &after), 0);
	assert_int_equal(after.rlim_cur, before.rlim_cur);
	assert_false(can_have(256 * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
