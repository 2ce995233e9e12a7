#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

struct seen {
	int count;
	enum log_level level;
	char line[2048];
};

static void remember(void *context, enum log_level level, const char *line)
{
	struct seen *seen = context;

	seen->count++;
	seen->level = level;
	snprintf(seen->line, sizeof(seen->line), "%s", line);
}

static void test_levels(void **state)
{
	struct seen seen = { 0 };
	struct log log = { .write = remember, .context = &seen, .most = LOG_LEVEL_INFO };

	(void)state;
	log_write(&log, LOG_LEVEL_DEBUG, "port %d", 1);
	assert_int_equal(seen.count, 0);
	log_write(&log, LOG_LEVEL_INFO, "port %d: up", 1);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.level, LOG_LEVEL_INFO);
	assert_string_equal(seen.line, "port 1: up");
	log_write(&log, LOG_LEVEL_ERROR, "e");
	assert_int_equal(seen.level, LOG_LEVEL_ERROR);
	log_write(NULL, LOG_LEVEL_ERROR, "nobody listens");
	assert_int_equal(seen.count, 2);
}

static void test_hostile_text(void **state)
{
	struct seen seen = { 0 };
	struct log log = { .write = remember, .context = &seen, .most = LOG_LEVEL_INFO };
	char text[4096];

	(void)state;
	log_write(&log, LOG_LEVEL_INFO, "name %s", "a\nb\r\x1b[31m\x7f\tc\xc3\xa4");
	assert_string_equal(seen.line, "name a?b??[31m??c\xc3\xa4");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_write(&log, LOG_LEVEL_INFO, "%s", text);
	assert_true(strlen(seen.line) > 1000 && strlen(seen.line) < 2000);
}

static void test_limit(void **state)
{
	struct seen seen = { 0 };
	struct log log = { .write = remember, .context = &seen, .most = LOG_LEVEL_INFO };
	struct log_limit limit = { 0 };
	uint64_t start = 100 * NS_PER_S;

	(void)state;
	for (int i = 0; i < 1000; i++)
		log_write_limited(&log, &limit, start + (uint64_t)i, LOG_LEVEL_WARNING, "m %d", i);
	assert_int_equal(seen.count, LOG_LIMIT_BURST);
	assert_string_equal(seen.line, "m 4");
	/* Below the wanted level: neither written nor counted. */
	log_write_limited(&log, &limit, start, LOG_LEVEL_DEBUG, "d");
	assert_int_equal(limit.suppressed, 995);
	log_write_limited(&log, &limit, start + NS_PER_S - 1, LOG_LEVEL_WARNING, "m");
	assert_int_equal(seen.count, LOG_LIMIT_BURST);
	log_write_limited(&log, &limit, start + NS_PER_S, LOG_LEVEL_WARNING, "next");
	assert_int_equal(seen.count, LOG_LIMIT_BURST + 2);
	assert_string_equal(seen.line, "next");
	assert_int_equal(limit.suppressed, 0);
	/* A quiet second leaves nothing to report. */
	log_write_limited(&log, &limit, start + 5 * NS_PER_S, LOG_LEVEL_WARNING, "late");
	assert_int_equal(seen.count, LOG_LIMIT_BURST + 3);
	log_write_limited(NULL, &limit, start, LOG_LEVEL_ERROR, "nobody listens");
}

/* The line before the last one is the one that counts. */
static void remember_counts(void *context, enum log_level level, const char *line)
{
	struct seen *seen = context;

	if (strstr(line, "left out"))
		remember(context, level, line);
	else
		seen->count++;
}

static void test_limit_counts(void **state)
{
	struct seen seen = { 0 };
	struct log log = { .write = remember_counts, .context = &seen, .most = LOG_LEVEL_ERROR };
	struct log_limit limit = { .written = LOG_LIMIT_BURST, .suppressed = 7 };

	(void)state;
	log_write_limited(&log, &limit, NS_PER_S, LOG_LEVEL_INFO, "hidden by its level");
	assert_int_equal(seen.count, 0);
	log.most = LOG_LEVEL_INFO;
	log_write_limited(&log, &limit, NS_PER_S, LOG_LEVEL_INFO, "x");
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.line, "log: left out 7 messages like the next one");
	assert_int_equal(seen.level, LOG_LEVEL_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
