#include "vm/accel.h"

#include <errno.h>

#include "base/error.h"
#include "scratch.h"

static void test_parse(void **state)
{
	enum accel accel;

	(void)state;
	assert_true(accel_parse("auto", &accel) && accel == ACCEL_AUTO);
	assert_true(accel_parse("kvm", &accel) && accel == ACCEL_KVM);
	assert_true(accel_parse("tcg", &accel) && accel == ACCEL_TCG);
	for (accel = ACCEL_AUTO; accel <= ACCEL_TCG; accel++) {
		enum accel again;
		assert_true(accel_parse(accel_name(accel), &again) && again == accel);
	}
	assert_false(accel_parse("", &accel));
	assert_false(accel_parse("KVM", &accel));
	assert_false(accel_parse("hvf", &accel));
}

static void test_choose(void **state)
{
	static const struct {
		enum accel wanted;
		struct accel_host host;
		int result;
		enum accel chosen;
		const char *said; /* NULL = nothing */
	} rows[] = {
		{ ACCEL_AUTO, { 0, true }, 0, ACCEL_KVM, NULL },
		{ ACCEL_KVM, { 0, true }, 0, ACCEL_KVM, NULL },
		{ ACCEL_TCG, { 0, true }, 0, ACCEL_TCG, NULL },
		{ ACCEL_TCG, { -ENOENT, false }, 0, ACCEL_TCG, NULL },
		{ ACCEL_AUTO, { -ENOENT, true }, 0, ACCEL_TCG, "/dev/kvm does not exist" },
		{ ACCEL_AUTO, { -EACCES, true }, 0, ACCEL_TCG, "no right to open /dev/kvm" },
		{ ACCEL_AUTO, { -ENODEV, true }, 0, ACCEL_TCG, "cannot be opened" },
		/* A device that opens, on a host that cannot run a stock guest. */
		{ ACCEL_AUTO, { 0, false }, 0, ACCEL_TCG, "neither vmx nor svm" },
		{ ACCEL_KVM, { 0, false }, 0, ACCEL_KVM, NULL }, /* forced */
		{ ACCEL_KVM, { -ENOENT, true }, -ENOENT, ACCEL_AUTO, "KVM cannot be used" },
		{ ACCEL_KVM, { -EACCES, true }, -EACCES, ACCEL_AUTO, "group kvm" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "old" };
		enum accel chosen = ACCEL_AUTO;
		assert_int_equal(accel_choose(rows[i].wanted, &rows[i].host, &chosen, &err),
				 rows[i].result);
		assert_int_equal(chosen, rows[i].chosen);
		if (rows[i].said)
			assert_non_null(strstr(err.text, rows[i].said));
		else
			assert_string_equal(err.text, "");
		if (rows[i].result == 0 && rows[i].said)
			assert_non_null(strstr(err.text, "using TCG"));
		assert_null(strchr(err.text, '\n')); /* one line */
	}
}

static void test_probe(void **state)
{
	static const struct {
		const char *cpuinfo;
		bool expected;
	} rows[] = {
		{ "processor\t: 0\nflags\t\t: fpu vme vmx sse\n", true },
		{ "flags\t\t: fpu svm\n", true },
		{ "flags\t\t: fpu\nvmx flags\t: vmx ept\n", false }, /* another line */
		{ "flags\t\t: fpu vmxoff svme\n", false },
		{ "model name\t: vmx svm\n", false },
		{ "", false },
	};
	const struct scratch *scratch = *state;
	char kvm[128];
	char cpuinfo[128];

	snprintf(kvm, sizeof(kvm), "%s/kvm", scratch->path);
	snprintf(cpuinfo, sizeof(cpuinfo), "%s/cpuinfo", scratch->path);
	assert_int_equal(accel_probe(kvm, cpuinfo).kvm_error, -ENOENT);
	assert_false(accel_probe(kvm, cpuinfo).cpu_virtualization);
	scratch_write(scratch->fd, "kvm", "");
	assert_int_equal(accel_probe(kvm, cpuinfo).kvm_error, 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		scratch_write(scratch->fd, "cpuinfo", rows[i].cpuinfo);
		assert_int_equal(accel_probe(kvm, cpuinfo).cpu_virtualization, rows[i].expected);
	}
}

static void test_nested(void **state)
{
	static const struct {
		const char *module;
		const char *value; /* NULL = no such file */
		bool offered;
	} rows[] = {
		{ "kvm_intel", "Y\n", true },  { "kvm_amd", "1\n", true },
		{ "kvm_intel", "N\n", false }, { "kvm_amd", "0\n", false },
		{ "kvm_amd", "", false },      { "kvm_pvm", "Y\n", false },
		{ "kvm_intel", NULL, false },
	};
	const struct scratch *scratch = *state;
	struct error err;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char path[128], modules[128];
		snprintf(modules, sizeof(modules), "%s/%zu", scratch->path, i);
		assert_int_equal(mkdir(modules, 0700), 0);
		snprintf(path, sizeof(path), "%zu/%s", i, rows[i].module);
		assert_int_equal(mkdirat(scratch->fd, path, 0700), 0);
		snprintf(path, sizeof(path), "%zu/%s/parameters", i, rows[i].module);
		assert_int_equal(mkdirat(scratch->fd, path, 0700), 0);
		snprintf(path, sizeof(path), "%zu/%s/parameters/nested", i, rows[i].module);
		if (rows[i].value)
			scratch_write(scratch->fd, path, rows[i].value);
		assert_int_equal(accel_check_nested(ACCEL_KVM, modules, &err),
				 rows[i].offered ? 0 : -EOPNOTSUPP);
		if (!rows[i].offered)
			assert_non_null(strstr(err.text, "this host's KVM does not offer it"));
		assert_int_equal(accel_check_nested(ACCEL_TCG, modules, &err), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, "--nested needs KVM"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_choose),
		cmocka_unit_test_setup_teardown(test_probe, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_nested, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
