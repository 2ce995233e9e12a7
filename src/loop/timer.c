#include "loop/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SLOT_NONE UINT32_MAX
/* heap_slot of a timer that waits in `late`; its place there is in the other bits. */
#define SLOT_LATE UINT32_C(0x80000000)

#define CAPACITY_MAX   UINT32_C(0x40000000)
#define CAPACITY_FIRST 16

int timers_init(struct timers *timers, uint32_t capacity)
{
	*timers = (struct timers){ .heap = NULL };
	return timers_reserve(timers, capacity < CAPACITY_FIRST ? CAPACITY_FIRST : capacity);
}

void timers_done(struct timers *timers)
{
	free(timers->heap);
	free(timers->late);
	*timers = (struct timers){ .heap = NULL };
}

int timers_reserve(struct timers *timers, uint32_t capacity)
{
	struct timer **heap;
	struct timer **late;

	if (capacity <= timers->capacity)
		return 0;
	if (capacity > CAPACITY_MAX)
		return -ENOMEM;
	heap = realloc(timers->heap, capacity * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	late = realloc(timers->late, capacity * sizeof(*late));
	if (!late)
		return -ENOMEM;
	timers->late = late;
	timers->capacity = capacity;
	return 0;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer, uint64_t now_ns))
{
	*timer = (struct timer){
		.expired = expired,
		.deadline_ns = TIMER_UNSET,
		.heap_slot = SLOT_NONE,
	};
}

static void place(struct timers *timers, struct timer *timer, uint32_t slot)
{
	timers->heap[slot] = timer;
	timer->heap_slot = slot;
}

static void sift_up(struct timers *timers, struct timer *timer)
{
	uint32_t slot = timer->heap_slot;

	while (slot > 0) {
		uint32_t parent = (slot - 1) / 2;

		if (timers->heap[parent]->heap_ns <= timer->heap_ns)
			break;
		place(timers, timers->heap[parent], slot);
		slot = parent;
	}
	place(timers, timer, slot);
}

static void sift_down(struct timers *timers, struct timer *timer)
{
	uint32_t slot = timer->heap_slot;

	for (;;) {
		uint32_t child = 2 * slot + 1;

		if (child >= timers->used)
			break;
		if (child + 1 < timers->used &&
		    timers->heap[child + 1]->heap_ns < timers->heap[child]->heap_ns)
			child++;
		if (timer->heap_ns <= timers->heap[child]->heap_ns)
			break;
		place(timers, timers->heap[child], slot);
		slot = child;
	}
	place(timers, timer, slot);
}

static void heap_insert(struct timers *timers, struct timer *timer)
{
	timer->heap_ns = timer->deadline_ns;
	timer->heap_slot = timers->used++;
	sift_up(timers, timer);
}

static void heap_remove(struct timers *timers, struct timer *timer)
{
	struct timer *last = timers->heap[--timers->used];

	if (last != timer) {
		last->heap_slot = timer->heap_slot;
		sift_up(timers, last);
		sift_down(timers, last);
	}
	timer->heap_slot = SLOT_NONE;
}

static void late_remove(struct timers *timers, struct timer *timer)
{
	struct timer *last = timers->late[--timers->late_used];

	timers->late[timer->heap_slot & ~SLOT_LATE] = last;
	last->heap_slot = timer->heap_slot;
	timer->heap_slot = SLOT_NONE;
}

static void take_out(struct timers *timers, struct timer *timer)
{
	if (timer->heap_slot == SLOT_NONE)
		return;
	if (timer->heap_slot & SLOT_LATE)
		late_remove(timers, timer);
	else
		heap_remove(timers, timer);
}

static void make_room(struct timers *timers)
{
	int rc = 0;

	if (timers->used + timers->late_used == timers->capacity)
		rc = timers_reserve(timers, timers->capacity * 2);
	assert(rc == 0);
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
	bool is_late = timers->running && deadline_ns <= timers->running_ns;

	if (deadline_ns == TIMER_UNSET) {
		timer_clear(timers, timer);
		return;
	}
	/* The cheap case that the heap is made for: it stands earlier, and moves when that time
	 * comes. */
	if (!is_late && timer->heap_slot < SLOT_LATE && timer->heap_ns <= deadline_ns) {
		timer->deadline_ns = deadline_ns;
		return;
	}
	take_out(timers, timer);
	make_room(timers);
	timer->deadline_ns = deadline_ns;
	if (is_late) {
		timer->heap_slot = SLOT_LATE | timers->late_used;
		timers->late[timers->late_used++] = timer;
		return;
	}
	heap_insert(timers, timer);
}

void timer_clear(struct timers *timers, struct timer *timer)
{
	take_out(timers, timer);
	timer->deadline_ns = TIMER_UNSET;
}

uint64_t timers_next(const struct timers *timers)
{
	return timers->used > 0 ? timers->heap[0]->heap_ns : TIMER_UNSET;
}

size_t timers_run(struct timers *timers, uint64_t now_ns)
{
	size_t count = 0;

	assert(!timers->running);
	timers->running = true;
	timers->running_ns = now_ns;
	while (timers->used > 0 && timers->heap[0]->heap_ns <= now_ns) {
		struct timer *timer = timers->heap[0];

		/* Pushed on since: it goes to where it belongs, which also keeps the order of
		 * deadlines when it is due all the same. */
		if (timer->heap_ns < timer->deadline_ns) {
			timer->heap_ns = timer->deadline_ns;
			sift_down(timers, timer);
			continue;
		}
		timer_clear(timers, timer);
		count++;
		timer->expired(timer, now_ns);
	}
	timers->running = false;
	for (uint32_t i = 0; i < timers->late_used; i++)
		heap_insert(timers, timers->late[i]);
	timers->late_used = 0;
	return count;
}
