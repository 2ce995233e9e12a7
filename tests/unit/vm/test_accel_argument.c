#include "vm/accel_argument.h"

#include "scratch.h"
#include "vm/qemu_version.h"

static void test_choose(void **state)
{
	static const struct {
		struct qemu_version version;
		enum accel accel;
		const char *argument;
	} rows[] = {
		{ { 7, 2 }, ACCEL_TCG, "tcg,thread=single" },
		{ { 8, 0 }, ACCEL_TCG, "tcg,thread=single" },
		{ { 8, 1 }, ACCEL_TCG, "tcg" },
		{ { 10, 0 }, ACCEL_TCG, "tcg" },
		{ { 7, 2 }, ACCEL_KVM, "kvm" },
		{ { 10, 0 }, ACCEL_KVM, "kvm" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_string_equal(accel_argument_of(rows[i].accel, &rows[i].version),
				    rows[i].argument);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
