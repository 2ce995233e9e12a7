#include "vm/cpu_model.h"

#include "scratch.h"
#include "vm/qemu_version.h"

static void test_choose(void **state)
{
	static const struct {
		struct qemu_version version;
		enum accel accel;
		bool nested;
		const char *model;
	} rows[] = {
		{ { 7, 2 }, ACCEL_TCG, false, "max,erms=off,fsrm=off" },
		/* its flags were never tried */
		{ { 8, 0 }, ACCEL_TCG, false, "max,erms=off,fsrm=off" },
		{ { 8, 1 }, ACCEL_TCG, false, "max,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off" },
		{ { 10, 0 }, ACCEL_TCG, false, "max,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off" },
		{ { 7, 2 }, ACCEL_KVM, false, "host,vmx=off,svm=off" },
		{ { 10, 0 }, ACCEL_KVM, true, "host" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_string_equal(cpu_model_of(rows[i].accel, rows[i].nested, &rows[i].version),
				    rows[i].model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
