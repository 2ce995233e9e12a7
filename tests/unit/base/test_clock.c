#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static uint64_t kernel_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void test_boottime(void **state)
{
	uint64_t previous = kernel_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_now(&clock_boottime);

		assert_true(now >= previous);
		previous = now;
	}
	assert_true(kernel_ns() >= previous);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boottime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
