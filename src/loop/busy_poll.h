#pragma once
/*
 * Whether a wait of the loop should first look again and again for a short time, instead of going to
 * sleep at once. Waking a sleeping processor takes longer than all the work on a short question and
 * its answer; a virtual one takes tens of microseconds. So the loop looks busily where its last waits
 * were short ones, and only while little is carried: a bulk flow keeps the loop busy by itself, and its
 * sender and receiver want the processors.
 *
 * Pure arithmetic: the loop does the looking.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct busy_poll {
	uint64_t limit_ns; /* how long to look; 0 = never */
	unsigned confidence;
	size_t recent_bytes; /* carried lately, fading out by the wait */
};

void busy_poll_init(struct busy_poll *poll, uint64_t limit_ns);

/* More than this is not remembered: bulk is over a dozen waits after its last frame, however much it was. */
#define BUSY_POLL_BYTES_MOST ((size_t)64 << 10)

/* So many bytes were carried. */
static inline void busy_poll_note(struct busy_poll *poll, size_t bytes)
{
	poll->recent_bytes += bytes;
	if (poll->recent_bytes > BUSY_POLL_BYTES_MOST)
		poll->recent_bytes = BUSY_POLL_BYTES_MOST;
}

/* Was much carried lately? */
bool busy_poll_is_bulk(const struct busy_poll *poll);

/* Once before each wait. */
bool busy_poll_pays(struct busy_poll *poll);

/* After the wait: how long it took until something happened, and whether it began by looking. */
void busy_poll_learn(struct busy_poll *poll, uint64_t waited_ns, bool looked);
