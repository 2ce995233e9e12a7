/*
 * Segments from guests (RFC 9293 3.10.7, with the checks of RFC 5961): which are acceptable, in
 * which phase, and what they mean. What follows from them is in the other files.
 */
#include "nat/tcp_internal.h"

static void bad_segment(const struct tcp_flow *flow)
{
	nat_drop(tcp_flow_nat(flow), DROP_BAD_SEGMENT);
}

/* A segment of no connection: what is no question gets no answer. */
static void input_without_flow(struct nat *nat, struct frame *frame,
			       const struct tcp_header *header)
{
	struct ip_endpoint remote = { frame->packet.ip_destination,
				      frame->packet.port_destination };
	enum drop_reason reason = DROP_NO_FLOW;
	struct ip_endpoint real;
	bool is_ours;

	if ((header->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		tcp_open_from_guest(nat, frame, header, false, 0);
		return;
	}
	/* The gateway's own address is answered for: a forward's clients may appear as it. */
	is_ours = ip_addr_equal(&remote.addr, &nat->config.addr);
	if (!is_ours && !policy_resolve(nat, NAT_PROTOCOL_TCP, &remote, &real, &reason)) {
		nat_drop(nat, reason);
		return;
	}
	nat_drop(nat, DROP_NO_FLOW);
	tcp_output_reset_segment(nat, frame, header);
}

/* The host's answer is awaited; the guest has heard nothing yet. */
static void input_connecting(struct tcp_flow *flow, const struct tcp_header *header)
{
	if (header->flags & TCP_RST) {
		if (header->sequence == flow->receive_initial ||
		    header->sequence == flow->receive_next)
			tcp_end_by_guest(flow);
		else
			bad_segment(flow);
		return;
	}
	if ((header->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN) {
		bad_segment(flow);
		return;
	}
	/* Repeated: the host is asked already. Another number: the guest began anew, to the same
	 * place, so the same connect serves it. */
	if (header->sequence != flow->receive_initial)
		tcp_open_take_syn(flow, header);
}

/* We sent SYN for a forward's client (RFC 9293 3.10.7.3). */
static void input_syn_sent(struct tcp_flow *flow, const struct frame *frame,
			   const struct tcp_header *header)
{
	bool has_ack = header->flags & TCP_ACK;

	if (has_ack && header->acknowledgement != flow->send_initial + 1) {
		bad_segment(flow);
		tcp_output_reset_segment(tcp_flow_nat(flow), frame, header);
		return;
	}
	if (header->flags & TCP_RST) {
		if (has_ack)
			tcp_end_by_guest(flow); /* refused, and so the client is told */
		else
			bad_segment(flow);
		return;
	}
	if (!(header->flags & TCP_SYN)) {
		bad_segment(flow);
		return;
	}
	tcp_flow_set_port(flow, frame->port);
	tcp_open_take_syn(flow, header);
	if (has_ack) {
		tcp_open_established(flow, header);
		tcp_output_ack(flow);
		return;
	}
	/* Both asked at once (RFC 9293 3.5, figure 7). */
	flow->phase = TCP_PHASE_SYN_RECEIVED;
	timer_clear(nat_timers(tcp_flow_nat(flow)), &flow->idle);
	flow->retries = 0;
	tcp_output_syn(flow);
	tcp_timer_restart(flow);
}

/* A SYN between endpoints that are in the table already. True when it was dealt with. */
static bool input_syn(struct tcp_flow *flow, struct frame *frame, const struct tcp_header *header)
{
	struct nat *nat = tcp_flow_nat(flow);
	bool is_closed =
		flow->phase == TCP_PHASE_TIME_WAIT || (flow->up_finished && flow->fin_sent);

	if (flow->phase == TCP_PHASE_SYN_RECEIVED && header->sequence == flow->receive_initial) {
		if (header->flags & TCP_ACK)
			return false; /* both asked at once: it stands for an ACK */
		tcp_output_syn(flow);
		return true;
	}
	if (is_closed && !(header->flags & TCP_ACK) &&
	    tcp_seq_after(header->sequence, flow->receive_next)) {
		/* The port is used again (RFC 9293 3.6.1); our numbers go on above the old ones. */
		uint32_t at_least = flow->send_most + TCP_BACKLOG_CAPACITY;

		tcp_end_silent(flow);
		tcp_open_from_guest(nat, frame, header, true, at_least);
		return true;
	}
	bad_segment(flow);
	tcp_output_challenge(flow); /* RFC 5961 4.2 */
	return true;
}

/* RFC 5961 3.2 */
static void input_reset(struct tcp_flow *flow, const struct tcp_header *header)
{
	uint32_t sequence = header->sequence;
	bool behind_fin = flow->fin_known && !flow->up_finished &&
			  sequence == flow->fin_sequence + 1 &&
			  flow->receive_next == flow->fin_sequence;

	if (sequence == flow->receive_next || behind_fin) {
		if (flow->phase == TCP_PHASE_TIME_WAIT)
			tcp_end_silent(flow);
		else
			tcp_end_by_guest(flow);
		return;
	}
	bad_segment(flow);
	if (tcp_seq_after(sequence, flow->receive_next) &&
	    tcp_seq_before(sequence, flow->receive_edge))
		tcp_output_challenge(flow);
}

static void input_time_wait(struct tcp_flow *flow, const struct tcp_header *header,
			    uint32_t segment_size)
{
	/* The last ACK was lost, or the segment is a stray one. */
	if (header->flags & TCP_FIN)
		tcp_timer_idle_in(flow, TCP_TIME_WAIT_NS);
	if (segment_size > 0 || header->sequence != flow->receive_next)
		tcp_output_challenge(flow);
}

/* The handshake's last ACK. False: no use for the segment. */
static bool input_handshake_ack(struct tcp_flow *flow, const struct frame *frame,
				const struct tcp_header *header)
{
	if (header->acknowledgement != flow->send_initial + 1) {
		bad_segment(flow);
		tcp_output_reset_segment(tcp_flow_nat(flow), frame, header);
		return false;
	}
	tcp_flow_set_port(flow, frame->port);
	tcp_open_established(flow, header);
	return true;
}

/* Behind the window, or so far before it that it is of another connection. */
static bool is_out_of_window(const struct tcp_flow *flow, const struct tcp_header *header)
{
	if (tcp_seq_after(header->sequence, flow->receive_edge) &&
	    header->sequence != flow->receive_next)
		return true;
	return tcp_seq_before(header->sequence, flow->receive_next) &&
	       flow->receive_next - header->sequence > UINT32_C(1) << 30;
}

/* SYN_RECEIVED, OPEN and TIME_WAIT: both sides know each other's numbers. */
static void input_synchronized(struct tcp_flow *flow, struct frame *frame,
			       struct tcp_header *header)
{
	uint32_t size;

	if (header->flags & TCP_RST) {
		input_reset(flow, header);
		return;
	}
	if (header->flags & TCP_SYN) {
		if (input_syn(flow, frame, header))
			return;
		header->flags &= (uint8_t)~TCP_SYN;
		header->sequence++;
	}
	size = tcp_seq_size(header->flags, frame->payload_size);
	if (is_out_of_window(flow, header)) {
		bad_segment(flow);
		tcp_output_challenge(flow);
		return;
	}
	if (!(header->flags & TCP_ACK)) {
		bad_segment(flow);
		return;
	}
	if (flow->phase == TCP_PHASE_TIME_WAIT) {
		input_time_wait(flow, header, size);
		return;
	}
	if (flow->phase == TCP_PHASE_SYN_RECEIVED && !input_handshake_ack(flow, frame, header))
		return;
	if (tcp_ack_process(flow, header, size) != TCP_ACK_GOOD)
		return;
	if (flow->port != frame->port)
		tcp_flow_set_port(flow, frame->port);
	tcp_timer_guest_heard(flow);
	/* A probe of ours, or of its: it wants an answer. */
	if (size == 0 && tcp_seq_before(header->sequence, flow->receive_next)) {
		tcp_output_challenge(flow);
		return;
	}
	(void)tcp_receive_segment(flow, frame, header);
}

static void input_of_flow(struct tcp_flow *flow, struct frame *frame, struct tcp_header *header)
{
	switch (flow->phase) {
	case TCP_PHASE_CONNECTING:
		input_connecting(flow, header);
		break;
	case TCP_PHASE_SYN_SENT:
		input_syn_sent(flow, frame, header);
		break;
	case TCP_PHASE_SYN_RECEIVED:
	case TCP_PHASE_OPEN:
	case TCP_PHASE_TIME_WAIT:
		input_synchronized(flow, frame, header);
		break;
	case TCP_PHASE_ORPHAN: /* in no index */
	case TCP_PHASE_FREE:
		break;
	}
}

void tcp_input(struct nat *nat, struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	struct ip_endpoint guest = { packet->ip_source, packet->port_source };
	struct ip_endpoint remote = { packet->ip_destination, packet->port_destination };
	struct reader reader = reader_of(frame->header, frame->header_size);
	struct tcp_header header;
	struct tcp_flow *flow;

	reader_skip(&reader, packet->l4_offset);
	reader = reader_sub(&reader, (size_t)(packet->payload_offset - packet->l4_offset));
	if (!tcp_parse(&reader, &header) || guest.port == 0 || remote.port == 0) {
		nat_drop(nat, DROP_BAD_L4_HEADER);
		return;
	}
	if (!frame_verify_checksum(frame)) {
		nat_drop(nat, DROP_BAD_L4_CHECKSUM);
		return;
	}
	if (header.flags & TCP_SYN && header.flags & (TCP_FIN | TCP_RST)) {
		nat_drop(nat, DROP_BAD_SEGMENT);
		return;
	}
	flow = tcp_flow_find(tcp_table_of(nat), &guest, &remote);
	if (!flow)
		input_without_flow(nat, frame, &header);
	else if (tcp_review_passes(flow))
		input_of_flow(flow, frame, &header);
}
