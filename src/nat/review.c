#include "nat/review.h"

#include <errno.h>
#include <stdlib.h>

#include "nat/nat_internal.h"
#include "nat/tcp.h"
#include "nat/udp.h"

static void go_on(struct review *review, uint64_t delay_ns)
{
	struct nat *nat = review->nat;

	timer_set(nat_timers(nat), &review->timer, nat_now(nat) + delay_ns);
}

/* False: not at its end yet. */
static bool sweep_stage(struct review *review)
{
	struct nat *nat = review->nat;

	switch (review->stage) {
	case REVIEW_TCP:
		return tcp_review_slice(nat, &review->next);
	case REVIEW_UDP:
		return udp_review_slice(nat, &review->next);
	case REVIEW_DONE:
		break;
	}
	return true;
}

static void slice(struct timer *timer, uint64_t now_ns)
{
	struct review *review = container_of(timer, struct review, timer);

	(void)now_ns;
	if (review->awaited != FRAME_PORT_NONE)
		review->is_stuck[review->awaited] = true;
	review->awaited = FRAME_PORT_NONE;
	review->credit = REVIEW_CREDIT;
	while (review->stage != REVIEW_DONE && sweep_stage(review)) {
		review->stage++;
		review->next = 0;
	}
	if (review->stage == REVIEW_DONE)
		review->narrower = false;
	else
		go_on(review, review->awaited == FRAME_PORT_NONE ? 0 : REVIEW_WAIT_NS);
}

int review_init(struct nat *nat)
{
	struct review *review = &nat->review;

	*review = (struct review){
		.nat = nat,
		.stage = REVIEW_DONE,
		.awaited = FRAME_PORT_NONE,
		.is_stuck = calloc(nat->config.port_capacity, sizeof(bool)),
	};
	timer_init(&review->timer, slice);
	return review->is_stuck ? 0 : -ENOMEM;
}

void review_done(struct nat *nat)
{
	struct review *review = &nat->review;

	if (review->is_stuck)
		timer_clear(nat_timers(nat), &review->timer);
	free(review->is_stuck);
	review->is_stuck = NULL;
}

void review_begin(struct nat *nat, bool narrower)
{
	struct review *review = &nat->review;

	/* One that is under way begins anew: what it has not seen was not asked about the rules before
	 * these either, but only these count. */
	review->number++;
	review->narrower |= narrower;
	review->patient_until_ns = nat_now(nat) + REVIEW_PATIENCE_NS;
	review->stage = REVIEW_TCP;
	review->next = 0;
	review->awaited = FRAME_PORT_NONE;
	go_on(review, 0);
}

bool review_is_over(const struct nat *nat)
{
	return nat->review.stage == REVIEW_DONE;
}

void review_port_ready(struct nat *nat, uint32_t port)
{
	struct review *review = &nat->review;

	if (port < nat->config.port_capacity)
		review->is_stuck[port] = false;
	if (review->awaited != port || port == FRAME_PORT_NONE)
		return;
	review->awaited = FRAME_PORT_NONE;
	go_on(review, 0);
}

bool review_look(struct review *review)
{
	if (review->credit < REVIEW_LOOK_COSTS)
		return false;
	review->credit -= REVIEW_LOOK_COSTS;
	return true;
}

void review_charge_end(struct review *review)
{
	review->credit -= review->credit < REVIEW_END_COSTS ? review->credit : REVIEW_END_COSTS;
}

bool review_has_room(struct review *review, uint32_t port)
{
	const struct nat *nat = review->nat;

	if (port >= nat->config.port_capacity || review->is_stuck[port] ||
	    nat_now(nat) >= review->patient_until_ns ||
	    frame_sink_room(nat->context.to_guest, port) > 0)
		return true;
	review->awaited = port;
	return false;
}
