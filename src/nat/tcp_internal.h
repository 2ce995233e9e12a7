#pragma once
/*
 * What the files of TCP call of each other. "Alive" results are false when the call ended the flow,
 * which the caller must not touch any more.
 *
 *     tcp_table.c     the door for nat.c; work at the end of a batch
 *     tcp_flow.c      flows: pool, index, shares
 *     tcp_flood.c     SYNs beyond what a port may have half open
 *     tcp_open.c      connections from guests and towards them
 *     tcp_input.c     segments from guests: what is acceptable, and what it means
 *     tcp_ack.c       acknowledgements, congestion
 *     tcp_delay.c     acknowledgements that wait for an answer to travel with
 *     tcp_receive.c   bytes and FIN from the guest, on to the host
 *     tcp_host.c      events of host sockets
 *     tcp_output.c    segments towards guests: how one is made
 *     tcp_send.c      bytes and FIN from the host, on to the guest
 *     tcp_window.c    windows
 *     tcp_timer.c     retransmission, probes, keepalive, ends
 *     tcp_end.c       how flows end
 *     tcp_review.c    ... when the rules change
 */

#include <stdbool.h>
#include <stdint.h>

#include "nat/tcp.h"
#include "nat/tcp_flow.h"
#include "wire/tcp.h"

/* tcp_window.c */

/* After the handshake told whether both sides scale: what the buffer may promise. */
void tcp_window_start(struct tcp_flow *flow);
struct tcp_window_offer {
	uint32_t acknowledgement; /* receive_next, or up to 3 bytes before it */
	uint16_t field;
};
/* For a segment that leaves now; remembers the promise. */
struct tcp_window_offer tcp_window_offer(struct tcp_flow *flow);
/* The window that the guest knows is so much smaller than what there is that it must be told. */
bool tcp_window_update_due(const struct tcp_flow *flow);
/* Bytes that may be sent now by the guest's window, the congestion window and our own limit. */
uint32_t tcp_window_usable(const struct tcp_flow *flow);

/* tcp_output.c */

void tcp_output_syn(struct tcp_flow *flow); /* SYN, or SYN-ACK in SYN_RECEIVED */
void tcp_output_ack(struct tcp_flow *flow);
/* An ACK with a sequence number just outside the guest's window: it must answer. */
void tcp_output_probe(struct tcp_flow *flow);
/* in_place: the parts are what the flow's port gave by frame_sink_reserve(). */
void tcp_output_data(struct tcp_flow *flow, uint32_t sequence, bool fin, const struct iovec *parts,
		     size_t count, bool in_place);
void tcp_output_reset(struct tcp_flow *flow);
/* RST in answer to a segment that belongs to no connection, or to one that cannot be. */
void tcp_output_reset_segment(struct nat *nat, const struct frame *frame,
			      const struct tcp_header *header);
/* RFC 5961: "say it again, if you mean it". Limited per port, for these answer a guest's
 * keepalive probes, too. */
void tcp_output_challenge(struct tcp_flow *flow);

/* tcp_send.c */

enum tcp_send_result {
	TCP_SEND_DONE,	/* nothing more can leave now */
	TCP_SEND_MORE,	/* one frame left, try again */
	TCP_SEND_ENDED, /* the flow is gone */
};

/* Sends at most one frame of data or FIN. */
enum tcp_send_result tcp_send_once(struct tcp_flow *flow);
/* Repeats the first segment that is not acknowledged. Alive. */
bool tcp_send_head(struct tcp_flow *flow);
/* False when there is certainly nothing to send. */
bool tcp_send_has_something(const struct tcp_flow *flow);
/* Nothing of ours waits for an acknowledgement. */
static inline bool tcp_send_is_quiet(const struct tcp_flow *flow)
{
	return flow->send_unacknowledged == flow->send_most;
}

/* tcp_ack.c */

enum tcp_ack_result {
	TCP_ACK_GOOD,
	TCP_ACK_BAD, /* drop the segment; answered where that is due */
	TCP_ACK_ENDED,
};

enum tcp_ack_result tcp_ack_process(struct tcp_flow *flow, const struct tcp_header *header,
				    uint32_t segment_size);
void tcp_ack_start(struct tcp_flow *flow);
void tcp_ack_timed_out(struct tcp_flow *flow);

/* tcp_delay.c */

void tcp_delay_init(struct tcp_table *table);
void tcp_delay_done(struct tcp_table *table);
/* The end of a batch: acknowledges what is owed, or leaves it to the answer. */
void tcp_delay_settle(struct tcp_flow *flow);
/* A connection ended. */
void tcp_delay_rest(struct tcp_table *table);
/* Bytes came from the guest; bytes went to it; an acknowledgement went to it. */
void tcp_delay_heard(struct tcp_flow *flow);
void tcp_delay_answered(struct tcp_flow *flow);
void tcp_delay_acknowledged(struct tcp_flow *flow);

/* tcp_receive.c */

/* Payload and FIN of an acceptable segment. Alive. */
bool tcp_receive_segment(struct tcp_flow *flow, const struct frame *frame,
			 const struct tcp_header *header);
/* Hands buffered bytes, then the FIN, to the host. Alive. */
bool tcp_receive_flush(struct tcp_flow *flow);

/* tcp_timer.c */

void tcp_timer_init(struct tcp_flow *flow);
void tcp_timer_restart(
	struct tcp_flow *flow);		      /* the retransmission timer, by timeout and backoff */
void tcp_timer_ensure(struct tcp_flow *flow); /* starts it unless it runs */
void tcp_timer_stop(struct tcp_flow *flow);
void tcp_timer_guest_heard(struct tcp_flow *flow);
/* The port that the flow was parked for has room again. */
void tcp_timer_port_ready(struct tcp_flow *flow);
void tcp_timer_idle_in(struct tcp_flow *flow, uint64_t delay_ns);
void tcp_timer_forward_start(struct tcp_flow *flow);
/* A segment sent now is acknowledged by `sequence`: measure how long that takes. */
void tcp_timer_measure(struct tcp_flow *flow, uint32_t sequence);
void tcp_timer_measured(struct tcp_flow *flow, uint32_t acknowledgement);

#define TCP_CONNECT_NS	       (135 * NS_PER_S) /* a little longer than the kernel tries */
#define TCP_FORWARD_NS	       (3 * NS_PER_S)
#define TCP_TIME_WAIT_NS       (60 * NS_PER_S)
#define TCP_ORPHAN_NS	       (5 * NS_PER_S)
#define TCP_TIMEOUT_INITIAL_NS NS_PER_S

/* tcp_open.c */

/* A SYN for which there is no flow. at_least: the first sequence number of ours that is free of a
 * former connection between these endpoints; has_former says that there was one. */
void tcp_open_from_guest(struct nat *nat, struct frame *frame, const struct tcp_header *header,
			 bool has_former, uint32_t at_least);
/* What the guest's SYN says, also when a new SYN replaces it while the host still connects. */
void tcp_open_take_syn(struct tcp_flow *flow, const struct tcp_header *header);
/* The host's connect is decided. */
void tcp_open_decided(struct tcp_flow *flow);
/* The handshake with the guest is complete. */
void tcp_open_established(struct tcp_flow *flow, const struct tcp_header *header);

/* Tells who waits for the guest's answer, if somebody still does. */
void tcp_open_tell(struct tcp_flow *flow, int status);

/* tcp_flood.c */

/* False for a SYN that is one too many in this turn of the loop, from a port that has its share of
 * half-open connections. */
bool tcp_flood_admits(struct tcp_table *table, uint32_t port,
		      const struct ip_endpoint *remote) MUST_USE;

/* tcp_host.c */

void tcp_host_ready(struct host_socket *socket, uint32_t events);
/* The host socket is broken. What the host had sent before goes to the guest as far as its window
 * lets it, then RST. Ends the flow. */
void tcp_host_failed(struct tcp_flow *flow);

/* tcp_review.c */

/* Asks the rules. Alive: false, they forbid the flow, and it ended. */
bool tcp_review_flow(struct tcp_flow *flow);
/* The same, where the rules are others than those the flow passed last: before anything of it moves. */
static inline bool tcp_review_passes(struct tcp_flow *flow)
{
	return flow->review == tcp_flow_nat(flow)->review.number || tcp_review_flow(flow);
}

/* tcp_end.c. Everything here ends the flow, except where it says so. */

/* RST in both directions. */
void tcp_end_abort(struct tcp_flow *flow);
/* The guest reset: RST towards the host only. */
void tcp_end_by_guest(struct tcp_flow *flow);
/* No answer to the guest; an unfinished host socket is reset. */
void tcp_end_silent(struct tcp_flow *flow);
/* Both directions may be finished now: TIME_WAIT or gone. Alive; TIME_WAIT is alive. */
bool tcp_end_check(struct tcp_flow *flow);
/* The guest's port is gone. */
void tcp_end_port_gone(struct tcp_flow *flow);
/* An orphan's buffer is flushed. */
void tcp_end_orphan(struct tcp_flow *flow);
