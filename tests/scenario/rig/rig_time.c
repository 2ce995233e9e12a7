#include "rig/rig_time.h"

#include <assert.h>

/* Not 0, so that a time which was never set is seen. */
#define RIG_START_NS (1000 * NS_PER_S)

static uint64_t rig_now(const struct clock *clock)
{
	/* First member. */
	return ((const struct rig_time *)(const void *)clock)->now_ns;
}

void rig_time_init(struct rig_time *time)
{
	*time = (struct rig_time){ .clock.now_ns = rig_now, .now_ns = RIG_START_NS };
	int rc = loop_new(&time->clock, &time->loop);
	assert(rc == 0);
	(void)rc;
}

void rig_time_done(struct rig_time *time)
{
	time->loop = loop_free(time->loop);
}

void rig_time_settle(struct rig_time *time)
{
	uint64_t before;
	uint32_t spins = 0;

	do {
		before = time->activity;
		int rc = loop_run_once(time->loop, 0);
		assert(rc == 0);
		(void)rc;
		time->batches++;
		spins++;
		assert(spins < RIG_SPIN_MAX);
	} while (time->activity != before || timers_next(loop_timers(time->loop)) <= time->now_ns);
}

bool rig_time_step(struct rig_time *time, uint64_t limit_ns)
{
	uint64_t next_ns = timers_next(loop_timers(time->loop));

	if (next_ns > limit_ns) {
		if (time->now_ns < limit_ns)
			time->now_ns = limit_ns;
		return false;
	}
	if (next_ns > time->now_ns)
		time->now_ns = next_ns;
	rig_time_settle(time);
	return true;
}

void rig_time_run(struct rig_time *time, uint64_t duration_ns)
{
	uint64_t limit_ns = time->now_ns + duration_ns;

	rig_time_settle(time);
	while (rig_time_step(time, limit_ns))
		;
}

bool rig_time_run_until(struct rig_time *time, rig_condition *condition, void *context,
			uint64_t duration_ns)
{
	uint64_t limit_ns = time->now_ns + duration_ns;

	rig_time_settle(time);
	while (!condition(context)) {
		if (!rig_time_step(time, limit_ns))
			return condition(context);
	}
	return true;
}

void rig_time_after(struct rig_time *time, struct timer *timer, uint64_t delay_ns)
{
	timer_set(loop_timers(time->loop), timer, time->now_ns + delay_ns);
}
