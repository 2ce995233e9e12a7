#pragma once
/*
 * The event loop of one engine thread: epoll, timers, and messages from other threads. One batch:
 * read the time once, run what is ready, run due timers, then the deferred work (flushes), then
 * wait again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/list.h"
#include "loop/timer.h"

struct loop;

/* Embedded in its owner. */
struct loop_watch {
	/* events: EPOLLIN and so on. The owner may remove or free any watch, also this one. */
	void (*ready)(struct loop_watch *watch, uint32_t events);
	int fd; /* -1 while not added */
	uint32_t slot;
};

/* Runs once at the end of the batch in which it was scheduled. */
struct loop_deferred {
	void (*run)(struct loop_deferred *deferred);
	struct list node;
};

/* 0 or negative errno. clock is borrowed. */
int loop_new(const struct clock *clock, struct loop **ret_loop) MUST_USE;
struct loop *loop_free(struct loop *loop);

struct timers *loop_timers(struct loop *loop);
/* The time of the running batch. */
uint64_t loop_now(const struct loop *loop);

/* Which batch that is; never the same number again. */
uint64_t loop_turn(const struct loop *loop);

/* Before a wait goes to sleep it may look for up to limit_ns, where that pays (loop/busy_poll.h). 0,
 * which a new loop has: never. Not with a clock that stands still. */
void loop_set_busy_poll(struct loop *loop, uint64_t limit_ns);
/* So many bytes were carried in the running batch: what tells bulk from questions and answers. */
void loop_note_bytes(struct loop *loop, size_t bytes);
/* Was it much lately? */
bool loop_carries_bulk(const struct loop *loop);

void loop_watch_init(struct loop_watch *watch,
		     void (*ready)(struct loop_watch *watch, uint32_t events));
/* events as for epoll_ctl, EPOLLET where wanted. 0 or negative errno. fd is borrowed. */
int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events) MUST_USE;
int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events) MUST_USE;
/* Before the fd is closed. Events of the same batch for it are not delivered any more. Does
 * nothing for a watch that is not added. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);
/* The same without a system call, where the fd is closed next and nobody else has a copy of it that
 * lasts: the kernel then forgets it by itself. Events of a copy that a forked child still has are
 * dropped by their generation. */
void loop_watch_forget(struct loop *loop, struct loop_watch *watch);

void loop_deferred_init(struct loop_deferred *deferred,
			void (*run)(struct loop_deferred *deferred));
/* Scheduling twice is scheduling once. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/* The same, after all that loop_defer() has for the batch: for what collects the results of that work. */
void loop_defer_last(struct loop *loop, struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred);

/*
 * What need not wake the loop up while it is awake, for the loop sees it without a system call: memory
 * that is shared with a guest. Looked at in each batch and before each wait. Embedded in its owner.
 */
struct loop_lookout {
	const struct loop_lookout_ops *ops;
	struct list node;
};

struct loop_lookout_ops {
	/* Is there something to do? Changes nothing. */
	bool (*sees)(struct loop_lookout *lookout);
	/* Does it, or as much of it as one batch should have. */
	void (*act)(struct loop_lookout *lookout);
	/* The loop goes to sleep: from now on it has to be woken up (by a watch of the owner's). True:
	 * something came meanwhile. */
	bool (*announce)(struct loop_lookout *lookout);
};

void loop_lookout_init(struct loop_lookout *lookout, const struct loop_lookout_ops *ops);
/* Not from within one of its operations. Removing one that is not added does nothing. */
void loop_lookout_add(struct loop *loop, struct loop_lookout *lookout);
void loop_lookout_remove(struct loop_lookout *lookout);

/*
 * One batch; waits at most timeout_ms (-1 = until something happens, 0 = not at all). Returns 0, or
 * negative errno where epoll itself failed.
 */
int loop_run_once(struct loop *loop, int timeout_ms) MUST_USE;
/* Until loop_stop(). */
int loop_run(struct loop *loop) MUST_USE;
/* From inside the loop's thread. */
void loop_stop(struct loop *loop);

/*
 * From any other thread: runs `call` in the loop's thread and waits until it has returned. Must not
 * be called from the loop's own thread, nor after loop_run() returned (answers -ESHUTDOWN then; the
 * switch is safe: a call that is already queued when the loop ends answers -ESHUTDOWN too).
 */
int loop_call(struct loop *loop, void (*call)(void *context), void *context) MUST_USE;
