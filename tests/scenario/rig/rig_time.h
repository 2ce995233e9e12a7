#pragma once
/*
 * The rig's time: a clock that only the test moves, under a real loop. Everything that happens in a
 * scenario (a frame arrives, a peer reads) is a timer of that loop, so it happens inside a batch as
 * it would with real sockets, and a run depends on nothing but its seed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "loop/loop.h"

/* So many batches without time going on are a busy loop. */
#define RIG_SPIN_MAX 200000

struct rig_time {
	struct clock clock;
	uint64_t now_ns;
	struct loop *loop;
	/* Counts frames and calls to the host: while it goes up there is deferred work left. */
	uint64_t activity;
	uint64_t batches;
};

void rig_time_init(struct rig_time *time);
void rig_time_done(struct rig_time *time);

/* Runs what is due now, until nothing is. */
void rig_time_settle(struct rig_time *time);
/* Goes to the next timer and settles. False, with the clock at limit_ns, when there is none before
 * limit_ns. */
bool rig_time_step(struct rig_time *time, uint64_t limit_ns);
void rig_time_run(struct rig_time *time, uint64_t duration_ns);

typedef bool rig_condition(void *context);
/* False when it did not become true within duration_ns. */
bool rig_time_run_until(struct rig_time *time, rig_condition *condition, void *context,
			uint64_t duration_ns);

/* A timer of the rig, some time from now. */
void rig_time_after(struct rig_time *time, struct timer *timer, uint64_t delay_ns);
