#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "loop/loop.h"

struct fake_clock {
	struct clock clock;
	uint64_t now_ns;
};

static uint64_t fake_now(const struct clock *clock)
{
	return ((const struct fake_clock *)(const void *)clock)->now_ns;
}

static struct loop *new_loop(const struct clock *clock)
{
	struct loop *loop = NULL;

	assert_int_equal(loop_new(clock, &loop), 0);
	return loop;
}

static int signalled_fd(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* A watch on an eventfd that is always ready, and what its callback is to do to another. */
struct probe {
	struct loop_watch watch;
	struct loop *loop;
	struct probe *victim;
	int fd;
	uint32_t ran;
	uint32_t events;
};

static void probe_open(struct probe *probe, struct loop *loop,
		       void (*ready)(struct loop_watch *watch, uint32_t events))
{
	*probe = (struct probe){ .loop = loop, .fd = signalled_fd() };
	loop_watch_init(&probe->watch, ready);
	assert_int_equal(loop_watch_add(loop, &probe->watch, probe->fd, EPOLLIN), 0);
}

static void probe_close(struct probe *probe)
{
	loop_watch_remove(probe->loop, &probe->watch);
	probe->fd = fd_close(probe->fd);
}

static void count_ready(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = container_of(watch, struct probe, watch);

	probe->ran++;
	probe->events |= events;
}

static void test_watch(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct probe probe;
	uint64_t counter;

	(void)state;
	probe_open(&probe, loop, count_ready);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(probe.ran, 2);
	assert_int_equal(probe.events, EPOLLIN);
	assert_int_equal(loop_watch_change(loop, &probe.watch, EPOLLIN | EPOLLOUT | EPOLLET), 0);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(probe.events, EPOLLIN | EPOLLOUT);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(probe.ran, 3);
	assert_int_equal(loop_watch_change(loop, &probe.watch, EPOLLIN), 0);
	assert_int_equal(read(probe.fd, &counter, sizeof(counter)), sizeof(counter));
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(probe.ran, 3);
	loop_watch_remove(loop, &probe.watch);
	assert_int_equal(probe.watch.fd, -1);
	loop_watch_remove(loop, &probe.watch);
	probe_close(&probe);
	assert_null(loop_free(loop));
	assert_null(loop_free(NULL));
}

/* Closed without telling epoll: nothing comes of it any more, not even where a copy keeps the file
 * open, and whoever gets the same number next hears only what is its own. */
static void test_forgotten(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct probe gone;
	struct probe next;
	int copy;

	(void)state;
	probe_open(&gone, loop, count_ready);
	copy = fcntl(gone.fd, F_DUPFD_CLOEXEC, 100);
	assert_true(copy >= 100);
	loop_watch_forget(loop, &gone.watch);
	loop_watch_forget(loop, &gone.watch);
	assert_int_equal(gone.watch.fd, -1);
	fd_close(gone.fd);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(gone.ran, 0);
	probe_open(&next, loop, count_ready);
	assert_int_equal(next.fd, gone.fd); /* the number, taken again */
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(gone.ran, 0);
	assert_int_equal(next.ran, 1);
	fd_close(copy);
	probe_close(&next);
	loop_free(loop);
}

static void test_watch_refused(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct loop_watch watch;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	(void)state;
	loop_watch_init(&watch, NULL);
	assert_int_equal(loop_watch_add(loop, &watch, fd, EPOLLIN), -EPERM); /* a plain file */
	fd_close(fd);
	assert_int_equal(loop_watch_add(loop, &watch, fd, EPOLLIN), -EBADF);
	assert_int_equal(watch.fd, -1);
	loop_watch_remove(loop, &watch);
	loop_free(loop);
}

static void remove_victim(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = container_of(watch, struct probe, watch);

	(void)events;
	probe->ran++;
	if (probe->victim->fd != -1)
		probe_close(probe->victim);
}

/* Both are ready in the same batch; whichever comes first removes the other. */
static void test_removed_within_batch(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct probe probes[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		probe_open(&probes[i], loop, remove_victim);
		probes[i].victim = &probes[1 - i];
	}
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(probes[0].ran + probes[1].ran, 1);
	assert_int_equal((probes[0].fd == -1) + (probes[1].fd == -1), 1);
	probe_close(&probes[0]);
	probe_close(&probes[1]);
	loop_free(loop);
}

static void replace_victim(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = container_of(watch, struct probe, watch);
	uint32_t slot = probe->victim->watch.slot;

	(void)events;
	probe->ran++;
	if (probe->victim->ran > 0 || probe->ran > 1)
		return;
	/* The same slot, the same watch, and (the lowest free number) the same fd; but nothing to
	 * read in it. */
	probe_close(probe->victim);
	probe->victim->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(
		loop_watch_add(probe->loop, &probe->victim->watch, probe->victim->fd, EPOLLIN), 0);
	assert_int_equal(probe->victim->watch.slot, slot);
}

static void test_slot_taken_again_within_batch(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct probe probes[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		probe_open(&probes[i], loop, replace_victim);
		probes[i].victim = &probes[1 - i];
	}
	assert_int_equal(loop_run_once(loop, -1), 0);
	/* The first replaced the second, whose old event was in the batch. */
	assert_int_equal(probes[0].ran + probes[1].ran, 1);
	/* Nor does the new one run later. */
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_true(probes[0].ran == 0 || probes[1].ran == 0);
	probe_close(&probes[0]);
	probe_close(&probes[1]);
	loop_free(loop);
}

static void remove_self_and_free(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = container_of(watch, struct probe, watch);

	(void)events;
	probe_close(probe);
	free(probe);
}

static void test_frees_itself(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);

	(void)state;
	/* More than a batch and more than the first table of slots. */
	for (int i = 0; i < 300; i++) {
		struct probe *probe = malloc(sizeof(*probe));

		assert_non_null(probe);
		probe_open(probe, loop, remove_self_and_free);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_run_once(loop, -1), 0);
	loop_free(loop); /* the leak sanitizer counts */
}

static struct probe grown[500];

static void add_many(struct loop_watch *watch, uint32_t events)
{
	struct probe *probe = container_of(watch, struct probe, watch);

	(void)events;
	if (probe->ran++ > 0)
		return;
	for (size_t i = 0; i < ARRAY_COUNT(grown); i++)
		probe_open(&grown[i], probe->loop, count_ready);
}

static void test_table_grows_within_batch(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct probe first;
	struct probe second;

	(void)state;
	probe_open(&first, loop, add_many);
	probe_open(&second, loop, count_ready);
	/* epoll hands out ready descriptors in turn: each one gets its share. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(loop_run_once(loop, -1), 0);
	assert_true(second.ran > 0);
	for (size_t i = 0; i < ARRAY_COUNT(grown); i++) {
		assert_true(grown[i].ran > 0);
		probe_close(&grown[i]);
	}
	probe_close(&first);
	probe_close(&second);
	loop_free(loop);
}

struct step {
	struct loop *loop;
	struct loop_watch watch;
	struct timer timer;
	struct loop_deferred deferred;
	struct loop_deferred other;
	struct loop_deferred last;
	char trace[32];
};

static void trace(struct step *step, char what)
{
	size_t length = strlen(step->trace);

	assert_true(length + 1 < sizeof(step->trace));
	step->trace[length] = what;
}

static void step_ready(struct loop_watch *watch, uint32_t events)
{
	struct step *step = container_of(watch, struct step, watch);

	(void)events;
	trace(step, 'w');
	loop_defer(step->loop, &step->deferred);
	loop_defer(step->loop, &step->deferred);
}

static void step_expired(struct timer *timer, uint64_t now_ns)
{
	struct step *step = container_of(timer, struct step, timer);

	assert_true(now_ns == loop_now(step->loop));
	trace(step, 't');
	loop_defer(step->loop, &step->deferred);
}

static void step_deferred(struct loop_deferred *deferred)
{
	trace(container_of(deferred, struct step, deferred), 'd');
}

static void step_last(struct loop_deferred *deferred)
{
	trace(container_of(deferred, struct step, last), 'l');
}

/* Work whose results are collected last, and which goes on in the next batch. */
static void step_works(struct loop_deferred *deferred)
{
	struct step *step = container_of(deferred, struct step, deferred);

	trace(step, 'd');
	loop_defer_last(step->loop, &step->last);
	loop_defer(step->loop, &step->deferred);
}

static void step_deferred_other(struct loop_deferred *deferred)
{
	trace(container_of(deferred, struct step, other), 'o');
}

static void step_other(struct loop_deferred *deferred)
{
	struct step *step = container_of(deferred, struct step, other);

	trace(step, 'o');
	loop_defer(step->loop, &step->other);
}

static void test_order_of_a_batch(void **state)
{
	struct fake_clock clock = { { fake_now }, 1000 };
	struct loop *loop = new_loop(&clock.clock);
	struct step step = { .loop = loop };
	int fd = signalled_fd();

	(void)state;
	assert_true(loop_now(loop) == 1000);
	loop_watch_init(&step.watch, step_ready);
	timer_init(&step.timer, step_expired);
	loop_deferred_init(&step.deferred, step_deferred);
	assert_int_equal(loop_watch_add(loop, &step.watch, fd, EPOLLIN | EPOLLET), 0);
	timer_set(loop_timers(loop), &step.timer, 2000);
	clock.now_ns = 2000;
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_true(loop_now(loop) == 2000);
	assert_string_equal(step.trace, "wtd");
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_string_equal(step.trace, "wtd");
	loop_watch_remove(loop, &step.watch);
	fd_close(fd);
	loop_free(loop);
}

static void test_deferred_last(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct step step = { .loop = loop };

	(void)state;
	loop_deferred_init(&step.deferred, step_works);
	loop_deferred_init(&step.other, step_deferred_other);
	loop_deferred_init(&step.last, step_last);
	loop_defer_last(loop, &step.last);
	loop_defer(loop, &step.deferred);
	loop_defer(loop, &step.other);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_string_equal(step.trace, "dol");
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_string_equal(step.trace, "doldl");
	loop_deferred_cancel(&step.deferred);
	/* Alone it keeps the loop from waiting, too; and may be cancelled. */
	loop_defer_last(loop, &step.last);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_string_equal(step.trace, "doldll");
	loop_defer_last(loop, &step.last);
	loop_deferred_cancel(&step.last);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_string_equal(step.trace, "doldll");
	loop_free(loop);
}

static void test_deferred(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct step step = { .loop = loop };

	(void)state;
	loop_deferred_init(&step.deferred, step_deferred);
	loop_deferred_init(&step.other, step_other);
	loop_deferred_cancel(&step.deferred);
	loop_defer(loop, &step.other);
	loop_defer(loop, &step.deferred);
	/* Work that waits: the loop must not, although -1 allows it for ever. */
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_string_equal(step.trace, "od");
	/* The other one deferred itself again: once a batch, without end but without a hang. */
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_string_equal(step.trace, "odoo");
	loop_defer(loop, &step.deferred);
	loop_deferred_cancel(&step.deferred);
	loop_deferred_cancel(&step.other);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_string_equal(step.trace, "odoo");
	loop_defer(loop, &step.deferred);
	loop_free(loop);
	loop_deferred_cancel(&step.deferred); /* the loop let go of it */
}

static void stop_expired(struct timer *timer, uint64_t now_ns)
{
	struct step *step = container_of(timer, struct step, timer);

	(void)now_ns;
	trace(step, 't');
	loop_stop(step->loop);
}

static void test_run_waits_for_timer(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct step step = { .loop = loop };
	uint64_t deadline = clock_now(&clock_boottime) + 20 * NS_PER_MS;

	(void)state;
	timer_init(&step.timer, stop_expired);
	timer_set(loop_timers(loop), &step.timer, deadline);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(step.trace, "t");
	assert_true(clock_now(&clock_boottime) >= deadline);
	loop_free(loop);
}

static void test_timeout(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct step step = { .loop = loop };
	uint64_t start = clock_now(&clock_boottime);

	(void)state;
	timer_init(&step.timer, step_expired);
	timer_set(loop_timers(loop), &step.timer, start + 1000 * NS_PER_S);
	assert_int_equal(loop_run_once(loop, 10), 0);
	assert_true(clock_now(&clock_boottime) - start >= 9 * NS_PER_MS);
	assert_string_equal(step.trace, "");
	loop_free(loop);
}

/* Ten microseconds pass at each look at it. */
struct ticking_clock {
	struct clock clock;
	uint64_t *reads;
	uint64_t *event_at; /* at this read something happens at event_fd */
	int event_fd;
};

static uint64_t ticking_now(const struct clock *clock)
{
	const struct ticking_clock *ticking = (const struct ticking_clock *)(const void *)clock;
	uint64_t one = 1;

	if (++*ticking->reads == *ticking->event_at)
		assert_int_equal(write(ticking->event_fd, &one, sizeof(one)), sizeof(one));
	return *ticking->reads * 10 * NS_PER_US;
}

/* Returns how often the clock was read in a turn in which nothing happens: more than twice where the
 * loop looked before it slept. */
static uint64_t reads_of_empty_turn(struct loop *loop, const struct ticking_clock *clock)
{
	uint64_t before = *clock->reads;

	assert_int_equal(loop_run_once(loop, 1), 0);
	return *clock->reads - before;
}

static void test_busy_poll(void **state)
{
	uint64_t reads = 0;
	uint64_t event_at = 0;
	const struct ticking_clock clock = { { ticking_now }, &reads, &event_at, -1 };
	struct loop *loop = new_loop(&clock.clock);
	struct probe probe;
	uint64_t value;

	(void)state;
	probe_open(&probe, loop, count_ready);
	for (int limit = 0; limit <= 50; limit += 50) {
		loop_set_busy_poll(loop, (uint64_t)limit * NS_PER_US);
		value = 1;
		assert_int_equal(write(probe.fd, &value, sizeof(value)), sizeof(value));
		for (int i = 0; i < 4; i++)
			assert_int_equal(loop_run_once(loop, -1), 0);
		assert_int_equal(read(probe.fd, &value, sizeof(value)), sizeof(value));
		if (limit == 0) {
			assert_in_range(reads_of_empty_turn(loop, &clock), 0, 2);
			continue;
		}
		/* It looks for the limit, and gives up after a few long waits. */
		assert_in_range(reads_of_empty_turn(loop, &clock), 6, 8);
		assert_in_range(reads_of_empty_turn(loop, &clock), 0, 2);
	}
	probe_close(&probe);
	assert_null(loop_free(loop));
}

/* Four short waits, and nothing to read any more. */
static void make_confident(struct loop *loop, int fd)
{
	uint64_t value = 1;

	loop_set_busy_poll(loop, 50 * NS_PER_US);
	assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
}

static void count_expired(struct timer *timer, uint64_t now_ns)
{
	(void)timer;
	(void)now_ns;
}

/* What happens during a look is found by it: an event, and a timer. The loop would sleep for ever
 * otherwise. */
static void test_found_by_looking(void **state)
{
	uint64_t reads = 0;
	uint64_t event_at = 0;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct ticking_clock clock = { { ticking_now }, &reads, &event_at, fd };
	struct loop *loop = new_loop(&clock.clock);
	struct probe probe = { .loop = loop, .fd = fd };
	struct timer timer;
	uint64_t before;

	(void)state;
	loop_watch_init(&probe.watch, count_ready);
	assert_int_equal(loop_watch_add(loop, &probe.watch, fd, EPOLLIN), 0);
	make_confident(loop, fd);
	before = reads;
	probe.ran = 0;
	event_at = reads + 4;
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(probe.ran, 1);
	assert_in_range(reads - before, 4, 5);

	make_confident(loop, fd);
	timer_init(&timer, count_expired);
	timer_set(loop_timers(loop), &timer, (reads + 4) * 10 * NS_PER_US);
	before = reads;
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_false(timer_is_set(&timer));
	assert_in_range(reads - before, 4, 7);
	probe_close(&probe);
	assert_null(loop_free(loop));
}

/* Something that the loop sees by itself, and an eventfd that says so where that was asked for. */
struct sight {
	struct loop_lookout lookout;
	struct probe probe;
	unsigned there;	     /* pieces of work */
	unsigned comes_late; /* while the loop is about to sleep */
	unsigned done;
	unsigned announced;
};

static struct sight *sight_of(struct loop_lookout *lookout)
{
	return container_of(lookout, struct sight, lookout);
}

static bool sight_sees(struct loop_lookout *lookout)
{
	return sight_of(lookout)->there > 0;
}

static void sight_act(struct loop_lookout *lookout)
{
	sight_of(lookout)->there--;
	sight_of(lookout)->done++;
}

static bool sight_announce(struct loop_lookout *lookout)
{
	struct sight *sight = sight_of(lookout);

	sight->announced++;
	sight->there += sight->comes_late;
	sight->comes_late = 0;
	return sight->there > 0;
}

static void sight_open(struct sight *sight, struct loop *loop)
{
	static const struct loop_lookout_ops ops = { sight_sees, sight_act, sight_announce };

	probe_open(&sight->probe, loop, count_ready);
	loop_lookout_init(&sight->lookout, &ops);
	loop_lookout_add(loop, &sight->lookout);
	loop_lookout_add(loop, &sight->lookout); /* once is enough */
}

/* What is seen is done one piece a batch, with no wait; epoll is asked in every second of them. */
static void test_lookout(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct sight sight = { .there = 6 };
	uint64_t one = 1;

	(void)state;
	sight_open(&sight, loop);
	assert_int_equal(write(sight.probe.fd, &one, sizeof(one)), sizeof(one));
	for (unsigned i = 1; i <= 6; i++) {
		assert_int_equal(loop_run_once(loop, -1), 0);
		assert_int_equal(sight.done, i);
		assert_int_equal(sight.probe.ran, i / 2);
	}
	assert_int_equal(sight.announced, 0);
	assert_int_equal(read(sight.probe.fd, &one, sizeof(one)), sizeof(one));
	/* With nothing to see the loop says that it sleeps, and wakes up by an event. */
	assert_int_equal(loop_run_once(loop, 1), 0);
	assert_int_equal(sight.announced, 1);
	assert_int_equal(sight.done, 6);
	/* What comes at that moment is not slept over. */
	sight.comes_late = 1;
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(sight.announced, 2);
	assert_int_equal(sight.done, 7);
	/* A batch that waits for nothing has nothing to announce, and does what is there. */
	sight.there = 1;
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(sight.announced, 2);
	assert_int_equal(sight.done, 8);
	loop_lookout_remove(&sight.lookout);
	sight.there = 1;
	assert_int_equal(loop_run_once(loop, 1), 0);
	assert_int_equal(sight.announced, 2);
	assert_int_equal(sight.done, 8);
	loop_lookout_remove(&sight.lookout);
	probe_close(&sight.probe);
	loop_free(loop);
}

/* Beside bulk, whoever is announced by epoll has their turn in every batch. */
static void test_lookout_beside_bulk(void **state)
{
	struct loop *loop = new_loop(&clock_boottime);
	struct sight sight = { .there = 4 };
	uint64_t one = 1;

	(void)state;
	sight_open(&sight, loop);
	assert_int_equal(write(sight.probe.fd, &one, sizeof(one)), sizeof(one));
	for (unsigned i = 1; i <= 4; i++) {
		loop_note_bytes(loop, 65536);
		assert_int_equal(loop_run_once(loop, -1), 0);
		assert_int_equal(sight.done, i);
		assert_int_equal(sight.probe.ran, i);
	}
	loop_lookout_remove(&sight.lookout);
	probe_close(&sight.probe);
	loop_free(loop);
}

/* Seen while the loop looks busily: it does not sleep, and nobody has to wake it. */
static void test_lookout_seen_by_looking(void **state)
{
	uint64_t reads = 0;
	uint64_t event_at = 0;
	const struct ticking_clock clock = { { ticking_now }, &reads, &event_at, -1 };
	struct loop *loop = new_loop(&clock.clock);
	struct sight sight = { .there = 0 };
	uint64_t before;

	(void)state;
	sight_open(&sight, loop);
	make_confident(loop, sight.probe.fd);
	sight.announced = 0;
	sight.comes_late = 1;
	before = reads;
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(sight.announced, 1); /* after the look */
	assert_int_equal(sight.done, 1);
	assert_in_range(reads - before, 6, 8);
	loop_lookout_remove(&sight.lookout);
	probe_close(&sight.probe);
	assert_null(loop_free(loop));
}

/* All descriptors of a loop are close-on-exec: those that are there while it lives. */
static void test_descriptors(void **state)
{
	int count[2] = { 0, 0 };
	struct loop *loop = new_loop(&clock_boottime);
	bool before[256];

	(void)state;
	loop_free(loop);
	for (int fd = 0; fd < 256; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	for (int round = 0; round < 2; round++) {
		loop = new_loop(&clock_boottime);
		for (int fd = 0; fd < 256; fd++) {
			int flags = fcntl(fd, F_GETFD);

			if (before[fd] || flags < 0)
				continue;
			assert_int_equal(flags & FD_CLOEXEC, FD_CLOEXEC);
			count[round]++;
		}
		loop_free(loop);
	}
	assert_true(count[0] > 0);
	assert_int_equal(count[0], count[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_watch_refused),
		cmocka_unit_test(test_removed_within_batch),
		cmocka_unit_test(test_slot_taken_again_within_batch),
		cmocka_unit_test(test_frees_itself),
		cmocka_unit_test(test_table_grows_within_batch),
		cmocka_unit_test(test_order_of_a_batch),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_deferred_last),
		cmocka_unit_test(test_run_waits_for_timer),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_busy_poll),
		cmocka_unit_test(test_found_by_looking),
		cmocka_unit_test(test_lookout),
		cmocka_unit_test(test_lookout_beside_bulk),
		cmocka_unit_test(test_lookout_seen_by_looking),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
