/* Calls by eventfds that block, also where others fill them again and again; and calls that do not. The test's own
 * time limit ends what hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "attach/vhost_user/call_guard.h"

#define FULL	(UINT64_MAX - 1)
#define FILLERS 4

static struct call_guard *guard;

static int setup(void **state)
{
	(void)state;
	return call_guard_new(&guard);
}

static int teardown(void **state)
{
	(void)state;
	guard = call_guard_free(guard);
	return 0;
}

static int new_eventfd(uint64_t count, int flags)
{
	int fd = eventfd(0, EFD_CLOEXEC | flags);

	assert_true(fd >= 0);
	if (count > 0)
		assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	return fd;
}

static uint64_t count_of(int fd)
{
	uint64_t count;

	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void calls_arrive(void **state)
{
	int fd = new_eventfd(0, 0);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(call_guard_call(guard, fd));
	assert_int_equal(count_of(fd), 1000);
	(void)close(fd);
}

/* Longer than the guard looks for, and with pauses of all lengths about its period: it goes to sleep and is woken. */
static void calls_of_all_rhythms(void **state)
{
	int fd = new_eventfd(0, EFD_NONBLOCK);

	(void)state;
	for (long pause_ms = 40; pause_ms < 120; pause_ms += 5) {
		const struct timespec pause = { .tv_nsec = pause_ms * 1000000 };

		for (uint64_t until = now_ms() + 20; now_ms() < until;)
			assert_true(call_guard_call(guard, fd));
		assert_true(count_of(fd) > 0);
		(void)nanosleep(&pause, NULL);
	}
	(void)close(fd);
}

static void full_and_not_blocking_is_no_crime(void **state)
{
	int fd = new_eventfd(FULL, EFD_NONBLOCK);

	(void)state;
	/* From sleep, and while the guard looks. */
	for (unsigned i = 0; i < 10; i++)
		assert_true(call_guard_call(guard, fd));
	assert_int_equal(count_of(fd), FULL);
	(void)close(fd);
}

static void one_that_blocks_is_ended(void **state)
{
	int good = new_eventfd(0, 0);

	(void)state;
	/* From sleep and while calls are made; the same descriptor's number again and again. */
	for (unsigned i = 0; i < 6; i++) {
		int bad = new_eventfd(FULL, 0);
		uint64_t before = now_ms();

		if (i % 2)
			assert_true(call_guard_call(guard, good));
		assert_false(call_guard_call(guard, bad));
		/* Never by a first look alone. */
		assert_in_range(now_ms() - before, 40, 60000);
		(void)close(bad);
		assert_true(call_guard_call(guard, good));
	}
	assert_int_equal(count_of(good), 9); /* none of these was read by the guard */
	(void)close(good);
}

struct filler {
	int fd;
	atomic_bool over;
};

/* Fills it whenever there is room. Stopped by room, which the test makes. */
static void *fill(void *context)
{
	struct filler *filler = context;
	const uint64_t full = FULL;

	while (!atomic_load(&filler->over))
		(void)!write(filler->fd, &full, sizeof(full));
	return NULL;
}

static void one_that_others_fill_again_is_ended(void **state)
{
	struct filler filler = { .fd = new_eventfd(FULL, 0) };
	pthread_t threads[FILLERS];
	unsigned ended = 0;

	(void)state;
	for (unsigned i = 0; i < FILLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fill, &filler), 0);
	for (unsigned i = 0; i < 5; i++)
		ended += !call_guard_call(guard, filler.fd);
	assert_true(ended >
		    0); /* perhaps not all: between two fillers there is room for a moment */
	atomic_store(&filler.over, true);
	/* Each that waits needs room of its own. */
	assert_int_equal(fcntl(filler.fd, F_SETFL, O_NONBLOCK), 0);
	for (unsigned i = 0; i < FILLERS; i++) {
		struct timespec until;
		int status;

		do {
			uint64_t count;

			(void)!read(filler.fd, &count, sizeof(count));
			assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
			until.tv_nsec += 10000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
			status = pthread_timedjoin_np(threads[i], NULL, &until);
		} while (status == ETIMEDOUT);
		assert_int_equal(status, 0);
	}
	(void)close(filler.fd);
}

static bool find_wakeups_of_guard(unsigned long *ret_wakeups)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	bool found = false;

	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		char path[300];
		char line[200];
		bool is_it = false;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		FILE *status = fopen(path, "re");
		while (status && fgets(line, sizeof(line), status)) {
			if (strcmp(line, "Name:\tvmnet-calls\n") == 0)
				is_it = true;
			if (is_it && sscanf(line, "voluntary_ctxt_switches: %lu", ret_wakeups) == 1)
				found = true;
		}
		if (status)
			(void)fclose(status);
	}
	(void)closedir(tasks);
	return found;
}

static unsigned long wakeups_of_guard(void)
{
	unsigned long wakeups;

	while (!find_wakeups_of_guard(&wakeups)) /* it names itself first of all */
		(void)sched_yield();
	return wakeups;
}

/* After the last call it looks once or twice more; then it sleeps without a timer. */
static void nobody_is_woken_where_nobody_calls(void **state)
{
	const struct timespec pause = { .tv_nsec = 500000000 };
	int fd = new_eventfd(0, 0);

	(void)state;
	assert_true(call_guard_call(guard, fd));
	(void)nanosleep(&pause, NULL);
	unsigned long before = wakeups_of_guard();
	(void)nanosleep(&pause, NULL);
	assert_int_equal(wakeups_of_guard(), before);
	(void)close(fd);
}

/* While calls are made, it is woken by its timer alone: some 10 times in half a second, whatever the number of calls. */
static void calls_wake_nobody(void **state)
{
	int fd = new_eventfd(0, 0);

	(void)state;
	assert_true(call_guard_call(guard, fd));
	unsigned long before = wakeups_of_guard();
	for (uint64_t until = now_ms() + 500; now_ms() < until;)
		assert_true(call_guard_call(guard, fd));
	assert_in_range(wakeups_of_guard() - before, 0, 30);
	(void)close(fd);
}

static void it_ends_asleep_and_awake(void **state)
{
	int fd = new_eventfd(0, 0);

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct call_guard *other;

		assert_int_equal(call_guard_new(&other), 0);
		if (i % 2)
			assert_true(call_guard_call(other, fd));
		assert_null(call_guard_free(other));
	}
	assert_null(call_guard_free(NULL));
	(void)close(fd);
}

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(calls_arrive),
		GUARD_TEST(calls_of_all_rhythms),
		GUARD_TEST(full_and_not_blocking_is_no_crime),
		GUARD_TEST(one_that_blocks_is_ended),
		GUARD_TEST(one_that_others_fill_again_is_ended),
		GUARD_TEST(nobody_is_woken_where_nobody_calls),
		GUARD_TEST(calls_wake_nobody),
		cmocka_unit_test(it_ends_asleep_and_awake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
