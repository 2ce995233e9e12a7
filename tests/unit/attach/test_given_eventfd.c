/* What is an eventfd and what is none; neither asked in a way that shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "attach/vhost_user/given_eventfd.h"

static void every_eventfd_is_one_and_stays_as_it_is(void **state)
{
	static const uint64_t counts[] = { 1, 1000, UINT64_MAX - 1 };

	(void)state;
	for (int flags = 0; flags < 4; flags++) {
		int fd = eventfd(0, EFD_CLOEXEC | (flags & 1 ? EFD_NONBLOCK : 0) |
					    (flags & 2 ? EFD_SEMAPHORE : 0));

		assert_true(fd >= 0);
		assert_true(given_eventfd_is_one(fd)); /* empty: it did not wait */
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			uint64_t count;

			if (flags & 2)
				break; /* its count is read one by one */
			assert_int_equal(write(fd, &counts[i], 8), 8);
			assert_true(given_eventfd_is_one(fd)); /* full: neither */
			assert_int_equal(read(fd, &count, 8), 8);
			assert_int_equal(count, counts[i]);
		}
		(void)close(fd);
	}
}

static void refuse(int fd)
{
	assert_true(fd >= 0);
	assert_false(given_eventfd_is_one(fd));
	(void)close(fd);
}

static void nothing_else_is(void **state)
{
	sigset_t signals;
	int ends[2];
	char bytes[8];

	(void)state;
	assert_false(given_eventfd_is_one(-1));
	(void)sigemptyset(&signals);
	refuse(epoll_create1(EPOLL_CLOEXEC));
	refuse(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	refuse(signalfd(-1, &signals, SFD_CLOEXEC));
	refuse(inotify_init1(IN_CLOEXEC));
	refuse(memfd_create("test", MFD_CLOEXEC));
	refuse(open("/dev/null", O_RDWR | O_CLOEXEC));
	refuse(open("/", O_RDONLY | O_CLOEXEC));
	refuse(open("/", O_PATH | O_CLOEXEC));
	for (unsigned kind = 0; kind < 2; kind++) {
		if (kind == 0)
			assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		else
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
					 0);
		assert_int_equal(write(ends[1], "12345678", 8), 8);
		assert_false(given_eventfd_is_one(ends[0]));
		assert_false(given_eventfd_is_one(ends[1]));
		assert_int_equal(read(ends[0], bytes, sizeof(bytes)), 8); /* nothing was taken */
		(void)close(ends[0]);
		(void)close(ends[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_eventfd_is_one_and_stays_as_it_is),
		cmocka_unit_test(nothing_else_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
