#pragma once
/*
 * Rules that changed, and the flows that are there.
 *
 * When the rules change, no flow is looked at: the review gets another number, however many flows there
 * are. Each flow knows the number of the review that it passed last. Whoever is about to move something for
 * a flow compares the two, and asks the rules where they differ (tcp_review_passes(),
 * udp_review_passes()): from the moment on that a rule is in force, no byte passes that it forbids.
 *
 * Both sides are to hear of the end as well, also of a flow that says nothing. That costs two system calls
 * and a frame for each, so a sweep goes through the tables, one slice in a turn of the loop, and
 * whatever else has an event gets its turn in between: what may go on is kept waiting by one slice at
 * most. A port that is full is waited for, so that its guest hears the RST, but not for long.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "loop/loop.h"

struct nat;

enum review_stage {
	REVIEW_TCP,
	REVIEW_UDP,
	REVIEW_DONE,
};

struct review {
	struct nat *nat;
	uint32_t number;
	bool narrower; /* less of the host is open than when the oldest flow was looked at */
	enum review_stage stage;
	uint32_t next; /* entry of the stage's table */
	uint32_t credit;
	struct timer timer;
	uint64_t patient_until_ns;
	uint32_t awaited; /* the port that the sweep waits for; FRAME_PORT_NONE */
	bool *is_stuck;	  /* [port_capacity]: it was waited for in vain */
};

/* What a slice may cost. To look is a look at memory that is not in the cache, and at the rules; to end is some
 * 15 us of system calls (docs/performance.md): 2 ms either way. */
#define REVIEW_CREDIT	  4096
#define REVIEW_LOOK_COSTS 1
#define REVIEW_END_COSTS  32
/* For a port that moves nothing; and for all of them together, however slowly they move. */
#define REVIEW_WAIT_NS	   (200 * NS_PER_MS)
#define REVIEW_PATIENCE_NS (10 * NS_PER_S)

int review_init(struct nat *nat) MUST_USE;
void review_done(struct nat *nat);

/* The rules are others now. */
void review_begin(struct nat *nat, bool narrower);
bool review_is_over(const struct nat *nat);
void review_port_ready(struct nat *nat, uint32_t port);

/* For the sweep of a table. False: the slice is used up. */
bool review_look(struct review *review) MUST_USE;
void review_charge_end(struct review *review);
/* False: the port has no room for a frame about an end, and is worth waiting for; the slice is over. */
bool review_has_room(struct review *review, uint32_t port) MUST_USE;
