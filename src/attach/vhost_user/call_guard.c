/*
 * Theory of operation
 *
 * Whether a write blocks is said by the open file, which a front end shares with us: it can make a call's eventfd
 * blocking and full at any time, also between a look and the write. The kernel of today writes to an eventfd in no other
 * way, and what waits in there is woken by a signal, which is not ours to use, or by room in the counter. So a second
 * thread makes room:
 *
 *     writer   idle -> writing .......... write() .......... writing -> idle
 *     guard                     writing -> held (drains) ->
 *     writer                                   write() .......... held -> left -> (waits for the guard) -> idle
 *
 * All of that is one word with the call's number in it, so that nobody takes one call for another. The guard touches the
 * descriptor only while the word says "held" and the writer, who alone may close it, cannot come past "left" without
 * the guard: a number that is used again is never read from.
 *
 * The guard looks each CALL_GUARD_PERIOD_MS while calls are made. One that was under way at the last look, and still is,
 * blocks if its counter is full, too: on a busy machine the writer may only be without a processor. What the guard
 * itself does never waits: it reads with RWF_NOWAIT. It reads until the writer is out, since others may fill the counter
 * again.
 *
 * Where no call was made for a period the guard sleeps without a timer. Who calls then, wakes it up: both write what the
 * other reads (`asleep`, `word`) before they read, in one order for all (seq_cst), so one of them sees the other.
 */

#include "attach/vhost_user/call_guard.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALL_GUARD_PERIOD_MS 50
/* Until what blocked was woken and has run. */
#define CALL_GUARD_PATIENCE_MS 1

/* The lowest bits of the word. */
enum phase {
	PHASE_IDLE,
	PHASE_WRITING,
	PHASE_HELD, /* the guard has a hand on the descriptor */
	PHASE_LEFT, /* the writer is out of it, and waits for the guard to be so */
};
#define PHASE_BITS 2

struct call_guard {
	_Atomic uint64_t word; /* the call's number and its phase */
	atomic_bool asleep;
	/* The writer's; the guard reads fd while the word says that it holds it. */
	uint64_t number;
	int fd;

	bool blocked; /* the guard's judgement, once the writer has left */
	sem_t judged;
	sem_t wake;
	atomic_bool over;
	pthread_t thread;
};

static uint64_t word_of(uint64_t number, enum phase phase)
{
	return number << PHASE_BITS | phase;
}

static uint64_t with_phase(uint64_t word, enum phase phase)
{
	return word_of(word >> PHASE_BITS, phase);
}

/* False: it is another one by now. */
static bool change(struct call_guard *guard, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(&guard->word, &from, to);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		assert(errno == EINTR);
}

/* --- the guard's thread ---------------------------------------------------------------------- */

static bool is_full(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	return poll(&poll_fd, 1, 0) == 0;
}

static void drain(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;
	const struct iovec part = { &count, sizeof(count) };

	/* At once again after it was full: others fill it as fast as they can. */
	if (preadv2(fd, &part, 1, -1, RWF_NOWAIT) < 0)
		(void)poll(&poll_fd, 1, CALL_GUARD_PATIENCE_MS);
}

static void let_go(struct call_guard *guard, bool blocked)
{
	guard->blocked = blocked;
	(void)sem_post(&guard->judged); /* cannot overflow: one writer */
}

/* A write that takes long. */
static void look_closer(struct call_guard *guard, uint64_t writing)
{
	const uint64_t held = with_phase(writing, PHASE_HELD);

	if (!change(guard, writing, held))
		return;
	if (!is_full(guard->fd)) {
		if (!change(guard, held, writing))
			let_go(guard, false);
		return;
	}
	while (atomic_load(&guard->word) == held)
		drain(guard->fd);
	let_go(guard, true);
}

/* A period, or until it is over. */
static void guard_pause(struct call_guard *guard)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_nsec += CALL_GUARD_PERIOD_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (sem_clockwait(&guard->wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
		;
}

/* Until the next call. */
static void guard_sleep(struct call_guard *guard, uint64_t seen)
{
	atomic_store(&guard->asleep, true);
	/* A call that began before it could see us asleep will wake nobody. */
	if (atomic_load(&guard->word) != seen && atomic_exchange(&guard->asleep, false))
		return;
	wait_for(&guard->wake);
}

static void *guard_thread(void *context)
{
	struct call_guard *guard = context;
	uint64_t seen = word_of(0, PHASE_IDLE);

	(void)pthread_setname_np(pthread_self(), "vmnet-calls"); /* only a convenience */
	while (!atomic_load(&guard->over)) {
		uint64_t word = atomic_load(&guard->word);

		if (word == seen && word == with_phase(word, PHASE_IDLE)) {
			guard_sleep(guard, seen);
			continue;
		}
		if (word == seen && word == with_phase(word, PHASE_WRITING))
			look_closer(guard, word);
		seen = word;
		guard_pause(guard);
	}
	return NULL;
}

/* --- the writer's ---------------------------------------------------------------------------- */

/* The guard has its hand on the descriptor, or had it a moment ago. */
static bool call_leave(struct call_guard *guard, uint64_t writing, bool written)
{
	while (!change(guard, with_phase(writing, PHASE_HELD), with_phase(writing, PHASE_LEFT))) {
		if (change(guard, writing, with_phase(writing, PHASE_IDLE)))
			return true;
	}
	wait_for(&guard->judged);
	atomic_store(&guard->word, with_phase(writing, PHASE_IDLE));
	/* What blocked has not failed: then it only had no processor for so long. */
	return !guard->blocked || !written;
}

bool call_guard_call(struct call_guard *guard, int fd)
{
	const uint64_t one = 1;
	const uint64_t writing = word_of(++guard->number, PHASE_WRITING);

	guard->fd = fd;
	atomic_store(&guard->word, writing);
	if (atomic_load(&guard->asleep) && atomic_exchange(&guard->asleep, false))
		(void)sem_post(&guard->wake); /* cannot overflow: once for each sleep */
	/* Full and not blocking: a call is on its way already. */
	bool written = write(fd, &one, sizeof(one)) > 0;
	return change(guard, writing, with_phase(writing, PHASE_IDLE)) ||
	       call_leave(guard, writing, written);
}

/* --- life ------------------------------------------------------------------------------------ */

int call_guard_new(struct call_guard **ret_guard)
{
	struct call_guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	(void)sem_init(&guard->wake, 0, 0); /* cannot fail with such values */
	(void)sem_init(&guard->judged, 0, 0);
	int status = pthread_create(&guard->thread, NULL, guard_thread, guard);
	if (status != 0) {
		free(guard);
		return -status;
	}
	*ret_guard = guard;
	return 0;
}

struct call_guard *call_guard_free(struct call_guard *guard)
{
	if (!guard)
		return NULL;
	atomic_store(&guard->over, true);
	(void)sem_post(&guard->wake);
	int status = pthread_join(guard->thread, NULL);
	assert(status == 0);
	(void)status;
	(void)sem_destroy(&guard->wake);
	(void)sem_destroy(&guard->judged);
	free(guard);
	return NULL;
}
