#include "cli/sidecar_report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

#define USUAL                                                                                      \
	"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\","           \
	"\"forwards\":[{\"protocol\":\"tcp\",\"externalAddress\":\"0.0.0.0\",\"externalPort\":"    \
	"2222,\"internalAddress\":\"10.1.2.2\",\"internalPort\":22}]}"

static void test_usual(void **state)
{
	struct sidecar_report report;

	(void)state;
	assert_true(sidecar_report_parse(USUAL, strlen(USUAL), &report));
	assert_int_equal(report.subnet.length, 30);
	assert_int_equal(ip_addr_to_v4(&report.gateway), 0x0a010201);
	assert_int_equal(ip_addr_to_v4(&report.address), 0x0a010202);
	assert_int_equal(json_array_size(report.forwards), 1);
	json_decref(report.forwards);
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\"}",
		"{\"subnet\":\"10.1.2.0\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\",\"forwards\":[]}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":1,\"address\":\"10.1.2.2\",\"forwards\":[]}",
		/* Others than its own: they would be printed, and the guest told of them. */
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.3.1\",\"address\":\"10.1.2.2\",\"forwards\":[]}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"::1\",\"forwards\":[]}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\",\"forwards\":{}}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\",\"forwards\":[1]}",
		"{\"subnet\":\"10.1.2.0/30\",\"gateway\":\"10.1.2.1\",\"address\":\"10.1.2.2\",\"forwards\":[],\"x\":1}",
		USUAL USUAL,
	};
	struct sidecar_report report;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		assert_false(sidecar_report_parse(texts[i], strlen(texts[i]), &report));
}

struct pipes {
	int report[2];
	int stop[2];
};

static void pipes_open(struct pipes *pipes)
{
	assert_int_equal(pipe2(pipes->report, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pipes->stop, O_CLOEXEC), 0);
}

static void pipes_close(struct pipes *pipes)
{
	for (size_t i = 0; i < 2; i++) {
		if (pipes->report[i] >= 0)
			close(pipes->report[i]);
		close(pipes->stop[i]);
	}
}

static void end_report(struct pipes *pipes)
{
	close(pipes->report[1]);
	pipes->report[1] = -1;
}

static int read_from(const struct pipes *pipes, struct sidecar_report *report, struct error *err)
{
	return sidecar_report_read(pipes->report[0], pipes->stop[0], 20000, report, err);
}

static void test_read(void **state)
{
	struct sidecar_report report;
	struct error err = { .text = "" };
	struct pipes pipes;

	(void)state;
	pipes_open(&pipes);
	assert_true(write(pipes.report[1], USUAL "\n", strlen(USUAL) + 1) > 0);
	assert_int_equal(read_from(&pipes, &report, &err), 0);
	assert_int_equal(report.subnet.length, 30);
	json_decref(report.forwards);
	assert_true(write(pipes.report[1], "no\n", 3) == 3);
	assert_int_equal(read_from(&pipes, &report, &err), -EPROTO);
	assert_non_null(strstr(err.text, "softnet's report"));
	/* Half a line is none. */
	assert_true(write(pipes.report[1], "{", 1) == 1);
	end_report(&pipes);
	assert_int_equal(read_from(&pipes, &report, &err), -EPIPE);
	pipes_close(&pipes);
}

static void test_not_waited_for(void **state)
{
	struct sidecar_report report;
	struct error err = { .text = "" };
	struct pipes pipes;

	(void)state;
	pipes_open(&pipes);
	assert_int_equal(sidecar_report_read(pipes.report[0], pipes.stop[0], 0, &report, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.text, "does not report"));
	assert_true(write(pipes.stop[1], "", 1) == 1);
	assert_int_equal(read_from(&pipes, &report, &err), -ECANCELED);
	pipes_close(&pipes);
}

/* Without an end, until nobody reads any more. */
static void *write_on(void *context)
{
	static const char piece[4096] = { ' ' };
	const struct pipes *pipes = context;

	for (size_t i = 0; i < 2048; i++) {
		if (write(pipes->report[1], piece, sizeof(piece)) < 0)
			break;
	}
	return NULL;
}

static void test_bounded(void **state)
{
	struct sidecar_report report;
	struct error err = { .text = "" };
	struct pipes pipes;
	pthread_t writer;
	char rest[4096];

	(void)state;
	pipes_open(&pipes);
	assert_int_equal(pthread_create(&writer, NULL, write_on, &pipes), 0);
	assert_int_equal(read_from(&pipes, &report, &err), -EMSGSIZE);
	for (size_t left = ((size_t)8 << 20) - ((size_t)4 << 20); left > 0;) {
		ssize_t got = read(pipes.report[0], rest, sizeof(rest));
		assert_true(got > 0);
		left -= (size_t)got;
	}
	pthread_join(writer, NULL);
	pipes_close(&pipes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_read),	cmocka_unit_test(test_not_waited_for),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
