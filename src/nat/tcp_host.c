/* What host sockets report. They are edge-triggered: each event is remembered until -EAGAIN. */
#include "nat/tcp_internal.h"

#include <sys/epoll.h>

#define END_EVENTS  (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define READ_EVENTS (EPOLLIN | END_EVENTS)

void tcp_host_failed(struct tcp_flow *flow)
{
	enum tcp_send_result result;

	if (flow->phase == TCP_PHASE_ORPHAN) {
		tcp_end_silent(flow);
		return;
	}
	if (flow->failed)
		return;
	flow->failed = true;
	flow->readable = true;
	flow->hung_up = true;
	do
		result = tcp_send_once(flow);
	while (result == TCP_SEND_MORE);
	if (result != TCP_SEND_ENDED)
		tcp_end_abort(flow);
}

static void open_ready(struct tcp_flow *flow, uint32_t events)
{
	if (events & EPOLLERR && !(flow->up_finished && flow->backlog.ended)) {
		tcp_host_failed(flow);
		return;
	}
	if (events & READ_EVENTS) {
		flow->readable = true;
		tcp_flow_want_send(flow);
	}
	if (events & EPOLLOUT) {
		flow->writable = true;
		(void)tcp_receive_flush(flow);
	}
}

void tcp_host_ready(struct host_socket *socket, uint32_t events)
{
	struct tcp_flow *flow = container_of(socket, struct tcp_flow, socket);

	if (!tcp_review_passes(flow))
		return;
	if (events & END_EVENTS)
		flow->hung_up = true;
	if (events & EPOLLPRI)
		flow->urgent = true;
	switch (flow->phase) {
	case TCP_PHASE_CONNECTING:
		if (events & READ_EVENTS)
			flow->readable = true;
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			tcp_open_decided(flow);
		break;
	case TCP_PHASE_SYN_RECEIVED:
	case TCP_PHASE_SYN_SENT:
		if (events & READ_EVENTS)
			flow->readable = true;
		if (events & EPOLLERR)
			tcp_end_abort(flow);
		break;
	case TCP_PHASE_OPEN:
		open_ready(flow, events);
		break;
	case TCP_PHASE_ORPHAN:
		if (events & EPOLLERR) {
			tcp_end_silent(flow);
		} else if (events & EPOLLOUT) {
			flow->writable = true;
			(void)tcp_receive_flush(flow);
		}
		break;
	case TCP_PHASE_TIME_WAIT:
	case TCP_PHASE_FREE:
		break;
	}
}
