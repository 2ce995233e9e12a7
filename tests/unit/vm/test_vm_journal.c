#include "vm/vm_journal.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>

#include "base/error.h"
#include "fake_assignments.h"
#include "scratch.h"
#include "vm/vm_home.h"

#define CONFIG(cpu)                                                                                \
	"{\"version\": 1, \"os\": \"linux\", \"arch\": \"amd64\", \"cpuCount\": " #cpu             \
	", \"memorySize\": 67108864, \"macAddress\": \"02:00:00:00:00:07\", \"firmware\": "        \
	"\"uefi\", \"disks\": [{\"file\": \"disk.img\", \"format\": \"raw\"}]}"

struct fixture {
	struct scratch *scratch;
	struct vm_home home;
	struct vm_directory one;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct vm_draft draft;
	void *scratch;

	scratch_setup(&scratch);
	fixture.scratch = scratch;
	setenv("TARTLET_HOME", fixture.scratch->path, 1);
	assert_int_equal(vm_home_open(&fixture.home, NULL), 0);
	assert_int_equal(vm_draft_begin(&fixture.home, &draft, NULL), 0);
	scratch_write(draft.fd, "nvram.bin", "variables");
	scratch_write(draft.fd, "disk.img", "the disk");
	scratch_write(draft.fd, "config.json", CONFIG(3));
	assert_int_equal(vm_draft_publish(&fixture.home, &draft, "one", NULL), 0);
	vm_draft_end(&fixture.home, &draft);
	assert_int_equal(vm_directory_open(&fixture.home, "one", &fixture.one, NULL), 0);
	fake_assignments_clear();
	fake_assignments_put("one", 7);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	void *scratch = fixture->scratch;

	vm_directory_close(&fixture->one);
	vm_home_close(&fixture->home);
	return scratch_teardown(&scratch);
}

#define DRAFT "tartlet-0123456789abcdef.draft"
#define CHANGE(disk)                                                                               \
	"{\"do\": \"change\", \"name\": \"one\", \"config\": \"{}\", \"disk\": \"" disk            \
	"\", \"diskSize\": 0}"

static bool is_there(const struct vm_home *home, const char *path)
{
	return faccessat(home->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Neither a journal nor anything else. */
static void assert_tmp_is_empty(const struct vm_home *home)
{
	DIR *stream = fdopendir(openat(home->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int count = 0;

	assert_non_null(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	assert_int_equal(count, 2); /* itself, and its parent */
}

static void journal(const struct fixture *fixture, const char *text)
{
	scratch_write(fixture->home.tmp_fd, VM_HOME_JOURNAL, text);
}

static unsigned cpu_count(const struct fixture *fixture)
{
	struct vm_config config;

	assert_int_equal(vm_config_load(fixture->one.fd, &config, NULL), 0);
	unsigned count = config.cpu_count;
	vm_config_done(&config);
	return count;
}

static long disk_size(const struct fixture *fixture)
{
	struct stat status;

	assert_int_equal(fstatat(fixture->one.fd, "disk.img", &status, 0), 0);
	return (long)status.st_size;
}

static void test_rename(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct error err;

	assert_int_equal(vm_journal_rename(home, &fixture->one, "two", &err), 0);
	assert_true(is_there(home, "vms/two/config.json") && !is_there(home, "vms/one"));
	assert_int_equal(fake_assignments_get("one"), 0);
	assert_int_equal(fake_assignments_get("two"), 7);
	assert_tmp_is_empty(home);
}

static void test_rename_that_fails(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct error err;

	assert_int_equal(mkdirat(home->vms_fd, "two", 0700), 0);
	assert_int_equal(vm_journal_rename(home, &fixture->one, "two", &err), -EEXIST);
	assert_string_equal(err.text,
			    "VM \"two\" already exists: choose another name, or delete it");
	fake_assignments_refuse(VMNET_BUFFER_EXHAUSTED, 1);
	assert_int_equal(vm_journal_rename(home, &fixture->one, "three", &err), -ENOSPC);
	assert_string_equal(err.text,
			    "cannot change the network assignment of VM \"one\": the fake refuses");
	assert_true(is_there(home, "vms/one") && !is_there(home, "vms/three"));
	assert_int_equal(fake_assignments_get("one"), 7);
	assert_tmp_is_empty(home);
}

/* As if killed right before the first step, and right before the second. */
static void test_rename_is_completed(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct error err;

	for (int step = 0; step < 2; step++) {
		const char *from = step ? "two" : "one";
		const char *to = step ? "one" : "two";
		char text[80];

		snprintf(text, sizeof(text),
			 "{\"do\": \"rename\", \"from\": \"%s\", \"to\": \"%s\"}", from, to);
		if (step == 1)
			assert_int_equal(renameat(home->vms_fd, from, home->vms_fd, to), 0);
		journal(fixture, text);
		assert_int_equal(vm_journal_recover(home, &err), 0);
		assert_int_equal(faccessat(home->vms_fd, from, F_OK, 0), -1);
		assert_int_equal(faccessat(home->vms_fd, to, F_OK, 0), 0);
		assert_int_equal(fake_assignments_get(from), 0);
		assert_int_equal(fake_assignments_get(to), 7);
		assert_tmp_is_empty(home);
	}
}

static void test_withdraw(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct vm_draft draft;
	struct error err;

	fake_assignments_refuse(VMNET_FAILURE, 1);
	assert_int_equal(vm_journal_withdraw(home, &fixture->one, &draft, &err), -EIO);
	assert_true(is_there(home, "vms/one/config.json"));
	assert_tmp_is_empty(home);
	assert_int_equal(vm_journal_withdraw(home, &fixture->one, &draft, &err), 0);
	assert_false(is_there(home, "vms/one"));
	assert_int_equal(fake_assignments_get("one"), 0);
	vm_draft_end(home, &draft);
	assert_tmp_is_empty(home);
}

static void test_withdraw_is_completed(void **state)
{
	static const char text[] = "{\"do\": \"withdraw\", \"name\": \"one\"}";
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;

	/* Before the first step: it was not deleted. */
	journal(fixture, text);
	assert_int_equal(vm_journal_recover(home, NULL), 0);
	assert_true(is_there(home, "vms/one"));
	assert_int_equal(fake_assignments_get("one"), 7);
	/* Behind it. */
	journal(fixture, text);
	assert_int_equal(renameat(home->vms_fd, "one", home->tmp_fd, DRAFT), 0);
	assert_int_equal(vm_journal_lock(home, NULL), 0);
	vm_home_unlock(home);
	assert_int_equal(fake_assignments_get("one"), 0);
	vm_home_sweep(home);
	assert_tmp_is_empty(home);
}

static void test_change(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct vm_config before;
	struct vm_config after;
	struct vm_draft draft;
	struct error err;

	assert_int_equal(vm_config_load(fixture->one.fd, &before, NULL), 0);
	assert_int_equal(vm_config_load(fixture->one.fd, &after, NULL), 0);
	after.cpu_count = 5;
	struct vm_change change = { .before = &before, .after = &after, .disk_size = 8192 };
	assert_int_equal(vm_journal_change(home, &fixture->one, &change, &err), 0);
	assert_int_equal(cpu_count(fixture), 5);
	assert_int_equal(disk_size(fixture), 8192);
	/* A disk in its place. */
	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "new", "another");
	change = (struct vm_change){ &before, &after, &draft, "new", 0 };
	assert_int_equal(vm_journal_change(home, &fixture->one, &change, &err), 0);
	assert_int_equal(disk_size(fixture), strlen("another"));
	vm_draft_end(home, &draft);
	/* A step that fails: a disk cannot take the place of a directory. */
	assert_int_equal(unlinkat(fixture->one.fd, "disk.img", 0), 0);
	assert_int_equal(mkdirat(fixture->one.fd, "disk.img", 0700), 0);
	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "new", "another");
	after.cpu_count = 6;
	before.cpu_count = 5;
	assert_int_equal(vm_journal_change(home, &fixture->one, &change, &err), -EISDIR);
	assert_string_equal(err.text, "cannot replace disk.img of VM \"one\": Is a directory");
	assert_int_equal(cpu_count(fixture), 5);
	vm_draft_end(home, &draft);
	assert_tmp_is_empty(home);
	vm_config_done(&before);
	vm_config_done(&after);
}

static void test_change_is_completed(void **state)
{
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct vm_config config;
	char text[1500];

	assert_int_equal(vm_config_load(fixture->one.fd, &config, NULL), 0);
	config.cpu_count = 9;
	json_t *entry = json_object();
	char *formatted = vm_config_format(&config);
	json_object_set_new(entry, "do", json_string("change"));
	json_object_set_new(entry, "name", json_string("one"));
	json_object_set_new(entry, "config", json_string(formatted));
	json_object_set_new(entry, "disk", json_string(DRAFT "/new"));
	json_object_set_new(entry, "diskSize", json_integer(4096));
	char *dumped = json_dumps(entry, 0);
	snprintf(text, sizeof(text), "%s", dumped);
	/* Twice, for the first recovery may be killed, too. */
	assert_int_equal(mkdirat(home->tmp_fd, DRAFT, 0700), 0);
	scratch_write(home->tmp_fd, DRAFT "/new", "another");
	scratch_write(fixture->one.fd, ".config.json.77.new", "{");
	for (int i = 0; i < 2; i++) {
		journal(fixture, text);
		vm_home_sweep(home); /* takes nothing that the journal names */
		assert_int_equal(vm_journal_recover(home, NULL), 0);
		assert_int_equal(cpu_count(fixture), 9);
		assert_int_equal(disk_size(fixture), 4096);
	}
	assert_int_equal(faccessat(fixture->one.fd, ".config.json.77.new", F_OK, 0), -1);
	vm_home_sweep(home);
	assert_tmp_is_empty(home);
	/* Of a VM that is gone. */
	journal(fixture, text);
	assert_int_equal(renameat(home->vms_fd, "one", home->fd, "away"), 0);
	assert_int_equal(vm_journal_recover(home, NULL), 0);
	assert_tmp_is_empty(home);
	free(dumped);
	free(formatted);
	json_decref(entry);
	vm_config_done(&config);
}

static void test_what_cannot_be_completed_waits(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"do\": \"dance\"}",
		"{\"do\": \"rename\", \"from\": \"one\"}",
		"{\"do\": \"withdraw\", \"name\": 1}",
		CHANGE("../vms/one/disk.img"),
		CHANGE(DRAFT "/../../vms/one/disk.img"),
		CHANGE(DRAFT "/.."),
		CHANGE(DRAFT "/"),
		CHANGE(DRAFT),
		CHANGE("0123/new"),
	};
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct error err;

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		journal(fixture, bad[i]);
		assert_int_equal(vm_journal_recover(home, &err), -EINVAL);
		assert_non_null(
			strstr(err.text, "began: Invalid argument. To give it up, remove "));
		assert_int_equal(vm_journal_lock(home, &err), -EINVAL);
	}
	journal(fixture, "{\"do\": \"rename\", \"from\": \"one\", \"to\": \"two\"}");
	fake_assignments_refuse(VMNET_BUFFER_EXHAUSTED, 1);
	assert_int_equal(vm_journal_recover(home, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "cannot complete what an earlier command began"));
	assert_int_equal(vm_journal_lock(home, &err), 0);
	vm_home_unlock(home);
	assert_int_equal(fake_assignments_get("two"), 7);
	assert_tmp_is_empty(home);
}

/* Written by somebody else, with names that lead out of the home. */
static void test_no_other_names(void **state)
{
	static const struct {
		const char *text;
		const char *reason;
	} rows[] = {
		{ "{\"do\": \"rename\", \"from\": \"one\", \"to\": \"../out\"}", "\"../out\"" },
		{ "{\"do\": \"rename\", \"from\": \"../in\", \"to\": \"two\"}", "\"../in\"" },
		{ "{\"do\": \"withdraw\", \"name\": \"../none\"}", "\"../none\"" },
	};
	struct fixture *fixture = *state;
	const struct vm_home *home = &fixture->home;
	struct error err;

	assert_int_equal(mkdirat(home->fd, "in", 0700), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		journal(fixture, rows[i].text);
		assert_int_equal(vm_journal_recover(home, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].reason));
	}
	assert_true(is_there(home, "vms/one/config.json") && is_there(home, "in"));
	assert_false(is_there(home, "out") || is_there(home, "vms/two"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_withdraw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_withdraw_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_completed_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_other_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
