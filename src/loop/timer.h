#pragma once
/*
 * Timers on one heap, for thousands of flows: setting a timer later than it stands costs nothing
 * (the heap is put right when the old deadline comes), so a keepalive may be pushed on with every
 * segment.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define TIMER_UNSET UINT64_MAX

struct timer {
	/* Called with the timer unset; it may set it again, or free its owner. */
	void (*expired)(struct timer *timer, uint64_t now_ns);
	uint64_t deadline_ns; /* TIMER_UNSET = not running */
	uint64_t heap_ns;     /* where it stands in the heap; at most deadline_ns */
	uint32_t heap_slot;   /* UINT32_MAX = not in the heap */
};

struct timers {
	struct timer **heap;
	uint32_t used;
	uint32_t capacity; /* of heap, and of late; at least used + late_used */
	/* During timers_run: timers set to a time already past, for the next call. */
	struct timer **late;
	uint32_t late_used;
	bool running;
	uint64_t running_ns;
};

/* Room for `capacity` timers at once, taken now: timer_set never allocates within it. */
int timers_init(struct timers *timers, uint32_t capacity) MUST_USE;
void timers_done(struct timers *timers);
/* More room; 0 or -ENOMEM. */
int timers_reserve(struct timers *timers, uint32_t capacity) MUST_USE;

void timer_init(struct timer *timer, void (*expired)(struct timer *timer, uint64_t now_ns));
/* Grows the heap when its capacity is reached (amortised) and asserts that it could. A deadline of
 * TIMER_UNSET clears the timer. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns);
void timer_clear(struct timers *timers, struct timer *timer);
static inline bool timer_is_set(const struct timer *timer)
{
	return timer->deadline_ns != TIMER_UNSET;
}

/* When the next timer may be due, TIMER_UNSET when none: never late, possibly early. */
uint64_t timers_next(const struct timers *timers);
/* Calls every timer that is due at now_ns; those that are set by a callback to a time already past
 * run in the next call (no endless loop). In the order of the deadlines; not to be called from a
 * callback. Returns how many ran. */
size_t timers_run(struct timers *timers, uint64_t now_ns);
