#include "vm/vm_directory.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/vm_home.h"
#include "vm/vm_lock.h"

struct fixture {
	struct scratch *scratch;
	struct vm_home home;
};

static int setup(void **state)
{
	static struct fixture fixture;
	void *scratch;

	scratch_setup(&scratch);
	fixture.scratch = scratch;
	setenv("TARTLET_HOME", fixture.scratch->path, 1);
	assert_int_equal(vm_home_open(&fixture.home, NULL), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	void *scratch = fixture->scratch;

	vm_home_close(&fixture->home);
	return scratch_teardown(&scratch);
}

static void make(const struct vm_home *home, const char *name)
{
	struct vm_draft draft;

	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "config.json", name);
	assert_int_equal(vm_draft_publish(home, &draft, name, NULL), 0);
	vm_draft_end(home, &draft);
}

static bool tmp_is_empty(const struct vm_home *home)
{
	return unlinkat(home->fd, "tmp", AT_REMOVEDIR) == 0 && mkdirat(home->fd, "tmp", 0700) == 0;
}

static void test_publish(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct vm_draft draft;
	struct error err;
	char text[8] = "";

	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, &err), -ENOENT);
	assert_string_equal(err.text, "the specified VM \"one\" does not exist");
	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, &err), 0);
	assert_string_equal(directory.name, "one");
	/* The name is taken: what is there stays. */
	assert_int_equal(vm_draft_begin(&fixture->home, &draft, &err), 0);
	scratch_write(draft.fd, "config.json", "other");
	assert_int_equal(vm_draft_publish(&fixture->home, &draft, "one", &err), -EEXIST);
	assert_string_equal(err.text, "VM \"one\" already exists");
	vm_draft_end(&fixture->home, &draft);
	int fd = openat(directory.fd, "config.json", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	assert_string_equal(text, "one");
	close(fd);
	vm_directory_close(&directory);
	assert_true(tmp_is_empty(&fixture->home));
}

static void test_draft_survives_the_sweep(void **state)
{
	struct fixture *fixture = *state;
	struct vm_draft draft;
	struct stat status;

	assert_int_equal(vm_draft_begin(&fixture->home, &draft, NULL), 0);
	vm_home_sweep(&fixture->home);
	assert_int_equal(fstatat(fixture->home.tmp_fd, draft.temporary, &status, 0), 0);
	vm_draft_end(&fixture->home, &draft);
	assert_int_equal(fstatat(fixture->home.tmp_fd, draft.temporary, &status, 0), -1);
}

static void test_names(void **state)
{
	struct fixture *fixture = *state;
	char **names;
	size_t count;

	assert_int_equal(vm_directory_names(&fixture->home, &names, &count, NULL), 0);
	assert_int_equal(count, 0);
	vm_directory_free_names(names, count);
	make(&fixture->home, "ubuntu");
	make(&fixture->home, "debian");
	make(&fixture->home, "Z");
	/* Not VMs. */
	assert_int_equal(mkdirat(fixture->home.vms_fd, "empty", 0700), 0);
	scratch_write(fixture->home.vms_fd, "file", "x");
	assert_int_equal(mkdirat(fixture->home.vms_fd, "odd", 0700), 0);
	assert_int_equal(mkdirat(fixture->home.vms_fd, "odd/config.json", 0700), 0);
	assert_int_equal(mkdirat(fixture->home.vms_fd, ".hidden", 0700), 0);
	scratch_write(fixture->home.vms_fd, ".hidden/config.json", "x");
	assert_int_equal(vm_directory_names(&fixture->home, &names, &count, NULL), 0);
	assert_int_equal(count, 3);
	assert_string_equal(names[0], "Z");
	assert_string_equal(names[1], "debian");
	assert_string_equal(names[2], "ubuntu");
	vm_directory_free_names(names, count);
}

static void test_bad_names_are_not_opened(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct error err;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "../vms/one", &directory, &err),
			 -EINVAL);
	assert_int_equal(vm_directory_open(&fixture->home, ".", &directory, &err), -EINVAL);
	assert_int_equal(vm_directory_open(&fixture->home, "", &directory, &err), -EINVAL);
}

static void test_withdraw(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct vm_draft draft;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	/* And back: what a failed deletion does. */
	assert_int_equal(vm_directory_withdraw(&fixture->home, &directory, &draft, NULL), 0);
	assert_int_equal(vm_directory_restore(&fixture->home, &directory, &draft, NULL), 0);
	vm_draft_end(&fixture->home, &draft);
	vm_directory_close(&directory);
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	/* And away. */
	assert_int_equal(vm_directory_withdraw(&fixture->home, &directory, &draft, NULL), 0);
	vm_home_sweep(&fixture->home); /* does not take it from us */
	vm_draft_end(&fixture->home, &draft);
	vm_directory_close(&directory);
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), -ENOENT);
	assert_true(tmp_is_empty(&fixture->home));
}

static void read_config(const struct vm_home *home, const char *name, char text[16])
{
	struct vm_directory directory;

	assert_int_equal(vm_directory_open(home, name, &directory, NULL), 0);
	int fd = openat(directory.fd, "config.json", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, 15);
	assert_true(size >= 0);
	text[size] = 0;
	close(fd);
	vm_directory_close(&directory);
}

static int replace(const struct vm_home *home, const char *name, const char *config,
		   struct error *err)
{
	struct vm_draft draft;

	assert_int_equal(vm_draft_begin(home, &draft, NULL), 0);
	scratch_write(draft.fd, "config.json", config);
	int r = vm_draft_replace(home, &draft, name, err);
	vm_draft_end(home, &draft);
	return r;
}

static void test_replace(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory before;
	struct error err;
	char text[16];

	assert_int_equal(replace(&fixture->home, "one", "first", &err), 0);
	assert_int_equal(vm_directory_open(&fixture->home, "one", &before, NULL), 0);
	assert_int_equal(vm_directory_check_free(&fixture->home, &before, &err), 0);
	assert_int_equal(replace(&fixture->home, "one", "second", &err), 0);
	read_config(&fixture->home, "one", text);
	assert_string_equal(text, "second");
	/* The old one is gone, also for who has it open. */
	assert_int_equal(vm_directory_check_free(&fixture->home, &before, &err), -ESRCH);
	assert_string_equal(err.text, "the specified VM \"one\" does not exist");
	vm_directory_close(&before);
	/* What is no VM is not replaced. */
	assert_int_equal(mkdirat(fixture->home.vms_fd, "odd", 0700), 0);
	assert_int_equal(replace(&fixture->home, "odd", "x", &err), -EEXIST);
	assert_true(tmp_is_empty(&fixture->home));
}

static void test_shares(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct vm_directory reader;
	struct vm_directory other;
	struct error err;
	char text[16];

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	assert_int_equal(vm_directory_open(&fixture->home, "one", &reader, NULL), 0);
	assert_int_equal(vm_directory_open(&fixture->home, "one", &other, NULL), 0);
	assert_int_equal(vm_directory_share(&fixture->home, &reader, &err), 0);
	assert_int_equal(vm_directory_share(&fixture->home, &other, &err), 0);
	assert_int_equal(vm_directory_check_free(&fixture->home, &directory, &err), -EBUSY);
	assert_string_equal(err.text, "VM \"one\" is being copied: try again when that is done");
	assert_int_equal(replace(&fixture->home, "one", "second", &err), -EBUSY);
	read_config(&fixture->home, "one", text);
	assert_string_equal(text, "one");
	vm_directory_close(&reader);
	assert_int_equal(vm_directory_check_free(&fixture->home, &directory, &err), -EBUSY);
	vm_directory_close(&other);
	assert_int_equal(vm_directory_check_free(&fixture->home, &directory, &err), 0);
	vm_directory_close(&directory);
	assert_true(tmp_is_empty(&fixture->home));
}

/* Who runs it is another process. */
static void test_running_is_not_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct error err;
	int ready[2];
	int end[2];
	char byte;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(end[1]);
		int lock_fd = vm_lock_take(directory.fd, NULL);
		bool told = write(ready[1], "x", 1) == 1;
		_exit(lock_fd >= 0 && told && read(end[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(vm_directory_check_free(&fixture->home, &directory, &err), -EBUSY);
	assert_string_equal(err.text, "VM \"one\" is running");
	assert_int_equal(vm_directory_share(&fixture->home, &directory, &err), -EBUSY);
	assert_int_equal(replace(&fixture->home, "one", "x", &err), -EBUSY);
	close(end[1]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(replace(&fixture->home, "one", "x", &err), 0);
	close(end[0]);
	close(ready[0]);
	close(ready[1]);
	vm_directory_close(&directory);
}

static void test_empty(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	int fd = openat(directory.fd, "disk.img", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(mkdirat(directory.fd, "more", 0700), 0);
	assert_int_equal(symlinkat("../../vms", directory.fd, "more/link"), 0);
	assert_int_equal(vm_directory_empty(&fixture->home, &directory, NULL), 0);
	assert_int_equal(faccessat(directory.fd, "disk.img", F_OK, 0), -1);
	assert_int_equal(faccessat(directory.fd, "more", F_OK, 0), -1);
	vm_directory_close(&directory);
	/* Still a VM. */
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	vm_directory_close(&directory);
}

/* Deleted, the link goes; what it leads to does not make room for that. */
static void test_a_link_is_not_emptied(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;
	struct error err;

	make(&fixture->home, "one");
	assert_int_equal(renameat(fixture->home.vms_fd, "one", fixture->home.fd, "away"), 0);
	assert_int_equal(symlinkat("../away", fixture->home.vms_fd, "one"), 0);
	scratch_write(fixture->home.fd, "away/disk.img", "x");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	assert_true(vm_directory_empty(&fixture->home, &directory, &err) < 0);
	assert_string_equal(err.text, "vms/one is a symbolic link: what it leads to is not removed "
				      "to make room");
	assert_int_equal(faccessat(directory.fd, "disk.img", F_OK, 0), 0);
	vm_directory_close(&directory);
}

static void test_suspended(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	assert_false(vm_directory_is_suspended(&directory));
	assert_int_equal(mkdirat(directory.fd, VM_DIRECTORY_SAVED_STATE, 0700), 0);
	assert_false(vm_directory_is_suspended(&directory));
	assert_int_equal(unlinkat(directory.fd, VM_DIRECTORY_SAVED_STATE, AT_REMOVEDIR), 0);
	scratch_write(directory.fd, VM_DIRECTORY_SAVED_STATE, "x");
	assert_true(vm_directory_is_suspended(&directory));
	vm_directory_close(&directory);
}

static void test_usage(void **state)
{
	struct fixture *fixture = *state;
	struct vm_directory directory;

	make(&fixture->home, "one");
	assert_int_equal(vm_directory_open(&fixture->home, "one", &directory, NULL), 0);
	int fd = openat(directory.fd, "disk.img", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	close(fd);
	vm_directory_touch(&directory);
	struct vm_directory_usage usage = vm_directory_usage(&directory);
	assert_int_equal(usage.disk_size, 1 << 30);
	assert_in_range(usage.allocated_size, 1, 1 << 20);
	assert_true(usage.accessed_s > 1500000000);
	vm_directory_close(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_publish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_draft_survives_the_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_names_are_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_withdraw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_running_is_not_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_is_not_emptied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suspended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
