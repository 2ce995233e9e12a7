#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "netns/program.h"

static char folder[] = "/tmp/tartlet-program-XXXXXX";

static void make_file(const char *name, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("one", 0700) < 0 ||
	    mkdir("two", 0700) < 0)
		return -1;
	make_file("one/data", 0600);
	make_file("two/data", 0700);
	make_file("one/text", 0600);
	make_file("here", 0700);
	return mkdir("closed", 0) + mkdir("one/folder", 0700);
}

static int tear_down(void **state)
{
	(void)state;
	return unlink("one/data") + unlink("two/data") + unlink("one/text") + unlink("here") +
	       rmdir("one/folder") + rmdir("closed") + rmdir("one") + rmdir("two") + rmdir(folder);
}

static void test_check(void **state)
{
	static const struct {
		const char *path;
		const char *name;
		int expected;
	} cases[] = {
		{ "one:two", "data", 0 }, /* what may not be executed is passed over */
		{ "one:two", "text", -EACCES },
		{ "one:two", "folder", -EACCES },
		{ "one:two", "here", -ENOENT },
		{ "one::two", "here", 0 },
		{ "one:two:", "here", 0 },
		{ "", "here", 0 },
		{ "one", "./here", 0 },
		{ "one", "one/text", -EACCES },
		{ "one", "one", -ENOENT },
		{ "one", "none/none", -ENOENT },
		{ "one", "here/none", -ENOENT },
		{ "one", "one/", -EACCES },
		{ "one", "", -ENOENT },
		{ "/no/such:/bin:/usr/bin", "sh", 0 },
		{ "closed:one", "data", -EACCES },
		{ "closed", "inside", -ENOENT },
		{ NULL, "sh", 0 },
		{ NULL, "no-such-program", -ENOENT },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].path)
			assert_int_equal(setenv("PATH", cases[i].path, 1), 0);
		else
			assert_int_equal(unsetenv("PATH"), 0);
		int r = program_check(cases[i].name, &err);
		if (r != cases[i].expected)
			fail_msg("case %zu: %d", i, r);
		if (r < 0)
			assert_non_null(strstr(err.text, "cannot run \""));
	}
}

static void test_long_names(void **state)
{
	static char name[8192];
	struct error err;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(setenv("PATH", "/bin:/usr/bin", 1), 0);
	assert_int_equal(program_check(name, &err), -ENOENT);
	name[0] = '/';
	assert_int_equal(program_check(name, &err), -ENOENT);
	assert_true(strlen(err.text) < 300);
	assert_int_equal(setenv("PATH", name, 1), 0);
	assert_int_equal(program_check("sh", NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
