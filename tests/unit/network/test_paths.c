#include "network/paths.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char own[] = "/tmp/vmnet-paths-XXXXXX";
static char foreign[sizeof(own) + 16];

static void set(const char *name, const char *value)
{
	assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void test_state(void **state)
{
	static const struct {
		const char *xdg, *home, *path; /* path NULL = none */
	} rows[] = {
		{ "/var/x", "/home/u", "/var/x/vmnet" },
		{ "/var/x", NULL, "/var/x/vmnet" },
		{ NULL, "/home/u", "/home/u/.local/state/vmnet" },
		/* A relative path is to be ignored, and so is an empty one. */
		{ "x", "/home/u", "/home/u/.local/state/vmnet" },
		{ "", "/home/u", "/home/u/.local/state/vmnet" },
		{ "x", "home", NULL },
		{ NULL, "", NULL },
		{ NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = {};
		char path[256];

		set("XDG_STATE_HOME", rows[i].xdg);
		set("HOME", rows[i].home);
		int rc = paths_state_directory(path, sizeof(path), &err);
		if (rows[i].path) {
			assert_int_equal(rc, 0);
			assert_string_equal(path, rows[i].path);
			continue;
		}
		assert_int_equal(rc, -ENOENT);
		assert_string_equal(err.text, "neither XDG_STATE_HOME nor HOME is set: give a "
					      "state directory");
	}
}

static void test_runtime(void **state)
{
	const char *unset = NULL;
	char fallback[64];
	char in_own[sizeof(own) + 16];

	(void)state;
	(void)snprintf(fallback, sizeof(fallback), "/tmp/vmnet-%u", (unsigned)geteuid());
	(void)snprintf(in_own, sizeof(in_own), "%s/vmnet", own);
	const struct {
		const char *xdg, *path;
	} rows[] = {
		{ own, in_own },
		{ unset, fallback },
		{ "", fallback },
		{ "run", fallback },
		/* That of the user before `su`. */
		{ foreign, fallback },
		{ "/nowhere/at/all", fallback },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char path[256];

		set("XDG_RUNTIME_DIR", rows[i].xdg);
		assert_int_equal(paths_runtime_directory(path, sizeof(path), NULL), 0);
		assert_string_equal(path, rows[i].path);
	}
}

static void test_too_long(void **state)
{
	struct error err = {};
	char path[16] = "untouched";

	(void)state;
	set("XDG_STATE_HOME", "/a/long/folder");
	assert_int_equal(paths_state_directory(path, sizeof(path), &err), -ENAMETOOLONG);
	assert_string_equal(err.text, "the path /a/long/folder... is too long");
}

/* Somebody else's: root makes one, anybody else has root's. */
static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(own))
		return -1;
	if (geteuid() != 0) {
		(void)snprintf(foreign, sizeof(foreign), "/");
		return 0;
	}
	(void)snprintf(foreign, sizeof(foreign), "%s/foreign", own);
	return mkdir(foreign, 0700) < 0 || chown(foreign, 12345, 12345) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	if (geteuid() == 0)
		(void)rmdir(foreign);
	return rmdir(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_runtime),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("paths", tests, setup, teardown);
}
