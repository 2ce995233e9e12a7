/*
 * Two timers per flow. `retransmit` repeats whatever the guest has not answered: SYN, data, FIN, or
 * the question whether its window is open again. `idle` ends what must not last, and asks a silent
 * guest whether it is still there.
 *
 * How long may a guest be silent? RFC 9293 3.8.3 (RFC 1122 4.2.3.5) has R2, after which a connection
 * with something unacknowledged ends: 100 s at least, and 5 minutes as the user timeout that is the
 * "global default" (3.9.1.1). A guest may be suspended while its VMM is snapshot, migrated or looked
 * at, and must find everything as it was, so it is 10 minutes here in both of these cases:
 *
 *     its port has room: what is sent and gets no answer is repeated RETRIES_MAX times
 *     its port is full, and the VMM takes nothing: repeating would only lose frames, so the flow is
 *     parked until the port moves. Looking once a STALL_CHECK_NS counts how long: the time that the
 *     whole host slept (the clock goes on) counts as one look.
 */
#include "nat/tcp_internal.h"

#include <errno.h>

#define TIMEOUT_MIN_NS	     (200 * NS_PER_MS)
#define TIMEOUT_MAX_NS	     (60 * NS_PER_S)
#define RETRIES_MAX	     17 /* from 200 ms on, 10.7 minutes */
#define STALL_CHECK_NS	     (30 * NS_PER_S)
#define STALL_CHECKS_MAX     20
#define SYN_ACK_RETRIES_MAX  5
#define FORWARD_SYN_FIRST_NS (250 * NS_PER_MS)
#define FORWARD_SYN_MOST_NS  NS_PER_S
#define KEEPALIVE_AFTER_NS   (7200 * NS_PER_S) /* RFC 9293 3.8.4 */
#define KEEPALIVE_EVERY_NS   (75 * NS_PER_S)
#define KEEPALIVE_PROBES     9

static uint64_t backed_off(const struct tcp_flow *flow)
{
	uint64_t delay_ns = flow->timeout_ns;
	uint64_t most_ns = TIMEOUT_MAX_NS;

	if (flow->phase == TCP_PHASE_SYN_SENT) {
		delay_ns = FORWARD_SYN_FIRST_NS;
		most_ns = FORWARD_SYN_MOST_NS;
	}
	for (uint8_t i = 0; i < flow->retries && delay_ns < most_ns; i++)
		delay_ns *= 2;
	return delay_ns < most_ns ? delay_ns : most_ns;
}

static void data_expired(struct tcp_flow *flow)
{
	if (tcp_send_is_quiet(flow)) {
		if (!tcp_send_has_something(flow) || tcp_window_usable(flow) > 0) {
			flow->retries = 0;
			tcp_flow_want_send(flow);
			return;
		}
		tcp_output_probe(flow);
		tcp_timer_restart(flow);
		return;
	}
	tcp_ack_timed_out(flow);
	tcp_timer_restart(flow);
	if (flow->send_window > 0)
		tcp_flow_want_send(flow);
	else
		(void)tcp_send_head(flow); /* it was in the window once */
}

/* Nothing is lost while the port's queue does not move: the guest stands still. */
static void stalled(struct tcp_flow *flow)
{
	struct nat *nat = tcp_flow_nat(flow);

	if (flow->stall_checks >= STALL_CHECKS_MAX) {
		nat_drop(nat, DROP_GUEST_STALLED);
		tcp_end_abort(flow);
		return;
	}
	flow->stall_checks++;
	list_remove(&flow->wait_node);
	list_append(&flow->table->parked, &flow->wait_node);
	timer_set(nat_timers(nat), &flow->retransmit, nat_now(nat) + STALL_CHECK_NS);
}

static void retransmit_expired(struct timer *timer, uint64_t now_ns)
{
	struct tcp_flow *flow = container_of(timer, struct tcp_flow, retransmit);
	const struct nat *nat = tcp_flow_nat(flow);
	bool is_syn_ack = flow->phase == TCP_PHASE_SYN_RECEIVED;

	(void)now_ns;
	if (!tcp_review_passes(flow))
		return;
	if (flow->phase == TCP_PHASE_OPEN &&
	    frame_sink_room(nat->context.to_guest, flow->port) == 0) {
		stalled(flow);
		return;
	}
	flow->stall_checks = 0;
	if (flow->retries >= (is_syn_ack ? SYN_ACK_RETRIES_MAX : RETRIES_MAX)) {
		tcp_open_tell(flow, -ETIMEDOUT);
		tcp_end_abort(flow);
		return;
	}
	flow->retries++;
	if (flow->phase == TCP_PHASE_OPEN) {
		data_expired(flow);
		return;
	}
	flow->measuring = false;
	tcp_output_syn(flow);
	tcp_timer_restart(flow);
}

static void keepalive_expired(struct tcp_flow *flow)
{
	if (!tcp_send_is_quiet(flow)) { /* retransmission asks already */
		tcp_timer_idle_in(flow, KEEPALIVE_AFTER_NS);
		return;
	}
	if (flow->probes >= KEEPALIVE_PROBES) {
		tcp_end_abort(flow);
		return;
	}
	/* The guest may wait for a far end that vanished: its own probes end here. */
	if (flow->probes == 0)
		host_call(tcp_flow_host(flow), keep_alive, &flow->socket);
	flow->probes++;
	tcp_output_probe(flow);
	tcp_timer_idle_in(flow, KEEPALIVE_EVERY_NS);
}

static void idle_expired(struct timer *timer, uint64_t now_ns)
{
	struct tcp_flow *flow = container_of(timer, struct tcp_flow, idle);

	(void)now_ns;
	switch (flow->phase) {
	case TCP_PHASE_OPEN:
		keepalive_expired(flow);
		break;
	case TCP_PHASE_SYN_SENT: /* the guest is down: design, "Port forwards" */
		nat_drop(tcp_flow_nat(flow), DROP_NO_FLOW);
		tcp_open_tell(flow, -ETIMEDOUT);
		tcp_end_silent(flow);
		break;
	case TCP_PHASE_CONNECTING:
	case TCP_PHASE_ORPHAN:
	case TCP_PHASE_TIME_WAIT:
		tcp_end_silent(flow);
		break;
	case TCP_PHASE_SYN_RECEIVED:
	case TCP_PHASE_FREE:
		break;
	}
}

void tcp_timer_init(struct tcp_flow *flow)
{
	timer_init(&flow->retransmit, retransmit_expired);
	timer_init(&flow->idle, idle_expired);
	flow->timeout_ns = TCP_TIMEOUT_INITIAL_NS;
}

void tcp_timer_restart(struct tcp_flow *flow)
{
	struct nat *nat = tcp_flow_nat(flow);

	timer_set(nat_timers(nat), &flow->retransmit, nat_now(nat) + backed_off(flow));
}

void tcp_timer_ensure(struct tcp_flow *flow)
{
	if (!timer_is_set(&flow->retransmit))
		tcp_timer_restart(flow);
}

void tcp_timer_stop(struct tcp_flow *flow)
{
	timer_clear(nat_timers(tcp_flow_nat(flow)), &flow->retransmit);
}

void tcp_timer_idle_in(struct tcp_flow *flow, uint64_t delay_ns)
{
	struct nat *nat = tcp_flow_nat(flow);

	timer_set(nat_timers(nat), &flow->idle, nat_now(nat) + delay_ns);
}

/* Whatever waits for an answer does so from now on. */
static void end_stall(struct tcp_flow *flow)
{
	if (flow->stall_checks == 0)
		return;
	flow->stall_checks = 0;
	if (timer_is_set(&flow->retransmit))
		tcp_timer_restart(flow);
}

void tcp_timer_port_ready(struct tcp_flow *flow)
{
	end_stall(flow);
}

void tcp_timer_guest_heard(struct tcp_flow *flow)
{
	flow->probes = 0;
	end_stall(flow);
	if (flow->phase == TCP_PHASE_OPEN)
		tcp_timer_idle_in(flow, KEEPALIVE_AFTER_NS);
}

void tcp_timer_measure(struct tcp_flow *flow, uint32_t sequence)
{
	if (flow->measuring)
		return;
	flow->measuring = true;
	flow->measured_sequence = sequence;
	flow->measured_since_ns = nat_now(tcp_flow_nat(flow));
}

/* RFC 6298 2 */
void tcp_timer_measured(struct tcp_flow *flow, uint32_t acknowledgement)
{
	uint64_t took_ns;

	if (!flow->measuring || tcp_seq_before(acknowledgement, flow->measured_sequence))
		return;
	flow->measuring = false;
	took_ns = nat_now(tcp_flow_nat(flow)) - flow->measured_since_ns;
	if (flow->smoothed_ns == 0) {
		flow->smoothed_ns = took_ns > 0 ? took_ns : 1;
		flow->variation_ns = took_ns / 2;
	} else {
		uint64_t apart_ns = took_ns > flow->smoothed_ns ? took_ns - flow->smoothed_ns
								: flow->smoothed_ns - took_ns;

		flow->variation_ns = (3 * flow->variation_ns + apart_ns) / 4;
		flow->smoothed_ns = (7 * flow->smoothed_ns + took_ns) / 8;
		if (flow->smoothed_ns == 0)
			flow->smoothed_ns = 1;
	}
	flow->timeout_ns = flow->smoothed_ns + 4 * flow->variation_ns;
	if (flow->timeout_ns < TIMEOUT_MIN_NS)
		flow->timeout_ns = TIMEOUT_MIN_NS;
	if (flow->timeout_ns > TIMEOUT_MAX_NS)
		flow->timeout_ns = TIMEOUT_MAX_NS;
}
