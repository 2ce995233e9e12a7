#pragma once
/*
 * What stands at one end of a byte stream: what it has to say, what it expects to hear, and how
 * fast it does both. Bytes are a function of a seed and a position, so that both ends, and every
 * retransmission, are checked without being stored. Used by the guest's TCP and by the peers of
 * host sockets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rig/rig_time.h"

#define RIG_NEVER UINT64_MAX

enum rig_app_end {
	RIG_APP_END_AFTER_SENT,	 /* half close as soon as all is said */
	RIG_APP_END_AFTER_HEARD, /* ... and the other side has ended, too */
	RIG_APP_END_NEVER,
};

struct rig_app_plan {
	uint64_t send_seed;
	uint64_t send_size;
	uint64_t expect_seed;
	uint64_t expect_size; /* RIG_NEVER = whatever comes */
	bool echo;	      /* says what it heard, instead of send_size */
	enum rig_app_end end;
	/* Each interval it says and reads so much more; 0 = no limit. */
	uint64_t interval_ns;
	uint64_t send_chunk;
	uint64_t read_chunk;
	/* RST once so much was heard or said (RIG_NEVER or 0 = never). */
	uint64_t reset_after_heard;
	uint64_t reset_after_sent;
};

struct rig_app {
	struct rig_app_plan plan;
	struct rig_time *time;
	struct timer pace;
	/* The transport's: something more may be sent or read. */
	void (*kick)(struct rig_app *app);
	uint64_t ready;	    /* bytes it wants said by now */
	uint64_t sent;	    /* bytes that the transport has sent at least once */
	uint64_t allowance; /* bytes it will read now */
	uint64_t heard;
	bool heard_end;
	bool heard_reset;
	bool mismatch;
	uint64_t mismatch_at;
};

void rig_app_init(struct rig_app *app, struct rig_time *time, const struct rig_app_plan *plan,
		  void (*kick)(struct rig_app *app));
/* The connection is there. */
void rig_app_start(struct rig_app *app);
void rig_app_done(struct rig_app *app);

/* Bytes of its stream at a position. */
void rig_app_fill(const struct rig_app *app, uint64_t position, void *ret_bytes, size_t size);
/* Compares what arrived for a position, in any order and as often as it comes. */
void rig_app_check(struct rig_app *app, uint64_t position, const void *bytes, size_t size);
/* How many of `waiting` bytes in order it reads now. */
uint64_t rig_app_read(struct rig_app *app, uint64_t waiting);
/* With `sent` bytes said it wants the stream's end sent now. */
bool rig_app_wants_end(const struct rig_app *app, uint64_t sent);
bool rig_app_wants_reset(const struct rig_app *app);
/* Heard exactly what was expected, and the end of it. */
bool rig_app_is_content(const struct rig_app *app);

void rig_pattern(uint64_t seed, uint64_t position, uint8_t *ret_bytes, size_t size);
