#include "cli/named_vm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "ending.h"
#include "made_home.h"

/* --- the argument ------------------------------------------------------------------------- */

struct options {
	const char *name;
	bool has_flag;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'f':
		options->has_flag = true;
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

struct line {
	const char *words[4];
	const char *name; /* NULL = a usage error */
	const char *said; /* part of it */
};

/* 0 when the name is found as expected. */
static int parse_line(const void *context)
{
	static const struct argp_option table[] = { { .name = "flag", .key = 'f' }, { 0 } };
	static const struct argp argp = { .options = table, .parser = parse, .args_doc = "NAME" };
	const struct line *line = context;
	struct options options = { .name = NULL };
	char words[5][300] = { "tartlet test" };
	char *argv[6] = { words[0] };
	int argc = 1;

	for (; argc < 5 && line->words[argc - 1]; argc++) {
		(void)snprintf(words[argc], sizeof(words[argc]), "%s", line->words[argc - 1]);
		argv[argc] = words[argc];
	}
	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return 98;
	return !line->name || strcmp(options.name, line->name) != 0 || !options.has_flag;
}

static void one_name(void **state)
{
	static const struct line lines[] = {
		{ { "one", "-f" }, "one", "" },
		{ { "--flag", "two words" }, "two words", "" },
		{ { "-f", "--", "r\xc3\xa9mi" }, "r\xc3\xa9mi", "" },
		{ { "-f" }, NULL, "the VM's NAME is missing" },
		{ { "one", "two", "-f" }, NULL, "unexpected argument \"two\"" },
		{ { "a/b", "-f" }, NULL, "it may not contain \"/\"" },
		{ { "", "-f" }, NULL, "VM name is empty" },
		{ { "one", "--other" }, NULL, "unrecognized option" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct ending ending = ending_of(parse_line, &lines[i]);

		assert_non_null(strstr(ending.said, lines[i].said));
		assert_int_equal(ending.code, lines[i].name ? 0 : COMMAND_USAGE);
	}
}

/* --- the VM ------------------------------------------------------------------------------- */

struct visit {
	const char *name;
	int code;
};

/* Answers what it is told to, when it was given what it should be. */
static int visit_vm(const struct vm_home *home, const struct vm_directory *directory,
		    const void *options)
{
	const struct visit *visit = options;

	if (strcmp(directory->name, visit->name) != 0 || strcmp(home->path, made_home_path) != 0 ||
	    faccessat(directory->fd, "config.json", R_OK, 0) < 0)
		return 97;
	return visit->code;
}

static int act(const void *context)
{
	const struct visit *visit = context;

	return named_vm_act(visit->name, 44, visit_vm, visit);
}

static int act_not_running(const void *context)
{
	struct vm_directory directory;
	struct vm_home home;

	if (vm_home_open(&home, NULL) < 0 ||
	    named_vm_open(&home, context, 96, &directory) != COMMAND_OK)
		return 95;
	return named_vm_not_running(&directory);
}

static void acting(void **state)
{
	static const struct visit good = { "one", 33 };
	static const struct visit missing = { "none", 33 };

	(void)state;
	made_home_vm("one");
	struct ending ending = ending_of(act, &good);

	assert_int_equal(ending.code, 33);
	assert_string_equal(ending.said, "");
	ending = ending_of(act, &missing);
	assert_int_equal(ending.code, 44);
	assert_string_equal(ending.said, "the specified VM \"none\" does not exist\n");
	ending = ending_of(act_not_running, "one");
	assert_int_equal(ending.code, COMMAND_VM_STATE);
	assert_string_equal(ending.said, "VM \"one\" is not running\n");

	assert_int_equal(setenv("TARTLET_HOME", "/proc/no/such", 1), 0);
	ending = ending_of(act, &good);
	assert_int_equal(ending.code, COMMAND_FAILED);
	assert_non_null(strstr(ending.said, "TARTLET_HOME is invalid: /proc/no "));
	assert_int_equal(setenv("TARTLET_HOME", made_home_path, 1), 0);
}

static int make_over(const struct vm_home *home, bool force, struct error *err)
{
	struct vm_draft draft;

	made_home_draft(home, &draft);
	int result = named_vm_publish(home, &draft, "old", force, err);

	vm_draft_end(home, &draft);
	return result;
}

static void replacing(void **state)
{
	struct vm_home home;
	struct error err;

	(void)state;
	made_home_vm("old");
	assert_int_equal(vm_home_open(&home, NULL), 0);
	assert_int_equal(named_vm_check_new(&home, "new", false, &err), 0);
	assert_int_equal(named_vm_check_new(&home, "new", true, &err), 0);
	assert_int_equal(named_vm_check_new(&home, "old", true, &err), 0);
	assert_int_equal(named_vm_check_new(&home, "old", false, &err), -EEXIST);
	assert_string_equal(err.text, "VM \"old\" already exists: --force replaces it");
	assert_int_equal(make_over(&home, false, &err), -EEXIST);
	assert_string_equal(err.text, "VM \"old\" already exists: --force replaces it");
	assert_int_equal(make_over(&home, true, &err), 0);
	assert_int_equal(mkdirat(home.vms_fd, "odd", 0700), 0);
	assert_int_equal(named_vm_check_new(&home, "odd", true, &err), -EEXIST);
	assert_non_null(strstr(err.text, "/vms/odd is there, but is no VM"));
	vm_home_close(&home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_name),
		cmocka_unit_test(acting),
		cmocka_unit_test(replacing),
	};

	return cmocka_run_group_tests(tests, made_home_setup, made_home_remove);
}
