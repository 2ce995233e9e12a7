#include "vm/vm_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"

/* A child that takes the lock, says so through a pipe, and waits to be killed. */
static pid_t start_holder(int directory_fd)
{
	int ends[2];
	char byte = 0;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = vm_lock_take(directory_fd, NULL);
		byte = fd >= 0 ? 'y' : 'n';
		if (write(ends[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	assert_int_equal(byte, 'y');
	return pid;
}

static void test_holder_is_seen_and_dies_with_its_lock(void **state)
{
	const struct scratch *scratch = *state;
	struct error err;

	scratch_write(scratch->fd, "config.json", "{}");
	assert_int_equal(vm_lock_holder(scratch->fd), 0);
	pid_t pid = start_holder(scratch->fd);
	assert_int_equal(vm_lock_holder(scratch->fd), pid);
	assert_int_equal(vm_lock_take(scratch->fd, &err), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(vm_lock_holder(scratch->fd), 0);
	int fd = vm_lock_take(scratch->fd, &err);
	assert_true(fd >= 0);
	close(fd);
}

/* An open file description's lock has no pid to tell, as one of another pid namespace has none. */
static void test_holder_without_a_pid(void **state)
{
	const struct scratch *scratch = *state;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct error err;

	scratch_write(scratch->fd, "config.json", "{}");
	int fd = openat(scratch->fd, "config.json", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(vm_lock_holder(scratch->fd), VM_LOCK_HOLDER_UNKNOWN);
	assert_int_equal(vm_lock_take(scratch->fd, &err), -EBUSY);
	close(fd);
	assert_int_equal(vm_lock_holder(scratch->fd), 0);
}

static void test_no_file(void **state)
{
	const struct scratch *scratch = *state;
	struct error err;

	assert_int_equal(vm_lock_holder(scratch->fd), 0);
	assert_int_equal(vm_lock_take(scratch->fd, &err), -ENOENT);
	assert_non_null(strstr(err.text, "config.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_holder_is_seen_and_dies_with_its_lock,
						scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_holder_without_a_pid, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_file, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
