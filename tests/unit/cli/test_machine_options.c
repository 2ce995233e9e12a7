/*
 * The options as a command's parser takes them, and what is said of bad ones; that the disk is made:
 * tests/system/test_disks.py.
 */
#include "cli/machine_options.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "ending.h"

#define WORDS_MOST 4

static error_t parse(int key, char *argument, struct argp_state *state)
{
	return machine_options_parse(key, argument, state, state->input);
}

static const struct argp_option table[] = {
	MACHINE_OPTION_CPU("processors"),
	MACHINE_OPTION_MEMORY("memory"),
	MACHINE_OPTION_DISK("disk"),
	MACHINE_OPTION_DISK_SIZE("its size"),
	{ 0 },
};

/* argv and the texts in it are given up to the process's end: the options point into them. */
static struct machine_options parse_words(const char *const *words)
{
	static const struct argp argp = { .options = table, .parser = parse };
	static char texts[WORDS_MOST + 1][64] = { "tartlet test" };
	char *argv[WORDS_MOST + 2] = { texts[0] };
	struct machine_options options = { 0 };
	int argc = 1;

	for (; argc <= WORDS_MOST && words[argc - 1]; argc++) {
		(void)snprintf(texts[argc], sizeof(texts[argc]), "%s", words[argc - 1]);
		argv[argc] = texts[argc];
	}
	argp_err_exit_status = COMMAND_USAGE;
	assert_int_equal(argp_parse(&argp, argc, argv, 0, NULL, &options), 0);
	return options;
}

static void nothing(void **state)
{
	static const char *const none[] = { NULL };
	struct machine_options options = parse_words(none);

	(void)state;
	assert_false(machine_options_given(&options));
	assert_int_equal(options.cpu_count, 0);
	assert_int_equal(options.memory_size, 0);
	assert_int_equal(options.disk_size, 0);
	assert_null(options.disk);
}

static void each(void **state)
{
	static const struct {
		const char *words[WORDS_MOST + 1];
		struct machine_options options;
	} lines[] = {
		{ { "--cpu", "1" }, { .cpu_count = 1 } },
		{ { "--cpu=255" }, { .cpu_count = 255 } },
		{ { "--memory", "32" }, { .memory_size = 32 << 20 } },
		{ { "--memory", "4096" }, { .memory_size = UINT64_C(4) << 30 } },
		{ { "--disk-size", "1" }, { .disk_size = 1000000000 } },
		{ { "--disk-size", "65536" }, { .disk_size = UINT64_C(65536000000000) } },
		{ { "--disk", "debian.img" }, { .disk = "debian.img" } },
		{ { "--cpu", "2", "--cpu", "3" }, { .cpu_count = 3 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct machine_options options = parse_words(lines[i].words);
		const struct machine_options *expected = &lines[i].options;

		assert_true(machine_options_given(&options));
		assert_int_equal(options.cpu_count, expected->cpu_count);
		assert_int_equal(options.memory_size, expected->memory_size);
		assert_int_equal(options.disk_size, expected->disk_size);
		assert_string_equal(options.disk ? options.disk : "",
				    expected->disk ? expected->disk : "");
	}
}

static int parse_alone(const void *context)
{
	(void)parse_words(context);
	return 0;
}

static void bad(void **state)
{
	static const struct {
		const char *words[WORDS_MOST + 1];
		const char *said;
	} lines[] = {
		{ { "--cpu", "0" }, "invalid value \"0\" for --cpu: expected a number from 1 to " },
		{ { "--cpu", "256" },
		  "invalid value \"256\" for --cpu: expected a number from 1 to 255" },
		{ { "--cpu", "two" }, "invalid value \"two\" for --cpu: " },
		{ { "--memory", "31" },
		  "invalid value \"31\" for --memory: expected a number from 32 to " },
		{ { "--memory", "-1" }, "invalid value \"-1\" for --memory: " },
		{ { "--disk-size", "0" },
		  "invalid value \"0\" for --disk-size: expected a number from 1 to 65536" },
		{ { "--disk-size", "65537" }, "invalid value \"65537\" for --disk-size: " },
		{ { "--disk", "" }, "--disk needs the name of a file" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct ending ending = ending_of(parse_alone, lines[i].words);

		assert_non_null(strstr(ending.said, lines[i].said));
		assert_int_equal(ending.code, COMMAND_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(each),
		cmocka_unit_test(bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
