/*
 * Bytes and FIN from the host to the guest. Frames are up to 64 KiB: the port's door cuts them to
 * segments. What holds a flow back, and what sets it going again:
 *
 *     the guest's window, congestion window    an acknowledgement; the probe timer
 *     the port's queue (table->parked)         tcp_port_ready(); after 10 minutes it ends the flow
 *     the pool of blocks (table->starved)      blocks that come back
 *     the host has no bytes (!readable)        an event of its socket
 */
#include "nat/tcp_internal.h"

#include <errno.h>

/* An IP packet's most, less its headers. */
#define FRAME_PAYLOAD_MOST (65535 - 40)

static uint32_t in_flight(const struct tcp_flow *flow)
{
	return flow->send_next - flow->send_unacknowledged;
}

/* The FIN, where it was sent, occupies the sequence number behind the backlog. */
static bool fin_is_behind(const struct tcp_flow *flow)
{
	return flow->fin_sent && in_flight(flow) > tcp_backlog_size(&flow->backlog);
}

bool tcp_send_has_something(const struct tcp_flow *flow)
{
	if (fin_is_behind(flow) || flow->fin_acknowledged)
		return false;
	return flow->readable || flow->backlog.ended ||
	       in_flight(flow) < tcp_backlog_size(&flow->backlog);
}

/* A closed window is asked about until it opens (RFC 9293 3.8.6.1). */
static enum tcp_send_result held_by_window(struct tcp_flow *flow)
{
	if (tcp_send_is_quiet(flow))
		tcp_timer_ensure(flow);
	return TCP_SEND_DONE;
}

static enum tcp_send_result wait_in(struct tcp_flow *flow, struct list *list)
{
	list_remove(&flow->wait_node);
	list_append(list, &flow->wait_node);
	return TCP_SEND_DONE;
}

/* How many bytes the next frame should have; 0 when the port takes none now. */
static size_t frame_payload(const struct tcp_flow *flow, uint32_t usable)
{
	const struct nat *nat = tcp_flow_nat(flow);
	size_t room = frame_sink_room(nat->context.to_guest, flow->port);
	size_t size = usable < FRAME_PAYLOAD_MOST ? usable : FRAME_PAYLOAD_MOST;
	size_t segments = room / ((size_t)flow->mss + TCP_SEGMENT_OVERHEAD);

	if (room == 0)
		return 0;
	if (segments == 0) {
		/* Something must be sent, since the port says "ready" only after it said 0. */
		size_t most = room > (size_t)2 * TCP_SEGMENT_OVERHEAD ? room - TCP_SEGMENT_OVERHEAD
								      : TCP_SEGMENT_OVERHEAD;

		return size < most ? size : most;
	}
	if (size > segments * flow->mss)
		size = segments * flow->mss;
	if (size > flow->mss)
		size -= size % flow->mss;
	return size;
}

/* A segment left that ends before `end`. */
static void sent_until(struct tcp_flow *flow, uint32_t end)
{
	bool is_new = tcp_seq_after(end, flow->send_most);
	bool was_quiet = tcp_send_is_quiet(flow);

	flow->send_next = end;
	flow->send_most = tcp_seq_max(flow->send_most, end);
	if (is_new)
		tcp_timer_measure(flow, end);
	if (was_quiet) {
		flow->retries = 0;
		tcp_timer_restart(flow);
	} else {
		tcp_timer_ensure(flow);
	}
}

static enum tcp_send_result send_fin(struct tcp_flow *flow)
{
	tcp_output_data(flow, flow->send_next, true, NULL, 0, false);
	flow->fin_sent = true;
	if (!flow->up_finished)
		flow->closed_first = true;
	sent_until(flow, flow->send_next + 1);
	return TCP_SEND_DONE;
}

/* A read that filled so much room says that the connection moves much. */
#define BULK_SIZE 32768

static void notice_bulk(struct tcp_flow *flow, size_t got)
{
	if (flow->may_peek && got >= BULK_SIZE && !flow->backlog.drained) {
		flow->may_peek = false;
		flow->wants_peek = true;
	}
}

/* Goes over to peek, which takes an empty backlog: what is under way is awaited, a moment once in a
 * connection's life. False: not yet. */
static bool settle_backlog(struct tcp_flow *flow)
{
	struct tcp_backlog_source source = tcp_flow_source(flow);

	if (!flow->wants_peek)
		return true;
	if (flow->failed || flow->backlog.ended) { /* not worth it any more */
		flow->wants_peek = false;
		return true;
	}
	if (tcp_backlog_size(&flow->backlog) > 0)
		return false;
	tcp_backlog_init(&flow->backlog, NAT_BACKLOG_PEEK, &source);
	flow->wants_peek = false;
	return true;
}

/* Ethernet, IPv4 and TCP without options, as data segments have them. */
#define DATA_HEADERS_SIZE 54

/* Where bytes may stand in the guest's own memory, so that the socket is read right into it. Returns
 * how many; 0: nowhere. */
static size_t find_place(const struct tcp_flow *flow, size_t size,
			 struct iovec ret_parts[TCP_BACKLOG_PARTS], size_t *ret_count)
{
	size_t place;

	if (flow->backlog.kind != NAT_BACKLOG_PEEK)
		return 0;
	place = frame_sink_reserve(tcp_flow_nat(flow)->context.to_guest, flow->port,
				   DATA_HEADERS_SIZE, size, ret_parts, TCP_BACKLOG_PARTS,
				   ret_count);
	/* Whole segments, as frame_payload() has them. */
	return place > flow->mss && place < size ? place - place % flow->mss : place;
}

static enum tcp_send_result send_bytes(struct tcp_flow *flow, size_t size)
{
	struct tcp_backlog_source source = tcp_flow_source(flow);
	struct iovec place[TCP_BACKLOG_PARTS];
	struct iovec parts[TCP_BACKLOG_PARTS];
	size_t count = 0;
	ssize_t got;
	size_t place_size = find_place(flow, size, place, &source.place_count);

	source.place = place;
	if (place_size > 0)
		size = place_size;
	else
		source.place_count = 0;
	got = tcp_backlog_get(&flow->backlog, &source, in_flight(flow), size, parts, &count);

	if (got == -EAGAIN) {
		flow->readable = false;
		return TCP_SEND_DONE;
	}
	if (got == -ENOBUFS)
		return wait_in(flow, &flow->table->starved);
	/* An end after an error is no end: the error was told to whoever sent last. */
	if (got < 0 || (got == 0 && flow->failed)) {
		tcp_end_abort(flow);
		return TCP_SEND_ENDED;
	}
	if (got == 0)
		return TCP_SEND_MORE;
	/* Sockets are edge-triggered: what comes from now on is announced (epoll(7)). */
	if (flow->backlog.drained)
		flow->readable = flow->hung_up || flow->urgent;
	notice_bulk(flow, (size_t)got);
	tcp_output_data(flow, flow->send_next, false, parts, count, place_size > 0);
	sent_until(flow, flow->send_next + (uint32_t)got);
	return TCP_SEND_MORE;
}

enum tcp_send_result tcp_send_once(struct tcp_flow *flow)
{
	uint32_t usable = tcp_window_usable(flow);
	uint32_t worth = flow->send_window_most / 2;
	size_t size;

	if (flow->phase != TCP_PHASE_OPEN || !tcp_send_has_something(flow) ||
	    (in_flight(flow) == tcp_backlog_size(&flow->backlog) && !settle_backlog(flow)))
		return TCP_SEND_DONE;
	if (usable == 0)
		return held_by_window(flow);
	if (flow->backlog.ended && in_flight(flow) == tcp_backlog_size(&flow->backlog)) {
		if (flow->failed)
			return TCP_SEND_DONE;
		return send_fin(flow);
	}
	/* Silly window avoidance (RFC 9293 3.8.6.2.1): a small piece waits while more is under
	 * way. */
	if (worth > flow->mss)
		worth = flow->mss;
	if (usable < worth && in_flight(flow) > 0)
		return held_by_window(flow);
	size = frame_payload(flow, usable);
	if (size == 0) {
		/* A port that never moves again must not hold it for ever. */
		tcp_timer_ensure(flow);
		return wait_in(flow, &flow->table->parked);
	}
	return send_bytes(flow, size);
}

bool tcp_send_head(struct tcp_flow *flow)
{
	struct tcp_backlog_source source = tcp_flow_source(flow);
	size_t size = tcp_backlog_size(&flow->backlog);
	struct iovec parts[TCP_BACKLOG_PARTS];
	size_t count = 0;
	ssize_t got;

	flow->measuring = false; /* RFC 6298 3: Karn */
	if (size == 0) {
		tcp_output_data(flow, flow->send_unacknowledged, flow->fin_sent, NULL, 0, false);
		return true;
	}
	if (size > flow->mss)
		size = flow->mss;
	got = tcp_backlog_get(&flow->backlog, &source, 0, size, parts, &count);
	if (got == -EAGAIN)
		return true; /* the timer tries again */
	if (got <= 0) {
		tcp_end_abort(flow);
		return false;
	}
	tcp_output_data(flow, flow->send_unacknowledged, false, parts, count, false);
	return true;
}
