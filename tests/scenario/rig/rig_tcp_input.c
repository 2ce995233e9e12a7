#include "rig/rig_tcp_internal.h"

#define RIG_TCP_ACK_EVERY 2

void rig_tcp_observe(struct rig_tcp *tcp, const struct tcp_header *header, size_t size)
{
	uint32_t window = header->window;
	uint32_t edge;

	(void)size;
	if (header->flags & TCP_RST)
		return;
	if (header->flags & TCP_SYN)
		tcp->edge_shift = header->has_window_scale && tcp->options.window_scale >= 0
					  ? header->window_scale
					  : 0;
	else
		window <<= tcp->edge_shift;
	if (!(header->flags & TCP_ACK))
		return;
	edge = header->acknowledgement + window;
	if (tcp->edge_seen && tcp_seq_before(edge, tcp->edge))
		rig_tcp_fault(tcp, "window edge moved left");
	tcp->edge = tcp->edge_seen ? tcp_seq_max(edge, tcp->edge) : edge;
	tcp->edge_seen = true;
}

static void rig_tcp_input_syn_sent(struct rig_tcp *tcp, const struct tcp_header *header)
{
	bool acks = (header->flags & TCP_ACK) != 0;

	if (acks && header->acknowledgement != tcp->initial + 1) {
		if (!(header->flags & TCP_RST))
			rig_guest_send_reset(tcp->guest, &tcp->local, &tcp->remote,
					     header->acknowledgement);
		return;
	}
	if (header->flags & TCP_RST) {
		if (acks)
			rig_tcp_end(tcp, RIG_TCP_RESET);
		return;
	}
	if (!(header->flags & TCP_SYN))
		return;
	rig_tcp_take_syn(tcp, header);
	if (!acks) { /* both at once */
		tcp->state = RIG_TCP_SYN_RECEIVED;
		rig_tcp_send_syn(tcp);
		return;
	}
	tcp->send_unacknowledged = header->acknowledgement;
	rig_tcp_restart_timer(tcp);
	rig_tcp_start_stream(tcp);
	rig_tcp_send_ack(tcp);
	rig_tcp_send(tcp);
}

/* RFC 9293 3.10.7.4, first step. */
static bool rig_tcp_is_acceptable(const struct rig_tcp *tcp, uint32_t sequence, uint32_t size)
{
	uint32_t window = tcp->receive_edge - tcp->receive_next;

	if (window == 0)
		return size == 0 && sequence == tcp->receive_next;
	if (size == 0)
		return tcp_seq_in(sequence, tcp->receive_next, tcp->receive_edge);
	return tcp_seq_in(sequence, tcp->receive_next, tcp->receive_edge) ||
	       tcp_seq_in(sequence + size - 1, tcp->receive_next, tcp->receive_edge);
}

static void rig_tcp_input_reset(struct rig_tcp *tcp, uint32_t sequence)
{
	if (tcp->fin_acknowledged && rig_tcp_has_fin(tcp))
		return; /* TIME-WAIT, whether or not the app has read all: RFC 1337 */
	if (sequence == tcp->receive_next)
		rig_tcp_end(tcp, RIG_TCP_RESET);
	else if (tcp_seq_in(sequence, tcp->receive_next, tcp->receive_edge))
		rig_tcp_send_ack(tcp); /* RFC 5961 3.2 */
}

static void rig_tcp_measured(struct rig_tcp *tcp)
{
	uint64_t took_ns;

	if (!tcp->measuring || tcp_seq_before(tcp->send_unacknowledged, tcp->measured_sequence))
		return;
	tcp->measuring = false;
	took_ns = tcp->app.time->now_ns - tcp->measured_since_ns;
	tcp->round_trip_ns =
		tcp->round_trip_ns == 0 ? took_ns : (7 * tcp->round_trip_ns + took_ns) / 8;
}

static void rig_tcp_acked(struct rig_tcp *tcp, uint32_t acknowledgement)
{
	tcp->send_unacknowledged = acknowledgement;
	tcp->send_next = tcp_seq_max(tcp->send_next, acknowledgement);
	tcp->timeouts = 0;
	tcp->duplicates = 0;
	rig_tcp_measured(tcp);
	if (tcp->recovering && tcp_seq_before(acknowledgement, tcp->recover)) {
		rig_tcp_send_head(tcp); /* RFC 6582: a partial acknowledgement */
	} else if (tcp->recovering) {
		tcp->recovering = false;
		tcp->congestion_window = tcp->threshold;
	} else if (tcp->congestion_window < tcp->threshold) {
		tcp->congestion_window += tcp->send_mss;
	} else {
		tcp->congestion_window +=
			(uint32_t)tcp->send_mss * tcp->send_mss / tcp->congestion_window + 1;
	}
	rig_tcp_restart_timer(tcp);
	if (tcp->fin_sent && acknowledgement == tcp->send_most)
		tcp->fin_acknowledged = true;
}

static void rig_tcp_duplicate(struct rig_tcp *tcp)
{
	if (++tcp->duplicates != 3 || tcp->recovering)
		return;
	uint32_t flight = tcp->send_most - tcp->send_unacknowledged;
	tcp->threshold = flight / 2 > 2U * tcp->send_mss ? flight / 2 : 2U * tcp->send_mss;
	tcp->congestion_window = tcp->threshold;
	tcp->recovering = true;
	tcp->recover = tcp->send_most;
	rig_tcp_send_head(tcp);
}

/* False: the segment is to be dropped. */
static bool rig_tcp_input_ack(struct rig_tcp *tcp, const struct tcp_header *header, size_t size)
{
	uint32_t acknowledgement = header->acknowledgement;
	uint32_t window = (uint32_t)header->window << tcp->send_shift;
	bool same_window = window == tcp->send_window;

	if (tcp_seq_after(acknowledgement, tcp->send_most)) {
		rig_tcp_fault(tcp, "acknowledges what was never sent");
		rig_tcp_send_ack(tcp);
		return false;
	}
	if (tcp_seq_before_equal(tcp->window_sequence, header->sequence) &&
	    tcp_seq_before_equal(tcp->send_unacknowledged, acknowledgement) &&
	    (tcp_seq_before(tcp->window_sequence, header->sequence) ||
	     tcp_seq_before_equal(tcp->window_acknowledgement, acknowledgement))) {
		tcp->send_window = window;
		tcp->window_sequence = header->sequence;
		tcp->window_acknowledgement = acknowledgement;
		if (window > tcp->send_window_most)
			tcp->send_window_most = window;
	}
	if (tcp_seq_after(acknowledgement, tcp->send_unacknowledged))
		rig_tcp_acked(tcp, acknowledgement);
	else if (acknowledgement == tcp->send_unacknowledged &&
		 tcp->send_most == tcp->send_unacknowledged)
		tcp->timeouts = 0; /* an answer to a probe */
	else if (acknowledgement == tcp->send_unacknowledged && size == 0 && same_window &&
		 !(header->flags & TCP_FIN))
		rig_tcp_duplicate(tcp);
	return true;
}

/* Out of order: remembers the range. False when it is not kept. */
static bool rig_tcp_keep(struct rig_tcp *tcp, uint32_t start, uint32_t end)
{
	if (tcp->options.drop_out_of_order)
		return false;
	for (uint32_t i = 0; i < tcp->range_count; i++) {
		struct rig_tcp_range *range = &tcp->range[i];

		if (tcp_seq_after(start, range->end) || tcp_seq_before(end, range->start))
			continue;
		range->start = tcp_seq_min(range->start, start);
		range->end = tcp_seq_max(range->end, end);
		return true;
	}
	if (tcp->range_count == RIG_TCP_RANGES)
		return false;
	tcp->range[tcp->range_count++] = (struct rig_tcp_range){ start, end };
	return true;
}

static void rig_tcp_advance(struct rig_tcp *tcp, uint32_t end)
{
	bool moved = true;

	while (moved) {
		moved = false;
		tcp->unread += end - tcp->receive_next;
		tcp->receive_next = end;
		for (uint32_t i = 0; i < tcp->range_count;) {
			struct rig_tcp_range range = tcp->range[i];

			if (tcp_seq_after(range.start, tcp->receive_next)) {
				i++;
				continue;
			}
			tcp->range[i] = tcp->range[--tcp->range_count];
			if (tcp_seq_after(range.end, end)) {
				end = range.end;
				moved = true;
			}
		}
	}
}

/* True when it was taken in order. */
static bool rig_tcp_input_data(struct rig_tcp *tcp, const struct tcp_header *header,
			       const uint8_t *payload, size_t size)
{
	uint32_t sequence = header->sequence;
	uint32_t end = sequence + (uint32_t)size;

	rig_app_check(&tcp->app, rig_tcp_position(sequence, tcp->receive_initial), payload, size);
	if (size > (tcp->options.mss > 0 ? tcp->options.mss : TCP_MSS_DEFAULT_V4))
		rig_tcp_fault(tcp, "segment larger than the MSS");
	if (tcp_seq_after(end, tcp->receive_edge)) {
		rig_tcp_fault(tcp, "data beyond the window");
		end = tcp->receive_edge;
	}
	if (tcp->fin_known && tcp_seq_after(end, tcp->fin_sequence))
		rig_tcp_fault(tcp, "data behind FIN");
	if (header->flags & TCP_FIN) {
		if (tcp->fin_known && tcp->fin_sequence != end)
			rig_tcp_fault(tcp, "FIN moved");
		if (tcp_seq_before_equal(sequence, tcp->receive_next) ||
		    !tcp->options.drop_out_of_order) {
			tcp->fin_known = true;
			tcp->fin_sequence = end;
		}
	}
	if (tcp_seq_after(sequence, tcp->receive_next)) {
		if (size > 0)
			(void)rig_tcp_keep(tcp, sequence, end);
		return false;
	}
	if (tcp_seq_after(end, tcp->receive_next))
		rig_tcp_advance(tcp, end);
	else if (size > 0)
		return false; /* seen before: acknowledge at once */
	return true;
}

static void rig_tcp_input_text(struct rig_tcp *tcp, const struct tcp_header *header,
			       const uint8_t *payload, size_t size)
{
	bool in_order;

	if (size == 0 && !(header->flags & TCP_FIN))
		return;
	in_order = rig_tcp_input_data(tcp, header, payload, size);
	tcp->ack_pending++;
	if (tcp->fin_known && tcp->receive_next == tcp->fin_sequence) {
		tcp->receive_next++;
		tcp->receive_edge = tcp_seq_max(tcp->receive_edge, tcp->receive_next);
		in_order = false;
	}
	rig_tcp_read(tcp);
	if (tcp->state != RIG_TCP_OPEN && tcp->state != RIG_TCP_FINISHED)
		return;
	if (tcp->ack_pending == 0)
		return;
	if (in_order && tcp->range_count == 0 && tcp->options.delay_acks &&
	    tcp->ack_pending < RIG_TCP_ACK_EVERY && tcp->state == RIG_TCP_OPEN)
		rig_time_after(tcp->app.time, &tcp->ack_timer, RIG_TCP_DELAYED_ACK_NS);
	else
		rig_tcp_send_ack(tcp);
}

static void rig_tcp_input_synchronised(struct rig_tcp *tcp, const struct tcp_header *header,
				       const uint8_t *payload, size_t size)
{
	uint32_t length = tcp_seq_size(header->flags, size);

	if (header->flags & TCP_RST) {
		rig_tcp_input_reset(tcp, header->sequence);
		return;
	}
	if (!rig_tcp_is_acceptable(tcp, header->sequence, length)) {
		if (size > 0 && tcp_seq_after(header->sequence + (uint32_t)size, tcp->receive_edge))
			rig_tcp_fault(tcp, "data beyond the window");
		rig_tcp_send_ack(tcp);
		return;
	}
	if (header->flags & TCP_SYN) { /* RFC 5961 4.2 */
		rig_tcp_send_ack(tcp);
		return;
	}
	if (!(header->flags & TCP_ACK))
		return;
	if (tcp->state == RIG_TCP_SYN_RECEIVED) {
		if (header->acknowledgement != tcp->initial + 1) {
			rig_guest_send_reset(tcp->guest, &tcp->local, &tcp->remote,
					     header->acknowledgement);
			return;
		}
		tcp->send_window = (uint32_t)header->window << tcp->send_shift;
		rig_tcp_start_stream(tcp);
	}
	if (!rig_tcp_input_ack(tcp, header, size))
		return;
	if (tcp->state == RIG_TCP_OPEN)
		rig_tcp_input_text(tcp, header, payload, size);
	rig_tcp_check_finished(tcp);
	rig_tcp_send(tcp);
}

void rig_tcp_input(struct rig_tcp *tcp, const struct ip_endpoint *from,
		   const struct tcp_header *header, const uint8_t *payload, size_t size)
{
	tcp->segments_heard++;
	switch (tcp->state) {
	case RIG_TCP_CLOSED:
		if ((header->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
			return;
		tcp->remote = *from;
		tcp->state = RIG_TCP_SYN_RECEIVED;
		rig_tcp_take_syn(tcp, header);
		rig_tcp_send_syn(tcp);
		break;
	case RIG_TCP_SYN_SENT:
		rig_tcp_input_syn_sent(tcp, header);
		break;
	case RIG_TCP_SYN_RECEIVED:
	case RIG_TCP_OPEN:
	case RIG_TCP_FINISHED:
		rig_tcp_input_synchronised(tcp, header, payload, size);
		break;
	case RIG_TCP_RESET:
	case RIG_TCP_TIMED_OUT:
		break;
	}
}
