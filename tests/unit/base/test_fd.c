#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
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

static int open_in_scope(void)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	autofree char *text = malloc(16);

	assert_true(fd >= 0);
	assert_non_null(text);
	return fd;
}

/* The leak sanitizer watches the autofree half. */
static void test_scope(void **state)
{
	int fd = open_in_scope();

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_raise_limit),
		cmocka_unit_test(test_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
