#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

static void test_close(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	errno = EXDEV;
	assert_int_equal(fd_close(ends[0]), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(fcntl(ends[0], F_GETFD), -1);
	errno = EXDEV;
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(fd_close(ends[1]), -1);
}

static void test_flags(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fd_set_nonblocking(ends[0]), 0);
	assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(fd_set_cloexec(ends[0]), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fd_close(ends[0]);
	fd_close(ends[1]);
	assert_int_equal(fd_set_nonblocking(ends[0]), -EBADF);
	assert_int_equal(fd_set_cloexec(ends[0]), -EBADF);
}

static void test_raise_limit(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(fd_raise_limit(), limit.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
	assert_int_equal(fd_raise_limit(), limit.rlim_max);
}

static bool is_null(int fd)
{
	struct stat is;
	struct stat null;

	assert_int_equal(stat("/dev/null", &null), 0);
	return fstat(fd, &is) == 0 && is.st_rdev == null.st_rdev && S_ISCHR(is.st_mode);
}

static void test_fill_standard(void **state)
{
	int kept = dup(STDERR_FILENO);
	int next = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(close(next), 0);
	assert_int_equal(close(STDERR_FILENO), 0);
	bool filled = fd_fill_standard();
	bool null = is_null(STDERR_FILENO);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(kept), 0);
	assert_true(filled && null);
	/* And what is open already stays what it is, with no descriptor more. */
	assert_true(fd_fill_standard());
	assert_int_equal(open("/dev/null", O_RDONLY), kept);
	assert_int_equal(close(kept), 0);
}

static int open_in_scope(void)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	autofree char *text = malloc(16);

	assert_true(fd >= 0);
	assert_non_null(text);
	return fd;
}

/* The leak sanitizer watches the autofree half. */
static void test_forget_input(void **state)
{
	int fds[2];
	char byte;

	(void)state;
	int kept = dup(STDIN_FILENO);
	assert_true(kept >= 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_true(fd_forget_input());
	assert_int_equal(read(STDIN_FILENO, &byte, 1), 0); /* nothing, not "x" */
	assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
	close(kept);
	close(fds[0]);
	close(fds[1]);
}

static void test_scope(void **state)
{
	int fd = open_in_scope();

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),	    cmocka_unit_test(test_flags),
		cmocka_unit_test(test_raise_limit), cmocka_unit_test(test_fill_standard),
		cmocka_unit_test(test_raise_limit), cmocka_unit_test(test_forget_input),
		cmocka_unit_test(test_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
