/*
 * Acknowledgements from the guest (RFC 9293 3.10.7.4) and congestion control (RFC 5681, NewReno of
 * RFC 6582). The path to a guest is a queue in this process that tells its room, so loss is rare
 * and means a full queue further on: the congestion window starts wide open at what we keep per
 * flow, halves on loss and grows again as usual.
 */
#include "nat/tcp_internal.h"

#define DUPLICATES_FOR_LOSS 3

static uint32_t in_flight(const struct tcp_flow *flow)
{
	return flow->send_most - flow->send_unacknowledged;
}

static uint32_t half_of_flight(const struct tcp_flow *flow)
{
	uint32_t least = 2U * flow->mss;
	uint32_t half = in_flight(flow) / 2;

	return half > least ? half : least;
}

static void widen(struct tcp_flow *flow, uint32_t acknowledged)
{
	uint32_t window = flow->congestion_window;
	uint32_t by;

	if (window < flow->slow_start_threshold) {
		by = acknowledged; /* RFC 3465 with no limit: the queue is ours */
	} else {
		by = (uint32_t)((uint64_t)flow->mss * flow->mss / window);
		if (by == 0)
			by = 1;
	}
	window += by;
	flow->congestion_window = window < TCP_BACKLOG_CAPACITY ? window : TCP_BACKLOG_CAPACITY;
}

/* Alive. */
static bool begin_recovery(struct tcp_flow *flow)
{
	flow->recovering = true;
	flow->recover = flow->send_most;
	flow->slow_start_threshold = half_of_flight(flow);
	flow->congestion_window = flow->slow_start_threshold + DUPLICATES_FOR_LOSS * flow->mss;
	tcp_timer_restart(flow);
	return tcp_send_head(flow);
}

/* Alive. */
static bool duplicate(struct tcp_flow *flow)
{
	if (flow->duplicates < UINT8_MAX)
		flow->duplicates++;
	if (flow->recovering) {
		/* Each says that a segment has left the queue. */
		if (flow->congestion_window < TCP_BACKLOG_CAPACITY)
			flow->congestion_window += flow->mss;
		tcp_flow_want_send(flow);
		return true;
	}
	/* After a timeout, duplicates speak of what was sent before it (RFC 6582 4.1). */
	if (flow->duplicates != DUPLICATES_FOR_LOSS ||
	    tcp_seq_before(flow->send_unacknowledged, flow->recover))
		return true;
	return begin_recovery(flow);
}

/* Alive. */
static bool recover_further(struct tcp_flow *flow, uint32_t acknowledged)
{
	if (tcp_seq_after_equal(flow->send_unacknowledged, flow->recover)) {
		flow->recovering = false;
		flow->congestion_window = flow->slow_start_threshold;
		return true;
	}
	/* A partial acknowledgement: the next hole. */
	flow->congestion_window -=
		acknowledged < flow->congestion_window ? acknowledged : flow->congestion_window;
	flow->congestion_window += flow->mss;
	return tcp_send_head(flow);
}

/* Alive. */
static bool advance(struct tcp_flow *flow, uint32_t acknowledgement)
{
	struct tcp_backlog_source source = tcp_flow_source(flow);
	uint32_t acknowledged = acknowledgement - flow->send_unacknowledged;
	size_t bytes = acknowledged;

	if (bytes > tcp_backlog_size(&flow->backlog)) {
		bytes = tcp_backlog_size(&flow->backlog);
		flow->fin_acknowledged = true;
	}
	tcp_timer_measured(flow, acknowledgement);
	if (bytes > 0 && tcp_backlog_discard(&flow->backlog, &source, bytes) < 0) {
		tcp_end_abort(flow);
		return false;
	}
	flow->send_unacknowledged = acknowledgement;
	flow->send_next = tcp_seq_max(flow->send_next, acknowledgement);
	flow->duplicates = 0;
	flow->retries = 0;
	if (tcp_send_is_quiet(flow))
		tcp_timer_stop(flow);
	else
		tcp_timer_restart(flow);
	if (!flow->recovering)
		widen(flow, acknowledged);
	else if (!recover_further(flow, acknowledged))
		return false;
	tcp_table_feed_starved(flow->table);
	tcp_flow_want_send(flow);
	return !flow->fin_acknowledged || tcp_end_check(flow);
}

/*
 * True when the window is another than before. What acknowledges more than all before was sent
 * later than all before, also where it repeats old bytes: RFC 9293's test by sequence number alone
 * would keep an old window and count it from the new acknowledgement.
 */
static bool take_window(struct tcp_flow *flow, const struct tcp_header *header)
{
	uint32_t old_window = flow->send_window;

	if (!tcp_seq_after(header->acknowledgement, flow->send_unacknowledged) &&
	    !tcp_seq_before(flow->window_sequence, header->sequence) &&
	    (flow->window_sequence != header->sequence ||
	     tcp_seq_after(flow->window_acknowledgement, header->acknowledgement)))
		return false;
	flow->send_window = (uint32_t)header->window << flow->send_shift;
	flow->window_sequence = header->sequence;
	flow->window_acknowledgement = header->acknowledgement;
	if (flow->send_window > flow->send_window_most)
		flow->send_window_most = flow->send_window;
	return flow->send_window != old_window;
}

/* Neither of what was never sent nor far too old (RFC 5961 5.2). */
static bool is_acceptable(const struct tcp_flow *flow, uint32_t acknowledgement)
{
	if (tcp_seq_after(acknowledgement, flow->send_most))
		return false;
	return !tcp_seq_before(acknowledgement, flow->send_unacknowledged) ||
	       flow->send_unacknowledged - acknowledgement <= flow->send_window_most;
}

void tcp_ack_start(struct tcp_flow *flow)
{
	flow->congestion_window = TCP_BACKLOG_CAPACITY;
	flow->slow_start_threshold = TCP_BACKLOG_CAPACITY;
	flow->recover = flow->send_initial;
}

void tcp_ack_timed_out(struct tcp_flow *flow)
{
	if (flow->retries == 1) /* RFC 5681 3.1: not again for the same segment */
		flow->slow_start_threshold = half_of_flight(flow);
	flow->congestion_window = flow->mss;
	flow->recover = flow->send_most;
	flow->recovering = false;
	flow->duplicates = 0;
	flow->measuring = false;
	flow->send_next = flow->send_unacknowledged;
}

enum tcp_ack_result tcp_ack_process(struct tcp_flow *flow, const struct tcp_header *header,
				    uint32_t segment_size)
{
	uint32_t acknowledgement = header->acknowledgement;
	bool window_changed;

	if (!is_acceptable(flow, acknowledgement)) {
		nat_drop(tcp_flow_nat(flow), DROP_BAD_SEGMENT);
		tcp_output_challenge(flow);
		return TCP_ACK_BAD;
	}
	if (tcp_seq_before(acknowledgement, flow->send_unacknowledged))
		return TCP_ACK_GOOD;
	window_changed = take_window(flow, header);
	if (window_changed) {
		flow->retries = tcp_send_is_quiet(flow) ? 0 : flow->retries;
		tcp_flow_want_send(flow);
	}
	if (tcp_seq_after(acknowledgement, flow->send_unacknowledged))
		return advance(flow, acknowledgement) ? TCP_ACK_GOOD : TCP_ACK_ENDED;
	if (tcp_send_is_quiet(flow) || flow->send_window == 0)
		flow->retries = 0; /* the guest answers: it is there, only not ready */
	if (segment_size == 0 && !window_changed && !tcp_send_is_quiet(flow) && !duplicate(flow))
		return TCP_ACK_ENDED;
	return TCP_ACK_GOOD;
}
