#include "cli/sidecar_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "cli/network_options.h"
#include "cli/sidecar_options.h"

static void expect_args(const struct sidecar_command *command, const char *const *expected,
			size_t count)
{
	struct sidecar_args args;

	assert_int_equal(sidecar_args_build(command, &args), 0);
	for (size_t i = 0; i < count && i < args.count; i++)
		assert_string_equal(args.argv[i], expected[i]);
	assert_int_equal(args.count, count);
	assert_null(args.argv[count]);
	sidecar_args_done(&args);
	assert_null(args.argv);
}

static void test_least(void **state)
{
	static const char *const expected[] = {
		"/usr/libexec/tartlet/softnet",	      "--vm-fd=5",     "--attach=stream",
		"--vm-mac-address=02:00:00:00:00:01", "--report-fd=6",
	};
	const struct sidecar_options options = { .is_wanted = true };
	const struct network_options network = { 0 };
	const struct sidecar_command command = {
		.program = "/usr/libexec/tartlet/softnet",
		.options = &options,
		.network = &network,
		.vm_fd = 5,
		.attach = NET_ATTACH_STREAM,
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.report_fd = 6,
		.capture_fd = -1,
	};

	(void)state;
	expect_args(&command, expected, ARRAY_COUNT(expected));
}

static void test_everything(void **state)
{
	static const char *const expected[] = {
		"softnet",
		"--vm-fd=5",
		"--attach=vhost-user",
		"--vm-once",
		"--vm-mac-address=02:00:00:00:00:01",
		"--report-fd=6",
		"--control-fd=3",
		"--capture-fd=7",
		"--label=-a b",
		"--state-directory=/home/a/.tartlet/networks",
		"--assignment=debian",
		"--hostname=debian",
		"--mtu=9000",
		"--busy-poll=0",
		"--tcp-backlog=peek",
		"--document=/seed/meta-data=8",
		"--document=/seed/user-data=9",
		"--expose-address=localhost",
		"--allow=@host,192.0.2.0/24:443",
		"--expose=-1:2",
		"--allow=",
	};
	char *passed[] = { (char[]){ "--allow=@host,192.0.2.0/24:443" },
			   (char[]){ "--expose=-1:2" }, (char[]){ "--allow=" } };
	const struct sidecar_options options = { .is_wanted = true,
						 .passed = passed,
						 .passed_count = ARRAY_COUNT(passed),
						 .has_control = true,
						 .control_fd = 3 };
	const struct network_options network = { .mtu = 9000,
						 .has_busy_poll = true,
						 .tcp_backlog = VMNET_TCP_BACKLOG_PEEK };
	const struct sidecar_command command = {
		.program = "softnet",
		.options = &options,
		.network = &network,
		.vm_fd = 5,
		.attach = NET_ATTACH_VHOST_USER,
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.label = "-a b",
		.assignment = "debian",
		.state_directory = "/home/a/.tartlet/networks",
		.hostname = "debian",
		.expose_address = "localhost",
		.report_fd = 6,
		.capture_fd = 7,
		.documents = { { "/seed/meta-data", 8 }, { "/seed/user-data", 9 } },
		.document_count = 2,
	};

	(void)state;
	expect_args(&command, expected, ARRAY_COUNT(expected));
}

/* A resumed guest has to be where it was: that is not asked by its name. */
static void test_resumed(void **state)
{
	static const char *const expected[] = {
		"softnet",
		"--vm-fd=5",
		"--attach=stream",
		"--vm-mac-address=02:00:00:00:00:01",
		"--report-fd=6",
		"--subnet=10.9.8.0/30",
		"--tcp-backlog=kept",
	};
	const struct sidecar_options options = { .is_wanted = true };
	const struct network_options network = { .tcp_backlog = VMNET_TCP_BACKLOG_KEPT };
	struct ip_prefix subnet;
	const struct sidecar_command command = {
		.program = "softnet",
		.options = &options,
		.network = &network,
		.vm_fd = 5,
		.attach = NET_ATTACH_STREAM,
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.assignment = "debian",
		.subnet = &subnet,
		.report_fd = 6,
		.capture_fd = -1,
	};

	(void)state;
	assert_true(ip_prefix_parse("10.9.8.0/30", &subnet));
	expect_args(&command, expected, ARRAY_COUNT(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
