#include "netns_test.h"

#include <fcntl.h>

static void test_identity(void **state)
{
	static const struct {
		const char *own;
		const char *expected; /* NULL = refused */
	} cases[] = {
		{ "         0          0 4294967295\n", "0 0 4294967295\n" },
		{ "         0       1000          1\n", "0 0 1\n" },
		{ "0 1000 1\n1 100000 65536\n", "0 0 1\n1 1 65536\n" },
		{ "5 7 9", "5 5 9\n" },
		{ "", NULL },
		{ "\n", NULL },
		{ "0 0\n", NULL },
		{ "0 0 x\n", NULL },
		{ "0 0 -1\n", NULL },
		{ "0 0 4294967296\n", NULL },
		{ "0 0 1\n\n", NULL },
	};
	char map[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = id_map_identity(cases[i].own, map, sizeof(map));
		assert_int_equal(good, cases[i].expected != NULL);
		if (good)
			assert_string_equal(map, cases[i].expected);
	}
}

static void test_too_long(void **state)
{
	char map[12];

	(void)state;
	assert_true(id_map_identity("0 0 1\n", map, 7));
	assert_false(id_map_identity("0 0 1\n", map, 6));
	assert_true(id_map_identity("0 0 1\n", map, sizeof(map)));
	assert_false(id_map_identity("0 0 1\n1 1 1\n", map, sizeof(map)));
}

static uid_t outside;

/* Root keeps its number, everybody else becomes root; both have the rights of one. */
static void child_is_root(void)
{
	CHILD_CHECK(geteuid() == 0 && getegid() == 0);
	CHILD_CHECK(sethostname("x", 1) < 0); /* not of what was not unshared */
	int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);
	char word[8] = "";
	CHILD_CHECK(read(fd, word, sizeof(word) - 1) > 0);
	if (outside != 0)
		CHILD_CHECK(strcmp(word, "deny\n") == 0);
}

static void test_write(void **state)
{
	(void)state;
	outside = geteuid();
	test_in_new_namespaces(child_is_root);
}

static void test_write_to_nobody(void **state)
{
	struct error err;

	(void)state;
	/* Our own map is written already. */
	assert_true(id_map_write(getpid(), &err) < 0);
	assert_non_null(strstr(err.text, "cannot map the users"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
