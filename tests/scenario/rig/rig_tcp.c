#include "rig/rig_tcp.h"

#include <assert.h>

#include "rig/rig_tcp_internal.h"

static void rig_tcp_kick(struct rig_app *app)
{
	struct rig_tcp *tcp = container_of(app, struct rig_tcp, app);

	if (tcp->state != RIG_TCP_OPEN)
		return;
	rig_tcp_read(tcp);
	if (tcp->state == RIG_TCP_OPEN)
		rig_tcp_send(tcp);
}

static void rig_tcp_init(struct rig_tcp *tcp, struct rig_guest *guest,
			 const struct ip_endpoint *local, const struct rig_tcp_options *options,
			 const struct rig_app_plan *plan)
{
	*tcp = (struct rig_tcp){ .guest = guest, .local = *local, .options = *options };
	if (tcp->options.timeout_min_ns == 0)
		tcp->options.timeout_min_ns = 200 * NS_PER_MS;
	if (tcp->options.timeouts_max == 0)
		tcp->options.timeouts_max = 15;
	if (tcp->options.mtu == 0)
		tcp->options.mtu = 1500;
	if (tcp->options.receive_capacity == 0)
		tcp->options.receive_capacity = 65535;
	rig_app_init(&tcp->app, guest->time, plan, rig_tcp_kick);
	rig_tcp_timers_init(tcp);
	list_init(&tcp->node);
	list_append(&guest->connections, &tcp->node);
	tcp->initial =
		options->random_initial ? random_u32(guest->random) : options->initial_sequence;
	tcp->send_unacknowledged = tcp->initial;
	tcp->send_next = tcp->initial;
	tcp->send_most = tcp->initial;
	tcp->opened_ns = guest->time->now_ns;
}

void rig_tcp_connect(struct rig_tcp *tcp, struct rig_guest *guest, const struct ip_endpoint *local,
		     const struct ip_endpoint *remote, const struct rig_tcp_options *options,
		     const struct rig_app_plan *plan)
{
	rig_tcp_init(tcp, guest, local, options, plan);
	tcp->remote = *remote;
	tcp->state = RIG_TCP_SYN_SENT;
	rig_tcp_send_syn(tcp);
}

void rig_tcp_listen(struct rig_tcp *tcp, struct rig_guest *guest, const struct ip_endpoint *local,
		    const struct rig_tcp_options *options, const struct rig_app_plan *plan)
{
	rig_tcp_init(tcp, guest, local, options, plan);
	tcp->state = RIG_TCP_CLOSED;
}

void rig_tcp_done(struct rig_tcp *tcp)
{
	if (!tcp->guest)
		return;
	rig_tcp_timers_clear(tcp);
	rig_app_done(&tcp->app);
	list_remove(&tcp->node);
	tcp->guest = NULL;
}

void rig_tcp_end(struct rig_tcp *tcp, enum rig_tcp_state state)
{
	rig_tcp_timers_clear(tcp);
	tcp->state = state;
	if (state == RIG_TCP_RESET)
		tcp->app.heard_reset = true;
	rig_app_done(&tcp->app);
}

void rig_tcp_abort(struct rig_tcp *tcp)
{
	rig_tcp_send_reset(tcp);
	rig_tcp_timers_clear(tcp);
	rig_app_done(&tcp->app);
	tcp->state = RIG_TCP_RESET;
}

void rig_tcp_take_syn(struct rig_tcp *tcp, const struct tcp_header *header)
{
	uint16_t room = (uint16_t)(tcp->options.mtu - 40);

	/* What our own SYN offered counts from the sequence number that is known only now. */
	uint32_t offered = tcp->receive_edge - tcp->receive_next;

	tcp->receive_initial = header->sequence;
	tcp->receive_next = header->sequence + 1;
	tcp->receive_edge = tcp->receive_next + offered;
	tcp->send_mss = header->has_mss ? header->mss : TCP_MSS_DEFAULT_V4;
	if (tcp->send_mss > room)
		tcp->send_mss = room;
	if (tcp->options.max_segment > 0 && tcp->send_mss > tcp->options.max_segment)
		tcp->send_mss = tcp->options.max_segment;
	/* Scaling holds only where both offered it (RFC 7323 2.2). */
	if (header->has_window_scale && tcp->options.window_scale >= 0) {
		tcp->send_shift = header->window_scale;
		tcp->receive_shift = (uint8_t)tcp->options.window_scale;
	}
	tcp->send_window = header->window;
	tcp->send_window_most = header->window;
	tcp->window_sequence = header->sequence;
	tcp->window_acknowledgement = header->acknowledgement;
	tcp->congestion_window = 10U * tcp->send_mss;
	tcp->threshold = UINT32_MAX;
}

void rig_tcp_start_stream(struct rig_tcp *tcp)
{
	tcp->state = RIG_TCP_OPEN;
	tcp->connected_ns = tcp->app.time->now_ns;
	tcp->timeouts = 0;
	rig_app_start(&tcp->app);
}

void rig_tcp_read(struct rig_tcp *tcp)
{
	uint32_t before = tcp->receive_edge - tcp->receive_next;
	uint32_t step = tcp->options.receive_capacity / 2;

	tcp->unread -= (uint32_t)rig_app_read(&tcp->app, tcp->unread);
	if (tcp->unread == 0 && rig_tcp_has_fin(tcp))
		tcp->app.heard_end = true;
	if (step > tcp->send_mss)
		step = tcp->send_mss;
	/* A window update, unless the opening is silly (RFC 9293 3.8.6.2.2) or nothing can come. */
	if (!rig_tcp_has_fin(tcp) && rig_tcp_window(tcp) >= before + step && before <= step)
		rig_tcp_send_ack(tcp);
	if (rig_app_wants_reset(&tcp->app))
		rig_tcp_abort(tcp);
	else
		rig_tcp_check_finished(tcp);
}

void rig_tcp_check_finished(struct rig_tcp *tcp)
{
	if (tcp->state == RIG_TCP_OPEN && tcp->fin_acknowledged && tcp->app.heard_end) {
		rig_app_done(&tcp->app);
		rig_tcp_timers_clear(tcp);
		tcp->state = RIG_TCP_FINISHED;
	}
}

bool rig_tcp_is_content(const struct rig_tcp *tcp)
{
	return tcp->state == RIG_TCP_FINISHED && !tcp->fault && rig_app_is_content(&tcp->app);
}

bool rig_tcp_is_over(const struct rig_tcp *tcp)
{
	return tcp->state == RIG_TCP_FINISHED || tcp->state == RIG_TCP_RESET ||
	       tcp->state == RIG_TCP_TIMED_OUT;
}

const char *rig_tcp_state_name(enum rig_tcp_state state)
{
	switch (state) {
	case RIG_TCP_CLOSED:
		return "closed";
	case RIG_TCP_SYN_SENT:
		return "SYN sent";
	case RIG_TCP_SYN_RECEIVED:
		return "SYN received";
	case RIG_TCP_OPEN:
		return "open";
	case RIG_TCP_FINISHED:
		return "finished";
	case RIG_TCP_RESET:
		return "reset";
	case RIG_TCP_TIMED_OUT:
		return "timed out";
	}
	return "?";
}
