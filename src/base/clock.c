#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t boottime_now_ns(const struct clock *clock)
{
	struct timespec now;
	int rc = clock_gettime(CLOCK_BOOTTIME, &now);

	(void)clock;
	assert(rc == 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

const struct clock clock_boottime = { .now_ns = boottime_now_ns };
