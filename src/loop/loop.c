#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "loop/busy_poll.h"

#define EVENTS_PER_BATCH 128
#define TIMERS_FIRST	 64
#define SLOTS_FIRST	 64
#define SLOT_NONE	 UINT32_MAX

/* epoll counts CLOCK_MONOTONIC, which stands still while the host sleeps; our deadlines do not.
 * Waking up this often bounds how late a timer can be after a sleep. */
#define WAIT_MOST_NS (10 * NS_PER_S)

/*
 * What epoll hands back is a slot and its generation, never a pointer: an event of a watch that was
 * removed (or whose slot was taken again) finds another generation and is dropped.
 */
struct watch_slot {
	struct loop_watch *watch; /* NULL = free */
	uint32_t generation;
	uint32_t next_free;
};

/* A loop_call() that waits, on its caller's stack. */
struct loop_message {
	void (*call)(void *context);
	void *context;
	int result;
	sem_t done;
	struct list node;
};

struct loop {
	const struct clock *clock;
	uint64_t now_ns;
	uint64_t turn;
	int epoll_fd;
	bool stopping;
	struct busy_poll busy_poll;
	struct timers timers;
	struct list deferred;
	struct list last;
	struct list lookouts;
	bool skipped_events; /* the last batch did not ask epoll */
	struct watch_slot *slots;
	uint32_t slot_count;
	uint32_t first_free;
	struct loop_watch message_watch; /* an eventfd */
	_Atomic(pthread_t) thread;	 /* inside loop_run_once; 0 = none */
	pthread_mutex_t message_lock;	 /* guards the two below */
	struct list messages;
	bool ended;
	struct epoll_event events[EVENTS_PER_BATCH];
};

static void messages_ready(struct loop_watch *watch, uint32_t events);

static int loop_open(struct loop *loop)
{
	int message_fd;
	int rc;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	rc = timers_init(&loop->timers, TIMERS_FIRST);
	if (rc < 0)
		return rc;
	message_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (message_fd < 0)
		return -errno;
	rc = loop_watch_add(loop, &loop->message_watch, message_fd, EPOLLIN);
	if (rc < 0)
		fd_close(message_fd);
	return rc;
}

int loop_new(const struct clock *clock, struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return -ENOMEM;
	loop->clock = clock;
	loop->now_ns = clock_now(clock);
	loop->epoll_fd = -1;
	loop->first_free = SLOT_NONE;
	list_init(&loop->deferred);
	list_init(&loop->last);
	list_init(&loop->lookouts);
	list_init(&loop->messages);
	pthread_mutex_init(&loop->message_lock, NULL);
	loop_watch_init(&loop->message_watch, messages_ready);
	rc = loop_open(loop);
	if (rc < 0) {
		loop_free(loop);
		return rc;
	}
	*ret_loop = loop;
	return 0;
}

/* Answers all calls that wait, and all that come, with -ESHUTDOWN. */
static void messages_end(struct loop *loop)
{
	struct list *node;

	pthread_mutex_lock(&loop->message_lock);
	loop->ended = true;
	while ((node = list_first(&loop->messages))) {
		struct loop_message *message = container_of(node, struct loop_message, node);

		list_remove(node);
		message->result = -ESHUTDOWN;
		sem_post(&message->done);
	}
	pthread_mutex_unlock(&loop->message_lock);
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	messages_end(loop);
	while (!list_is_empty(&loop->deferred))
		list_remove(loop->deferred.next);
	while (!list_is_empty(&loop->last))
		list_remove(loop->last.next);
	while (!list_is_empty(&loop->lookouts))
		list_remove(loop->lookouts.next);
	fd_close(loop->message_watch.fd);
	fd_close(loop->epoll_fd);
	timers_done(&loop->timers);
	pthread_mutex_destroy(&loop->message_lock);
	free(loop->slots);
	free(loop);
	return NULL;
}

struct timers *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now_ns;
}

uint64_t loop_turn(const struct loop *loop)
{
	return loop->turn;
}

void loop_set_busy_poll(struct loop *loop, uint64_t limit_ns)
{
	busy_poll_init(&loop->busy_poll, limit_ns);
}

void loop_note_bytes(struct loop *loop, size_t bytes)
{
	busy_poll_note(&loop->busy_poll, bytes);
}

bool loop_carries_bulk(const struct loop *loop)
{
	return busy_poll_is_bulk(&loop->busy_poll);
}

void loop_watch_init(struct loop_watch *watch,
		     void (*ready)(struct loop_watch *watch, uint32_t events))
{
	*watch = (struct loop_watch){ .ready = ready, .fd = -1 };
}

static int slots_grow(struct loop *loop)
{
	uint32_t count = loop->slot_count == 0 ? SLOTS_FIRST : loop->slot_count * 2;
	struct watch_slot *slots = realloc(loop->slots, count * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = count; i > loop->slot_count; i--) {
		slots[i - 1] = (struct watch_slot){ .next_free = loop->first_free };
		loop->first_free = i - 1;
	}
	loop->slots = slots;
	loop->slot_count = count;
	return 0;
}

static int watch_control(struct loop *loop, int operation, uint32_t slot, int fd, uint32_t events)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)loop->slots[slot].generation << 32 | slot,
	};

	return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events)
{
	uint32_t slot;
	int rc;

	assert(watch->fd == -1);
	if (loop->first_free == SLOT_NONE) {
		rc = slots_grow(loop);
		if (rc < 0)
			return rc;
	}
	slot = loop->first_free;
	rc = watch_control(loop, EPOLL_CTL_ADD, slot, fd, events);
	if (rc < 0)
		return rc;
	loop->first_free = loop->slots[slot].next_free;
	loop->slots[slot].watch = watch;
	watch->fd = fd;
	watch->slot = slot;
	return 0;
}

int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	assert(watch->fd != -1 && loop->slots[watch->slot].watch == watch);
	return watch_control(loop, EPOLL_CTL_MOD, watch->slot, watch->fd, events);
}

void loop_watch_forget(struct loop *loop, struct loop_watch *watch)
{
	struct watch_slot *slot;

	if (watch->fd == -1)
		return;
	slot = &loop->slots[watch->slot];
	assert(slot->watch == watch);
	slot->watch = NULL;
	slot->generation++;
	slot->next_free = loop->first_free;
	loop->first_free = watch->slot;
	watch->fd = -1;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	int rc;

	if (watch->fd == -1)
		return;
	/* Fails only when the fd was closed first, or belongs to somebody else by now. */
	rc = watch_control(loop, EPOLL_CTL_DEL, watch->slot, watch->fd, 0);
	assert(rc == 0);
	loop_watch_forget(loop, watch);
}

void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *deferred))
{
	deferred->run = run;
	list_init(&deferred->node);
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	if (!list_is_linked(&deferred->node))
		list_append(&loop->deferred, &deferred->node);
}

void loop_defer_last(struct loop *loop, struct loop_deferred *deferred)
{
	if (!list_is_linked(&deferred->node))
		list_append(&loop->last, &deferred->node);
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
	list_remove(&deferred->node);
}

void loop_lookout_init(struct loop_lookout *lookout, const struct loop_lookout_ops *ops)
{
	lookout->ops = ops;
	list_init(&lookout->node);
}

void loop_lookout_add(struct loop *loop, struct loop_lookout *lookout)
{
	if (!list_is_linked(&lookout->node))
		list_append(&loop->lookouts, &lookout->node);
}

void loop_lookout_remove(struct loop_lookout *lookout)
{
	list_remove(&lookout->node);
}

static bool lookouts_see(struct loop *loop)
{
	list_for_each_safe(node, following, &loop->lookouts)
	{
		struct loop_lookout *lookout = container_of(node, struct loop_lookout, node);

		if (lookout->ops->sees(lookout))
			return true;
	}
	return false;
}

static void lookouts_act(struct loop *loop)
{
	list_for_each_safe(node, following, &loop->lookouts)
	{
		struct loop_lookout *lookout = container_of(node, struct loop_lookout, node);

		if (lookout->ops->sees(lookout))
			lookout->ops->act(lookout);
	}
}

/* All of them have to wake us up from now on; true: something came meanwhile. */
static bool lookouts_announce(struct loop *loop)
{
	bool came = false;

	list_for_each_safe(node, following, &loop->lookouts)
	{
		struct loop_lookout *lookout = container_of(node, struct loop_lookout, node);

		came = lookout->ops->announce(lookout) || came;
	}
	return came;
}

/* What the work itself defers to the same list is for the next batch: no endless loop. */
static void run_list(struct list *list)
{
	struct list pending;
	struct list *node;

	list_init(&pending);
	list_insert_before(list, &pending);
	list_remove(list); /* the ring now hangs from pending */
	while ((node = list_first(&pending))) {
		struct loop_deferred *deferred = container_of(node, struct loop_deferred, node);

		list_remove(node);
		deferred->run(deferred);
	}
}

static void run_ready(struct loop *loop, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t data = loop->events[i].data.u64;
		/* Looked up anew each time: a callback may grow the table. */
		const struct watch_slot *slot = &loop->slots[(uint32_t)data];

		if (slot->watch && slot->generation == (uint32_t)(data >> 32))
			slot->watch->ready(slot->watch, loop->events[i].events);
	}
}

/* In milliseconds, rounded up: waking before the deadline would only spin. */
static int wait_ms(struct loop *loop, int timeout_ms)
{
	uint64_t next_ns = timers_next(&loop->timers);
	uint64_t now_ns;
	uint64_t wait_ns;
	int timer_ms;

	if (timeout_ms == 0 || !list_is_empty(&loop->deferred) || !list_is_empty(&loop->last))
		return 0;
	if (next_ns == TIMER_UNSET)
		return timeout_ms;
	now_ns = clock_now(loop->clock);
	wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
	if (wait_ns > WAIT_MOST_NS)
		wait_ns = WAIT_MOST_NS;
	timer_ms = (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
	return timeout_ms < 0 || timer_ms < timeout_ms ? timer_ms : timeout_ms;
}

/* How many, or negative errno. */
static int loop_events(struct loop *loop, int timeout_ms)
{
	int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_BATCH, timeout_ms);

	return count < 0 ? -errno : count;
}

/* Looks until something happens, a timer is due, or the time is over. Between two looks, the processor
 * is somebody else's who wants it. */
static int look_busily(struct loop *loop, uint64_t since_ns)
{
	uint64_t end_ns = since_ns + loop->busy_poll.limit_ns;
	uint64_t next_ns = timers_next(&loop->timers);
	int count = loop_events(loop, 0);

	if (next_ns < end_ns)
		end_ns = next_ns;
	while (count == 0 && !lookouts_see(loop) && clock_now(loop->clock) < end_ns) {
		(void)sched_yield(); /* cannot fail on Linux */
		if (!lookouts_see(loop))
			count = loop_events(loop, 0);
	}
	return count;
}

/* The lookouts saw something: most likely it is all that there is to do. But whoever is announced by
 * epoll waits for one batch at most, and not at all beside bulk. */
static bool skips_events(struct loop *loop)
{
	loop->skipped_events = !loop->skipped_events && !busy_poll_is_bulk(&loop->busy_poll);
	return loop->skipped_events;
}

/* What loop_events() answers; loop->now_ns is the time after it. */
static int loop_wait(struct loop *loop, int timeout_ms)
{
	int wait = wait_ms(loop, timeout_ms);
	bool looks = false;
	uint64_t start_ns;
	int count = 0;

	if (wait != 0 && lookouts_see(loop)) {
		wait = 0;
		if (skips_events(loop)) {
			loop->now_ns = clock_now(loop->clock);
			return 0;
		}
	}
	loop->skipped_events = false;
	if (wait == 0) {
		count = loop_events(loop, 0);
		loop->now_ns = clock_now(loop->clock);
		return count;
	}
	start_ns = clock_now(loop->clock);
	looks = busy_poll_pays(&loop->busy_poll); /* never where the limit is 0 */
	if (looks)
		count = look_busily(loop, start_ns);
	if (count == 0 && !lookouts_see(loop) && !lookouts_announce(loop))
		/* A timer is nearer than it was before the look. */
		count = loop_events(loop, looks ? wait_ms(loop, timeout_ms) : wait);
	loop->now_ns = clock_now(loop->clock);
	busy_poll_learn(&loop->busy_poll, loop->now_ns - start_ns, looks);
	return count;
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	int count = loop_wait(loop, timeout_ms);

	if (count < 0 && count != -EINTR)
		return count;
	atomic_store_explicit(&loop->thread, pthread_self(), memory_order_relaxed);
	loop->turn++;
	run_ready(loop, count);
	lookouts_act(loop);
	timers_run(&loop->timers, loop->now_ns);
	run_list(&loop->deferred);
	run_list(&loop->last);
	atomic_store_explicit(&loop->thread, (pthread_t)0, memory_order_relaxed);
	return 0;
}

int loop_run(struct loop *loop)
{
	int rc = 0;

	while (rc == 0 && !loop->stopping)
		rc = loop_run_once(loop, -1);
	messages_end(loop);
	return rc;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

static struct loop_message *message_take(struct loop *loop)
{
	struct loop_message *message = NULL;
	struct list *node;

	pthread_mutex_lock(&loop->message_lock);
	node = list_first(&loop->messages);
	if (node) {
		message = container_of(node, struct loop_message, node);
		list_remove(node);
	}
	pthread_mutex_unlock(&loop->message_lock);
	return message;
}

static void messages_ready(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = container_of(watch, struct loop, message_watch);
	struct loop_message *message;
	uint64_t counter;

	(void)events;
	/* Before the queue is emptied, so that a message which comes meanwhile wakes us again. */
	if (read(watch->fd, &counter, sizeof(counter)) < 0)
		assert(errno == EAGAIN);
	while ((message = message_take(loop))) {
		message->result = loop->stopping ? -ESHUTDOWN : 0;
		if (!loop->stopping)
			message->call(message->context);
		sem_post(&message->done);
	}
}

int loop_call(struct loop *loop, void (*call)(void *context), void *context)
{
	struct loop_message message = { .call = call, .context = context };
	uint64_t one = 1;

	assert(atomic_load_explicit(&loop->thread, memory_order_relaxed) != pthread_self());
	pthread_mutex_lock(&loop->message_lock);
	if (loop->ended) {
		pthread_mutex_unlock(&loop->message_lock);
		return -ESHUTDOWN;
	}
	sem_init(&message.done, 0, 0);
	list_append(&loop->messages, &message.node);
	/* Inside the lock: afterwards the loop may be gone. A full counter (EAGAIN) wakes too. */
	if (write(loop->message_watch.fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
	pthread_mutex_unlock(&loop->message_lock);
	while (sem_wait(&message.done) < 0)
		assert(errno == EINTR);
	sem_destroy(&message.done);
	return message.result;
}
