#include "rig/rig_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rig_flying {
	struct timer timer;
	struct list node;
	struct rig_link *link;
	size_t size;
	uint8_t bytes[];
};

void rig_link_init(struct rig_link *link, struct rig_time *time, struct random *random,
		   const struct rig_link_model *model)
{
	*link = (struct rig_link){ .model = *model, .time = time, .random = random };
	list_init(&link->flying);
}

static void rig_flying_free(struct rig_flying *flying)
{
	timer_clear(loop_timers(flying->link->time->loop), &flying->timer);
	list_remove(&flying->node);
	flying->link->queued -= flying->size;
	free(flying);
}

void rig_link_done(struct rig_link *link)
{
	if (!link->time)
		return;
	list_for_each_safe(node, next, &link->flying)
		rig_flying_free(container_of(node, struct rig_flying, node));
}

static void rig_flying_arrived(struct timer *timer, uint64_t now_ns)
{
	struct rig_flying *flying = container_of(timer, struct rig_flying, timer);
	struct rig_link *link = flying->link;

	(void)now_ns;
	if (link->frozen)
		return;
	list_remove(&flying->node);
	link->queued -= flying->size;
	link->time->activity++;
	link->deliver(link->context, flying->bytes, flying->size);
	free(flying);
	if (link->drained)
		link->drained(link->context);
}

static bool rig_link_chance(struct rig_link *link, uint32_t of_a_million)
{
	return of_a_million > 0 && random_below(link->random, RIG_MILLION) < of_a_million;
}

static uint64_t rig_link_arrival(struct rig_link *link, size_t size)
{
	uint64_t now_ns = link->time->now_ns;
	uint64_t arrival_ns;

	if (link->busy_ns < now_ns)
		link->busy_ns = now_ns;
	if (link->model.bytes_per_s > 0)
		link->busy_ns += size * NS_PER_S / link->model.bytes_per_s;
	arrival_ns = link->busy_ns + link->model.delay_ns;
	if (link->model.reorder_ns > 0 && rig_link_chance(link, link->model.reorder))
		return arrival_ns + random_below(link->random, (uint32_t)link->model.reorder_ns);
	if (link->model.batch_ns > 0)
		arrival_ns += link->model.batch_ns - 1 - (arrival_ns - 1) % link->model.batch_ns;
	else if (arrival_ns <= link->last_ns)
		arrival_ns = link->last_ns + 1;
	link->last_ns = arrival_ns;
	return arrival_ns;
}

static void rig_link_fly(struct rig_link *link, const uint8_t *bytes, size_t size)
{
	struct rig_flying *flying = malloc(sizeof(*flying) + size);

	assert(flying);
	flying->link = link;
	flying->size = size;
	memcpy(flying->bytes, bytes, size);
	timer_init(&flying->timer, rig_flying_arrived);
	list_init(&flying->node);
	list_append(&link->flying, &flying->node);
	link->queued += size;
	timer_set(loop_timers(link->time->loop), &flying->timer, rig_link_arrival(link, size));
}

void rig_link_push(struct rig_link *link, const uint8_t *bytes, size_t size)
{
	link->time->activity++;
	link->frames++;
	if (link->model.room > 0 && link->queued >= link->model.room) {
		link->overflows++;
		return;
	}
	if ((link->lose && link->lose(link->lose_context, bytes, size)) ||
	    rig_link_chance(link, link->model.loss)) {
		link->lost++;
		return;
	}
	rig_link_fly(link, bytes, size);
	if (rig_link_chance(link, link->model.duplicate))
		rig_link_fly(link, bytes, size);
}

void rig_link_freeze(struct rig_link *link)
{
	link->frozen = true;
}

void rig_link_thaw(struct rig_link *link)
{
	uint64_t arrival_ns = link->time->now_ns;

	link->frozen = false;
	list_for_each_safe(node, next, &link->flying)
	{
		struct rig_flying *flying = container_of(node, struct rig_flying, node);

		if (!timer_is_set(&flying->timer))
			timer_set(loop_timers(link->time->loop), &flying->timer, ++arrival_ns);
	}
	if (link->last_ns < arrival_ns)
		link->last_ns = arrival_ns;
}

size_t rig_link_room(const struct rig_link *link)
{
	if (link->model.room == 0)
		return SIZE_MAX;
	return link->queued < link->model.room ? link->model.room - link->queued : 0;
}
