#include "cli/ssh_args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

static const char *const no_words[] = { NULL };

static struct ssh_wish plain(void)
{
	return (struct ssh_wish){
		.program = "/usr/bin/tartlet",
		.name = "debian",
		.directory = "/home/a/.tartlet/vms/debian",
		.options = no_words,
		.command = no_words,
	};
}

static void expect_args(const struct ssh_wish *wish, const char *const *expected, size_t count)
{
	struct ssh_args args;

	assert_int_equal(ssh_args_build(wish, &args, NULL), 0);
	for (size_t i = 0; i < count && i < args.count; i++)
		assert_string_equal(args.argv[i], expected[i]);
	assert_int_equal(args.count, count);
	assert_null(args.argv[count]);
	ssh_args_done(&args);
}

static void test_login(void **state)
{
	static const char *const expected[] = {
		"ssh",
		"-o",
		"ProxyCommand='/usr/bin/tartlet' nc -- 'debian' %p",
		"-o",
		"HostKeyAlias=vm",
		"-o",
		"UserKnownHostsFile=\"/home/a/.tartlet/vms/debian/known_hosts\"",
		"-o",
		"GlobalKnownHostsFile=/dev/null",
		"-o",
		"StrictHostKeyChecking=accept-new",
		"--",
		"debian",
	};
	struct ssh_wish wish = plain();

	(void)state;
	expect_args(&wish, expected, ARRAY_COUNT(expected));
}

static void test_command(void **state)
{
	static const char *const options[] = { "-i", "key", "-o", "StrictHostKeyChecking=yes",
					       "-t" };
	static const char *const command[] = { "sh", "-c", "exit 3", "%h", NULL };
	static const char *const expected[] = {
		"ssh",
		"-i",
		"key",
		"-o",
		"StrictHostKeyChecking=yes",
		"-t",
		"-o",
		"ProxyCommand='/usr/bin/tartlet' nc -- 'debian' %p",
		"-o",
		"HostKeyAlias=vm",
		"-o",
		"UserKnownHostsFile=\"/home/a/.tartlet/vms/debian/known_hosts\"",
		"-o",
		"GlobalKnownHostsFile=/dev/null",
		"-o",
		"StrictHostKeyChecking=accept-new",
		"-l",
		"root",
		"--",
		"debian",
		"sh",
		"-c",
		"exit 3",
		"%h",
	};
	struct ssh_wish wish = plain();

	(void)state;
	wish.user = "root";
	wish.options = options;
	wish.option_count = ARRAY_COUNT(options);
	wish.command = command;
	expect_args(&wish, expected, ARRAY_COUNT(expected));
}

/* What the shell, or ssh's configuration, would take for its own. */
static void test_quoting(void **state)
{
	static const struct {
		const char *program;
		const char *name;
		const char *directory;
		const char *proxy;
		const char *known_hosts;
		const char *host;
	} rows[] = {
		{ "/o/tartlet", "it's $(x)", "/h", "'/o/tartlet' nc -- 'it'\\''s $(x)' %p", "/h",
		  "vm" },
		{ "/a b/50%/tartlet", "100%h", "/h", "'/a b/50%%/tartlet' nc -- '100%%h' %p", "/h",
		  "vm" },
		{ "t", "\xc3\xa4", "/a b/%d/\"q\"\\", "'t' nc -- '\xc3\xa4' %p",
		  "/a b/%%d/\\\"q\\\"\\\\", "vm" },
		{ "t", "Web_1.x-2", "/$HOME", "'t' nc -- 'Web_1.x-2' %p", "/$HOME", "Web_1.x-2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ssh_wish wish = plain();
		struct ssh_args args;
		char text[256];

		wish.program = rows[i].program;
		wish.name = rows[i].name;
		wish.directory = rows[i].directory;
		assert_int_equal(ssh_args_build(&wish, &args, NULL), 0);
		snprintf(text, sizeof(text), "ProxyCommand=%s", rows[i].proxy);
		assert_string_equal(args.argv[2], text);
		assert_string_equal(args.argv[4], "HostKeyAlias=vm");
		snprintf(text, sizeof(text), "UserKnownHostsFile=\"%s/known_hosts\"",
			 rows[i].known_hosts);
		assert_string_equal(args.argv[6], text);
		assert_string_equal(args.argv[args.count - 1], rows[i].host);
		ssh_args_done(&args);
	}
}

static void test_path_that_ssh_would_change(void **state)
{
	struct ssh_wish wish = plain();
	struct ssh_args args;
	struct error err;

	(void)state;
	wish.directory = "/home/${USER}/vms/x";
	assert_int_equal(ssh_args_build(&wish, &args, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/home/${USER}/vms/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_path_that_ssh_would_change),
	};

	return cmocka_run_group_tests_name("ssh_args", tests, NULL, NULL);
}
