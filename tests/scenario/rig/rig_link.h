#pragma once
/*
 * One direction of a wire that loses, repeats, delays and mixes up frames, by a seed. A frame that
 * is not picked for reordering never overtakes another.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/random.h"
#include "rig/rig_time.h"

#define RIG_MILLION 1000000

struct rig_link_model {
	uint32_t loss; /* frames of a million */
	uint32_t duplicate;
	uint32_t reorder;
	uint64_t delay_ns;
	uint64_t reorder_ns;  /* at most so much later */
	uint64_t bytes_per_s; /* 0 = at once */
	uint64_t batch_ns;    /* frames arrive at multiples of this, in one turn of the loop */
	size_t room;	      /* bytes under way at most; 0 = any */
};

struct rig_link {
	struct rig_link_model model;
	struct rig_time *time;
	struct random *random;
	void (*deliver)(void *context, const uint8_t *bytes, size_t size);
	void (*drained)(void *context); /* may be NULL: a frame arrived, so there is room again */
	void *context;
	/* A test's own choice of what is lost; may be NULL. */
	bool (*lose)(void *lose_context, const uint8_t *bytes, size_t size);
	void *lose_context;
	struct list flying;
	size_t queued; /* bytes under way */
	uint64_t last_ns;
	uint64_t busy_ns; /* until when the wire is taken */
	bool frozen;	  /* nobody takes what arrives: it stays under way */
	uint64_t frames;
	uint64_t lost;
	uint64_t overflows; /* frames that came while there was no room */
};

void rig_link_init(struct rig_link *link, struct rig_time *time, struct random *random,
		   const struct rig_link_model *model);
void rig_link_done(struct rig_link *link);
/* Copies the bytes. */
void rig_link_push(struct rig_link *link, const uint8_t *bytes, size_t size);
/* Its reader stands still, as a suspended VMM does; and goes on, with all that waits in its order. */
void rig_link_freeze(struct rig_link *link);
void rig_link_thaw(struct rig_link *link);
/* SIZE_MAX without a limit. */
size_t rig_link_room(const struct rig_link *link);
