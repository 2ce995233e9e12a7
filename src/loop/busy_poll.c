#include "loop/busy_poll.h"

/* One long wait costs half of what was learned, so that looking goes on only where most waits are
 * short; four short ones in a row begin it. */
#define CONFIDENCE_MOST	  16
#define CONFIDENCE_ENOUGH 4

/* Less than this lately is questions and answers; a super-frame is more. In the long run that is 2 KiB a
 * wait: each forgets an eighth. */
#define BULK_BYTES (16U << 10)
/* Not at once: the acknowledgements between two super-frames belong to the bulk. */
#define FADE_SHIFT 3

void busy_poll_init(struct busy_poll *poll, uint64_t limit_ns)
{
	*poll = (struct busy_poll){ .limit_ns = limit_ns };
}

bool busy_poll_is_bulk(const struct busy_poll *poll)
{
	return poll->recent_bytes >= BULK_BYTES;
}

bool busy_poll_pays(struct busy_poll *poll)
{
	bool is_bulk = busy_poll_is_bulk(poll);

	poll->recent_bytes -= poll->recent_bytes >> FADE_SHIFT;
	return !is_bulk && poll->limit_ns > 0 && poll->confidence >= CONFIDENCE_ENOUGH;
}

void busy_poll_learn(struct busy_poll *poll, uint64_t waited_ns, bool looked)
{
	/* A wait that slept is as long as the waking-up, which looking would have saved. */
	uint64_t short_ns = looked ? poll->limit_ns : 2 * poll->limit_ns;

	if (waited_ns > short_ns)
		poll->confidence /= 2;
	else if (poll->confidence < CONFIDENCE_MOST)
		poll->confidence++;
}
