/* Segments towards guests. The sender of each is the remote host as the guest knows it. */
#include "nat/tcp_internal.h"

#include "wire/packet_build.h"

#define CHALLENGES_PER_SECOND 1000

static void push(struct tcp_table *table, const struct ip_endpoint *from,
		 const struct ip_endpoint *to, const struct tcp_header *header,
		 const struct iovec *parts, size_t count, bool in_place, uint16_t mss)
{
	struct packet_link link = { .source = table->nat->config.mac, .dont_fragment = true };
	bool was_pushing = table->pushing;
	struct frame frame;

	if (!packet_build_tcp(&frame, &link, from, to, header, parts, count, mss)) {
		nat_drop(table->nat, DROP_BAD_SEGMENT);
		return;
	}
	frame.in_place = in_place;
	table->pushing = true;
	nat_push_to_guest(table->nat, &frame);
	table->pushing = was_pushing;
}

static void push_of_flow(struct tcp_flow *flow, uint8_t flags, uint32_t sequence,
			 const struct iovec *parts, size_t count, bool in_place)
{
	struct tcp_header header = {
		.sequence = sequence,
		.flags = flags,
	};

	if (flags & TCP_ACK) {
		struct tcp_window_offer offer = { .acknowledgement = flow->receive_next };

		if (!(flags & TCP_RST))
			offer = tcp_window_offer(flow);
		header.acknowledgement = offer.acknowledgement;
		header.window = offer.field;
		flow->receive_acknowledged = offer.acknowledgement;
		tcp_delay_acknowledged(flow);
	}
	if (count > 0)
		tcp_delay_answered(flow);
	push(flow->table, &flow->remote, &flow->guest, &header, parts, count, in_place, flow->mss);
}

void tcp_output_syn(struct tcp_flow *flow)
{
	bool is_answer = flow->phase == TCP_PHASE_SYN_RECEIVED;
	struct tcp_header header = {
		.sequence = flow->send_initial,
		.acknowledgement = is_answer ? flow->receive_next : 0,
		.flags = is_answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		.window = TCP_WINDOW_UNSCALED_MAX, /* never scaled: RFC 7323 2.2 */
		.has_mss = true,
		.mss = tcp_mss_of_mtu(tcp_flow_nat(flow)),
		.has_window_scale = !is_answer || flow->scaled,
		.window_scale = TCP_WINDOW_SHIFT,
	};

	if (is_answer)
		flow->receive_acknowledged = flow->receive_next;
	push(flow->table, &flow->remote, &flow->guest, &header, NULL, 0, false, 0);
}

void tcp_output_ack(struct tcp_flow *flow)
{
	push_of_flow(flow, TCP_ACK, flow->send_next, NULL, 0, false);
}

void tcp_output_probe(struct tcp_flow *flow)
{
	push_of_flow(flow, TCP_ACK, flow->send_unacknowledged - 1, NULL, 0, false);
}

void tcp_output_data(struct tcp_flow *flow, uint32_t sequence, bool fin, const struct iovec *parts,
		     size_t count, bool in_place)
{
	uint8_t flags = TCP_ACK;

	if (count > 0)
		flags |= TCP_PSH;
	if (fin)
		flags |= TCP_FIN;
	push_of_flow(flow, flags, sequence, parts, count, in_place);
}

void tcp_output_reset(struct tcp_flow *flow)
{
	if (flow->phase == TCP_PHASE_CONNECTING) /* RFC 9293 3.10.7.1: refused */
		push_of_flow(flow, TCP_RST | TCP_ACK, 0, NULL, 0, false);
	else if (flow->phase == TCP_PHASE_SYN_SENT)
		push_of_flow(flow, TCP_RST, flow->send_initial + 1, NULL, 0, false);
	else
		push_of_flow(flow, TCP_RST | TCP_ACK, flow->send_most, NULL, 0, false);
}

void tcp_output_reset_segment(struct nat *nat, const struct frame *frame,
			      const struct tcp_header *header)
{
	const struct packet *packet = &frame->packet;
	struct ip_endpoint guest = { packet->ip_source, packet->port_source };
	struct ip_endpoint remote = { packet->ip_destination, packet->port_destination };
	struct tcp_header answer = { .flags = TCP_RST };

	if (header->flags & TCP_RST)
		return;
	if (header->flags & TCP_ACK) {
		answer.sequence = header->acknowledgement;
	} else {
		answer.flags |= TCP_ACK;
		answer.acknowledgement =
			header->sequence + tcp_seq_size(header->flags, frame->payload_size);
	}
	push(tcp_table_of(nat), &remote, &guest, &answer, NULL, 0, false, 0);
}

void tcp_output_challenge(struct tcp_flow *flow)
{
	const struct nat *nat = tcp_flow_nat(flow);
	uint32_t most = nat->config.port_capacity;
	struct tcp_challenges *challenges =
		&flow->table->challenges[flow->port < most ? flow->port : most];
	uint64_t now_ns = nat_now(nat);

	if (now_ns - challenges->since_ns >= NS_PER_S)
		*challenges = (struct tcp_challenges){ .since_ns = now_ns };
	if (challenges->count >= CHALLENGES_PER_SECOND)
		return;
	challenges->count++;
	tcp_output_ack(flow);
}
