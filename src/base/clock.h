#pragma once
/* Time as the engine sees it: CLOCK_BOOTTIME (it goes on while the host sleeps), or a test's. */

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

struct clock {
	/* Nanoseconds since some start; never goes back. */
	uint64_t (*now_ns)(const struct clock *clock);
};

extern const struct clock clock_boottime;

static inline uint64_t clock_now(const struct clock *clock)
{
	return clock->now_ns(clock);
}
