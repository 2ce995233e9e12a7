#include "vm/vm_label.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

/* 65 times the two bytes of U+00E4, and 64 of them. */
static void repeat(char *buffer, const char *piece, size_t count)
{
	buffer[0] = 0;
	for (size_t i = 0; i < count; i++)
		strcat(buffer, piece);
}

/* The vectors of Tart's own test, and blanks beyond ASCII. */
static void test_label(void **state)
{
	char label[VM_LABEL_SIZE];

	(void)state;
	assert_true(vm_label_from_name("macos-runner", label));
	assert_string_equal(label, "macos-runner");
	assert_true(vm_label_from_name("  macos-runner  ", label));
	assert_string_equal(label, "macos-runner");
	assert_true(vm_label_from_name("\t\n a b \xc2\xa0\xe3\x80\x80", label));
	assert_string_equal(label, "a b");
	assert_false(vm_label_from_name("   ", label));
	assert_false(vm_label_from_name("", label));
	assert_false(vm_label_from_name(" \n\xe2\x80\x83", label));
}

static void test_label_is_cut_between_characters(void **state)
{
	static const char *const pieces[] = { "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	char name[65 * 4 + 1];
	char expected[VM_LABEL_SIZE];
	char label[VM_LABEL_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		repeat(name, pieces[i], 65);
		repeat(expected, pieces[i], 64);
		assert_true(vm_label_from_name(name, label));
		assert_string_equal(label, expected);
		repeat(name, pieces[i], 64);
		assert_true(vm_label_from_name(name, label));
		assert_string_equal(label, expected);
	}
}

static void test_label_is_not_cut_before_an_accent(void **state)
{
	char name[64 + 2 + 1];
	char label[VM_LABEL_SIZE];

	(void)state;
	repeat(name, "a", 63);
	strcat(name, "e\xcc\x81"); /* U+0301 would be the 65th */
	assert_true(vm_label_from_name(name, label));
	assert_int_equal(strlen(label), 63);
}

static void test_safe(void **state)
{
	char safe[VM_LABEL_SAFE_SIZE];
	char name[201];

	(void)state;
	vm_label_safe("ci-3_x.Y", safe);
	assert_string_equal(safe, "ci-3_x.Y");
	vm_label_safe("a b,c=\xc3\xa4/\n%@", safe);
	assert_string_equal(safe, "a-b-c-----"
				  "-");
	vm_label_safe("\xff", safe);
	assert_string_equal(safe, "-");
	repeat(name, "x", 200);
	vm_label_safe(name, safe);
	assert_int_equal(strlen(safe), VM_LABEL_LENGTH);
}

static void test_hostname(void **state)
{
	static const struct {
		const char *name;
		const char *hostname; /* NULL = none */
	} rows[] = {
		{ "debian", "debian" },		{ "Debian 12", "debian-12" },
		{ "ci_3.local", "ci-3-local" }, { "--a--b--", "a-b" },
		{ "\xc3\xa4", NULL },		{ " ", NULL },
		{ "x\xc3\xa4y", "x-y" },
	};
	char hostname[VM_HOSTNAME_SIZE];
	char name[101];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		bool found = vm_label_hostname(rows[i].name, hostname);
		assert_int_equal(found, rows[i].hostname != NULL);
		if (found)
			assert_string_equal(hostname, rows[i].hostname);
	}
	repeat(name, "x", 100);
	assert_true(vm_label_hostname(name, hostname));
	assert_int_equal(strlen(hostname), 63);
	/* The cut may not leave a hyphen at the end. */
	repeat(name, "x", 62);
	strcat(name, "-y");
	assert_true(vm_label_hostname(name, hostname));
	assert_int_equal(strlen(hostname), 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_label_is_cut_between_characters),
		cmocka_unit_test(test_label_is_not_cut_before_an_accent),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_hostname),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
