/* The options as the parser takes them; what a rule is, the library says. */
#include "cli/sidecar_options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "cli/command.h"

#define WORDS_MOST 8

static error_t parse(int key, char *argument, struct argp_state *state)
{
	(void)argument;
	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = state->input;
	if (key == ARGP_KEY_END)
		sidecar_options_check(state->input, state);
	return key == ARGP_KEY_INIT || key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

static void parse_words(const char *const *words, struct sidecar_options *options)
{
	static const struct argp_child children[] = { { .argp = &sidecar_options_argp }, { 0 } };
	static const struct argp argp = { .parser = parse, .children = children };
	char *argv[WORDS_MOST + 2] = { (char[]){ "run" } };
	int argc = 1;

	*options = (struct sidecar_options){ 0 };
	while (words[argc - 1]) {
		argv[argc] = strdup(words[argc - 1]);
		assert_non_null(argv[argc]);
		argc++;
	}
	assert_int_equal(argp_parse(&argp, argc, argv, 0, NULL, options), 0);
	for (int i = 1; i < argc; i++)
		free(argv[i]);
}

static int exit_code_of(const char *const *words)
{
	struct sidecar_options options;
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		argp_err_exit_status = COMMAND_USAGE;
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		parse_words(words, &options);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_none(void **state)
{
	static const char *const words[] = { NULL };
	struct sidecar_options options;

	(void)state;
	parse_words(words, &options);
	assert_false(options.is_wanted);
	assert_int_equal(options.passed_count, 0);
	sidecar_options_done(&options);
}

static void test_each_implies_the_first(void **state)
{
	static const char *const rows[][2] = {
		{ "--net-softnet", NULL },
		{ "--net-softnet-allow=@host", "--allow=@host" },
		{ "--net-softnet-block=in 10.0.0.0/8:1-9", "--block=in 10.0.0.0/8:1-9" },
		{ "--net-softnet-expose=127.0.0.1:0:22,53:53/udp",
		  "--expose=127.0.0.1:0:22,53:53/udp" },
	};
	struct sidecar_options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const char *const words[] = { rows[i][0], NULL };
		parse_words(words, &options);
		assert_true(options.is_wanted);
		assert_false(options.has_control);
		assert_int_equal(options.passed_count, rows[i][1] ? 1 : 0);
		if (rows[i][1])
			assert_string_equal(options.passed[0], rows[i][1]);
		sidecar_options_done(&options);
	}
}

static void test_order_is_kept(void **state)
{
	static const char *const words[] = { "--net-softnet-block",
					     "0.0.0.0/0",
					     "--net-softnet-allow",
					     "@host",
					     "--net-softnet-block",
					     "::/0",
					     NULL };
	struct sidecar_options options;

	(void)state;
	parse_words(words, &options);
	assert_int_equal(options.passed_count, 3);
	assert_string_equal(options.passed[0], "--block=0.0.0.0/0");
	assert_string_equal(options.passed[1], "--allow=@host");
	assert_string_equal(options.passed[2], "--block=::/0");
	sidecar_options_done(&options);
	assert_int_equal(options.passed_count, 0);
}

static void test_refused(void **state)
{
	static const char *const rows[][4] = {
		{ "--net-softnet-allow=", NULL },
		{ "--net-softnet-block=10.0.0.0/33", NULL },
		{ "--net-softnet-allow=@guest", NULL },
		{ "--net-softnet-expose=22", NULL },
		{ "--net-softnet-expose=80:80", "--net-softnet-expose=80:81", NULL },
		{ "--net-softnet-control-fd=", NULL },
		{ "--net-softnet-control-fd=-1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(exit_code_of(rows[i]), COMMAND_USAGE);
}

static int with_control(int fd)
{
	char number[16];
	const char *const words[] = { "--net-softnet-control-fd", number, NULL };

	snprintf(number, sizeof(number), "%d", fd);
	return exit_code_of(words);
}

static void test_control_channel(void **state)
{
	char number[16];
	const char *const words[] = { "--net-softnet-control-fd", number, NULL };
	struct sidecar_options options;
	int pair[2];
	int datagrams[2];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
	assert_int_equal(pipe(ends), 0);
	int unconnected = socket(AF_UNIX, SOCK_STREAM, 0);
	int internet = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(with_control(pair[0]), 0);
	assert_int_equal(with_control(datagrams[0]), COMMAND_USAGE);
	assert_int_equal(with_control(ends[0]), COMMAND_USAGE);
	assert_int_equal(with_control(unconnected), COMMAND_USAGE);
	assert_int_equal(with_control(internet), COMMAND_USAGE);
	for (int fd = 0; fd < 3; fd++)
		assert_int_equal(with_control(fd), COMMAND_USAGE);
	/* No child gets it but the one that is given it. */
	snprintf(number, sizeof(number), "%d", pair[0]);
	parse_words(words, &options);
	assert_true(options.is_wanted && options.has_control);
	assert_int_equal(options.control_fd, pair[0]);
	assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(pair[1], F_GETFD), 0);
	sidecar_options_done(&options);
	const int all[] = { pair[0], pair[1], datagrams[0], datagrams[1],
			    ends[0], ends[1], unconnected,  internet };
	for (size_t i = 0; i < ARRAY_COUNT(all); i++)
		close(all[i]);
	assert_int_equal(with_control(pair[0]), COMMAND_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_each_implies_the_first),
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_control_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
