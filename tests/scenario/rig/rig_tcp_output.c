#include "rig/rig_tcp_internal.h"

#include <assert.h>

#define RIG_TCP_TIMEOUT_MAX_NS (60 * NS_PER_S)

uint32_t rig_tcp_window(const struct rig_tcp *tcp)
{
	uint32_t capacity = tcp->options.receive_capacity;
	uint32_t most = (uint32_t)UINT16_MAX << tcp->receive_shift;
	uint32_t room = tcp->unread < capacity ? capacity - tcp->unread : 0;

	return room < most ? room : most;
}

/* The header field; the edge never moves left, so a promise is rounded up where need be. */
static uint16_t rig_tcp_advertise(struct rig_tcp *tcp, bool is_syn)
{
	uint32_t unit = 1U << tcp->receive_shift;
	uint32_t window = rig_tcp_window(tcp);
	uint32_t promised = tcp->receive_edge - tcp->receive_next;

	if (is_syn) {
		if (window > UINT16_MAX)
			window = UINT16_MAX;
		tcp->receive_edge = tcp->receive_next + window;
		return (uint16_t)window;
	}
	window = window / unit * unit;
	if (tcp_seq_after(tcp->receive_edge, tcp->receive_next) && window < promised)
		window = (promised + unit - 1) / unit * unit;
	if (window / unit > UINT16_MAX)
		window = UINT16_MAX * unit;
	tcp->receive_edge = tcp_seq_max(tcp->receive_edge, tcp->receive_next + window);
	return (uint16_t)(window / unit);
}

static void rig_tcp_emit(struct rig_tcp *tcp, uint32_t sequence, uint8_t flags,
			 const uint8_t *payload, size_t size)
{
	struct tcp_header header = {
		.sequence = sequence,
		.flags = flags,
	};

	if (flags & TCP_ACK)
		header.acknowledgement = tcp->receive_next;
	if (flags & TCP_SYN) {
		header.has_mss = tcp->options.mss > 0;
		header.mss = tcp->options.mss;
		header.has_window_scale = tcp->options.window_scale >= 0;
		header.window_scale = (uint8_t)tcp->options.window_scale;
		header.sack_permitted = tcp->options.offer_sack;
		header.has_timestamps = tcp->options.offer_timestamps && !(flags & TCP_ACK);
		header.timestamp_value = 1;
	}
	if (!(flags & TCP_RST))
		header.window = rig_tcp_advertise(tcp, flags & TCP_SYN);
	tcp->ack_pending = 0;
	timer_clear(rig_tcp_timers(tcp), &tcp->ack_timer);
	rig_guest_send_tcp(tcp->guest, &tcp->local, &tcp->remote, &header, payload, size);
}

static uint64_t rig_tcp_timeout(const struct rig_tcp *tcp)
{
	uint64_t base_ns = tcp->round_trip_ns > 0 ? 2 * tcp->round_trip_ns : NS_PER_S;

	if (base_ns < tcp->options.timeout_min_ns)
		base_ns = tcp->options.timeout_min_ns;
	for (uint32_t i = 0; i < tcp->timeouts && base_ns < RIG_TCP_TIMEOUT_MAX_NS; i++)
		base_ns *= 2;
	return base_ns < RIG_TCP_TIMEOUT_MAX_NS ? base_ns : RIG_TCP_TIMEOUT_MAX_NS;
}

void rig_tcp_restart_timer(struct rig_tcp *tcp)
{
	if (tcp->send_unacknowledged == tcp->send_most)
		timer_clear(rig_tcp_timers(tcp), &tcp->retransmit);
	else
		rig_time_after(tcp->app.time, &tcp->retransmit, rig_tcp_timeout(tcp));
}

void rig_tcp_send_syn(struct rig_tcp *tcp)
{
	bool answer = tcp->state == RIG_TCP_SYN_RECEIVED;

	tcp->send_next = tcp->initial + 1;
	tcp->send_most = tcp->send_next;
	rig_tcp_emit(tcp, tcp->initial, answer ? TCP_SYN | TCP_ACK : TCP_SYN, NULL, 0);
	rig_tcp_restart_timer(tcp);
}

void rig_tcp_send_ack(struct rig_tcp *tcp)
{
	rig_tcp_emit(tcp, tcp->send_next, TCP_ACK, NULL, 0);
}

void rig_tcp_send_reset(struct rig_tcp *tcp)
{
	rig_tcp_emit(tcp, tcp->send_next, TCP_RST | TCP_ACK, NULL, 0);
}

static void rig_tcp_send_bytes(struct rig_tcp *tcp, uint32_t sequence, size_t size, bool fin)
{
	uint8_t *bytes = tcp->guest->payload_out;
	uint32_t end = sequence + (uint32_t)size + (fin ? 1 : 0);
	uint8_t flags = TCP_ACK;

	assert(size <= sizeof(tcp->guest->payload_out));
	rig_app_fill(&tcp->app, rig_tcp_position(sequence, tcp->initial), bytes, size);
	if (fin)
		flags |= TCP_FIN;
	if (size > 0)
		flags |= TCP_PSH;
	if (tcp_seq_before(sequence, tcp->send_most)) {
		tcp->retransmissions += size > 0;
	} else if (!tcp->measuring) {
		tcp->measuring = true;
		tcp->measured_sequence = end;
		tcp->measured_since_ns = tcp->app.time->now_ns;
	}
	if (tcp_seq_after(end, tcp->send_most)) {
		tcp->send_most = end;
		tcp->app.sent = rig_tcp_position(sequence, tcp->initial) + size;
	}
	if (fin)
		tcp->fin_sent = true;
	rig_tcp_emit(tcp, sequence, flags, bytes, size);
	if (!timer_is_set(&tcp->retransmit))
		rig_tcp_restart_timer(tcp);
}

/* Bytes of the app's stream that lie at or behind a sequence number. */
static uint64_t rig_tcp_waiting(const struct rig_tcp *tcp, uint32_t sequence)
{
	uint64_t position = rig_tcp_position(sequence, tcp->initial);

	return tcp->app.ready > position ? tcp->app.ready - position : 0;
}

/* How much of `waiting` may leave: whole segments, or the rest, or half of the largest window
 * (RFC 9293 3.8.6.2.1). */
static size_t rig_tcp_next_size(const struct rig_tcp *tcp, uint64_t waiting)
{
	uint32_t window = tcp->send_window < tcp->congestion_window ? tcp->send_window
								    : tcp->congestion_window;
	uint32_t flight = tcp->send_next - tcp->send_unacknowledged;
	uint32_t usable = window > flight ? window - flight : 0;
	size_t size = tcp->send_mss;

	if (size > usable)
		size = usable;
	if (size > waiting)
		size = (size_t)waiting;
	if (size < waiting && size < tcp->send_mss && size < tcp->send_window_most / 2)
		return 0;
	return size;
}

static bool rig_tcp_send_one(struct rig_tcp *tcp)
{
	uint64_t waiting = rig_tcp_waiting(tcp, tcp->send_next);
	size_t size = waiting > 0 ? rig_tcp_next_size(tcp, waiting) : 0;
	uint32_t sequence = tcp->send_next;
	bool fin = false;

	if (tcp->fin_sent && sequence == tcp->send_most)
		return false;
	if (size == waiting)
		fin = tcp->fin_sent ||
		      rig_app_wants_end(&tcp->app, rig_tcp_position(sequence, tcp->initial) + size);
	if (size == 0 && !fin)
		return false;
	tcp->send_next += (uint32_t)size + (fin ? 1 : 0);
	rig_tcp_send_bytes(tcp, sequence, size, fin);
	return true;
}

static void rig_tcp_ensure_persist(struct rig_tcp *tcp)
{
	bool blocked = rig_tcp_waiting(tcp, tcp->send_next) > 0 &&
		       tcp->send_unacknowledged == tcp->send_next;

	if (!blocked)
		timer_clear(rig_tcp_timers(tcp), &tcp->persist);
	else if (!timer_is_set(&tcp->persist))
		rig_time_after(tcp->app.time, &tcp->persist, rig_tcp_timeout(tcp));
}

void rig_tcp_send(struct rig_tcp *tcp)
{
	if (tcp->state != RIG_TCP_OPEN)
		return;
	while (rig_tcp_send_one(tcp)) {
		if (rig_app_wants_reset(&tcp->app)) {
			rig_tcp_abort(tcp);
			return;
		}
	}
	rig_tcp_ensure_persist(tcp);
}

void rig_tcp_send_head(struct rig_tcp *tcp)
{
	uint32_t outstanding = tcp->send_most - tcp->send_unacknowledged;
	uint32_t bytes = tcp->fin_sent && outstanding > 0 ? outstanding - 1 : outstanding;
	size_t size = bytes < tcp->send_mss ? bytes : tcp->send_mss;
	bool fin = tcp->fin_sent && size == bytes;

	if (outstanding == 0)
		return;
	tcp->measuring = false; /* Karn */
	rig_tcp_send_bytes(tcp, tcp->send_unacknowledged, size, fin);
}

static void rig_tcp_retransmit(struct timer *timer, uint64_t now_ns)
{
	struct rig_tcp *tcp = container_of(timer, struct rig_tcp, retransmit);

	(void)now_ns;
	if (++tcp->timeouts > tcp->options.timeouts_max) {
		rig_tcp_end(tcp, RIG_TCP_TIMED_OUT);
		return;
	}
	if (tcp->state == RIG_TCP_SYN_SENT || tcp->state == RIG_TCP_SYN_RECEIVED) {
		tcp->retransmissions++;
		rig_tcp_send_syn(tcp);
		return;
	}
	uint32_t flight = tcp->send_most - tcp->send_unacknowledged;
	tcp->threshold = flight / 2 > 2U * tcp->send_mss ? flight / 2 : 2U * tcp->send_mss;
	tcp->congestion_window = tcp->send_mss;
	tcp->duplicates = 0;
	tcp->recovering = false;
	rig_tcp_send_head(tcp);
	/* All that is behind it counts as lost, too: it goes again as acknowledgements come. */
	uint32_t first = tcp->send_most - tcp->send_unacknowledged - (tcp->fin_sent ? 1 : 0);
	first = first < tcp->send_mss ? first : tcp->send_mss;
	tcp->send_next = tcp->send_unacknowledged + first;
	if (tcp->fin_sent && tcp->send_next + 1 == tcp->send_most)
		tcp->send_next = tcp->send_most;
	rig_tcp_restart_timer(tcp);
}

static void rig_tcp_persist(struct timer *timer, uint64_t now_ns)
{
	struct rig_tcp *tcp = container_of(timer, struct rig_tcp, persist);
	uint8_t byte;

	(void)now_ns;
	tcp->window_probes++;
	if (++tcp->timeouts > tcp->options.timeouts_max) {
		rig_tcp_end(tcp, RIG_TCP_TIMED_OUT);
		return;
	}
	rig_time_after(tcp->app.time, &tcp->persist, rig_tcp_timeout(tcp));
	if (!tcp->options.probe_with_byte) {
		/* A sequence number that is no longer in the window: it must be answered. */
		rig_tcp_emit(tcp, tcp->send_unacknowledged - 1, TCP_ACK, NULL, 0);
		return;
	}
	rig_app_fill(&tcp->app, rig_tcp_position(tcp->send_next, tcp->initial), &byte, 1);
	rig_tcp_emit(tcp, tcp->send_next, TCP_ACK | TCP_PSH, &byte, 1);
	/* It may be taken; then the acknowledgement says so. */
	if (tcp->send_most == tcp->send_next) {
		tcp->send_most++;
		tcp->app.sent = rig_tcp_position(tcp->send_most, tcp->initial);
	}
}

static void rig_tcp_ack_due(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	rig_tcp_send_ack(container_of(timer, struct rig_tcp, ack_timer));
}

void rig_tcp_timers_init(struct rig_tcp *tcp)
{
	timer_init(&tcp->retransmit, rig_tcp_retransmit);
	timer_init(&tcp->persist, rig_tcp_persist);
	timer_init(&tcp->ack_timer, rig_tcp_ack_due);
}

void rig_tcp_timers_clear(struct rig_tcp *tcp)
{
	timer_clear(rig_tcp_timers(tcp), &tcp->retransmit);
	timer_clear(rig_tcp_timers(tcp), &tcp->persist);
	timer_clear(rig_tcp_timers(tcp), &tcp->ack_timer);
}
