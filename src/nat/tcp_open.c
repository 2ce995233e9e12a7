/*
 * Opening. From a guest: connect first, then answer, so that the guest sees what the far end says.
 *
 *     SYN -> connect()    connected     SYN-ACK, then the guest's ACK
 *                         refused       RST
 *                         unreachable   ICMP
 *                         timed out     silence, as the far end was
 *
 * Towards a guest (a forward's client is accepted already): SYN, repeated for 3 s.
 */
#include "nat/tcp_internal.h"

#include <errno.h>

#include "nat/icmp_flow.h"
#include "wire/dns.h"
#include "wire/http.h"
#include "wire/icmp.h"

/* Ephemeral ports of RFC 6335, for a client whose own port is taken. */
#define CLIENT_PORT_FIRST 49152
#define CLIENT_PORT_TRIES 64

/* RFC 6528: a clock of 4 us, and an offset that only we can compute. */
static uint32_t initial_sequence(const struct tcp_table *table, const struct ip_endpoint *guest,
				 const struct ip_endpoint *remote)
{
	struct tcp_key key = tcp_key_of(guest, remote);

	return (uint32_t)siphash(&table->initial_key, key.bytes, key.size) +
	       (uint32_t)(nat_now(table->nat) / (4 * NS_PER_US));
}

static void start_sequence(struct tcp_flow *flow, uint32_t initial)
{
	flow->send_initial = initial;
	flow->send_unacknowledged = initial;
	flow->send_next = initial + 1;
	flow->send_most = initial + 1;
	tcp_ack_start(flow);
}

static void take_options(struct tcp_flow *flow, const struct tcp_header *header)
{
	uint16_t most = tcp_mss_of_mtu(tcp_flow_nat(flow));
	uint16_t mss = header->has_mss && header->mss > 0 ? header->mss : TCP_MSS_DEFAULT_V4;

	if (mss < TCP_MSS_MIN)
		mss = TCP_MSS_MIN;
	flow->mss = mss < most ? mss : most;
	flow->scaled = header->has_window_scale;
	flow->send_shift = flow->scaled ? header->window_scale : 0;
	flow->send_window = header->window; /* never scaled in a SYN */
	flow->send_window_most = header->window;
	flow->window_sequence = header->sequence;
	flow->receive_initial = header->sequence;
	flow->receive_next = header->sequence + 1;
	flow->receive_acknowledged = flow->receive_next;
	tcp_window_start(flow);
}

void tcp_open_take_syn(struct tcp_flow *flow, const struct tcp_header *header)
{
	take_options(flow, header);
	flow->window_acknowledgement = flow->send_initial;
}

/* Connected: it takes bytes. That it has some is announced, also where it had them before it was
 * watched. */
static void socket_is_open(struct tcp_flow *flow)
{
	flow->writable = true;
}

/* The port that the guest answered by decides. A pair of sockets inside the process has nothing to
 * peek at for the sake of a guest's memory. */
static void start_backlog(struct tcp_flow *flow)
{
	struct tcp_backlog_source source = tcp_flow_source(flow);
	enum nat_backlog kind = nat_port_backlog(tcp_flow_nat(flow), flow->port);

	if (flow->own_service)
		kind = NAT_BACKLOG_KEPT;
	flow->may_peek = kind == NAT_BACKLOG_ADAPTIVE;
	tcp_backlog_init(&flow->backlog, flow->may_peek ? NAT_BACKLOG_KEPT : kind, &source);
}

static void answer_syn(struct tcp_flow *flow)
{
	flow->phase = TCP_PHASE_SYN_RECEIVED;
	tcp_timer_measure(flow, flow->send_initial + 1);
	tcp_output_syn(flow);
	tcp_timer_restart(flow);
}

static void connected(struct tcp_flow *flow)
{
	tcp_flow_end_half_open(flow);
	timer_clear(nat_timers(tcp_flow_nat(flow)), &flow->idle);
	socket_is_open(flow);
	answer_syn(flow);
}

static void send_unreachable(struct tcp_flow *flow, uint8_t code)
{
	struct nat *nat = tcp_flow_nat(flow);
	struct tcp_header syn = {
		.source_port = flow->guest.port,
		.destination_port = flow->remote.port,
		.sequence = flow->receive_initial,
		.flags = TCP_SYN,
	};
	uint8_t quote[TCP_HEADER_SIZE];
	struct writer writer = writer_of(quote, sizeof(quote));

	tcp_build(&writer, &syn);
	icmp_send_error(nat, flow->port, &nat->config.addr, &flow->guest.addr, &flow->remote.addr,
			NAT_PROTOCOL_TCP, ICMP_TYPE_UNREACHABLE, code, 0, quote, writer.position);
}

/* Ends the flow as the host's answer to its connect says. */
static void connect_failed(struct tcp_flow *flow, int rc)
{
	const struct nat *nat = tcp_flow_nat(flow);
	uint8_t code;

	switch (rc) {
	case -ECONNREFUSED:
	case -ECONNRESET:
		tcp_end_abort(flow);
		return;
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
	case -EAGAIN:
	case -EADDRNOTAVAIL:
		nat_drop(nat, DROP_SOCKET_LIMIT);
		break;
	case -ETIMEDOUT:
		break;
	default:
		if (icmp_code_of_error(-rc, &code))
			send_unreachable(flow, code);
		else
			nat_drop(nat, DROP_SOCKET_ERROR);
		break;
	}
	tcp_end_silent(flow);
}

void tcp_open_decided(struct tcp_flow *flow)
{
	int rc = host_call(tcp_flow_host(flow), tcp_result, &flow->socket);

	if (rc == -EINPROGRESS)
		return;
	if (rc < 0)
		connect_failed(flow, rc);
	else
		connected(flow);
}

/* What answers there in place of the host: a service of the gateway's own. NULL: nothing. */
static struct host_stream_service *own_service(const struct nat *nat,
					       const struct ip_endpoint *remote)
{
	if (!ip_addr_equal(&remote->addr, &nat->config.addr))
		return NULL;
	switch (remote->port) {
	case DNS_PORT:
		return nat->context.dns_stream;
	case HTTP_PORT:
		return nat->context.documents;
	default:
		return NULL;
	}
}

/* A guest whose SYN is not wanted is told so, unless a RST would answer to a group (RFC 1122
 * 4.2.3.10) or from an address that is nobody. */
static bool is_single_host(const struct nat *nat, const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) && !ip_addr_is_unspecified(addr) &&
	       !ip_addr_is_multicast(addr) && !ip_addr_is_loopback(addr) &&
	       ip_addr_to_v4(addr) != UINT32_MAX &&
	       ip_addr_to_v4(addr) != ip_prefix_last_v4(&nat->config.subnet);
}

void tcp_open_from_guest(struct nat *nat, struct frame *frame, const struct tcp_header *header,
			 bool has_former, uint32_t at_least)
{
	struct ip_endpoint guest = { frame->packet.ip_source, frame->packet.port_source };
	struct ip_endpoint remote = { frame->packet.ip_destination,
				      frame->packet.port_destination };
	struct host_stream_service *own = own_service(nat, &remote);
	struct tcp_table *table = tcp_table_of(nat);
	enum drop_reason reason = DROP_NAT_OFF;
	struct ip_endpoint real;
	struct tcp_flow *flow;
	uint32_t initial;
	int rc;

	bool may_open = own ? policy_admits(nat, NAT_PROTOCOL_TCP, &remote)
			    : policy_resolve(nat, NAT_PROTOCOL_TCP, &remote, &real, &reason);
	if (own && !may_open)
		reason = DROP_FILTERED;
	if (nat->draining || !may_open) {
		nat_drop(nat, reason);
		if (is_single_host(nat, &remote.addr))
			tcp_output_reset_segment(nat, frame, header);
		return;
	}
	if (!own && !tcp_flood_admits(table, frame->port, &remote)) {
		nat_drop(nat, DROP_HALF_OPEN_LIMIT);
		return;
	}
	flow = tcp_flow_new(table, frame->port);
	if (!flow) {
		nat_drop(nat, DROP_FLOW_LIMIT);
		return;
	}
	flow->phase = TCP_PHASE_CONNECTING;
	tcp_flow_set_ends(flow, &guest, &remote);
	initial = initial_sequence(table, &guest, &remote);
	if (has_former && tcp_seq_before(initial, at_least))
		initial = at_least;
	start_sequence(flow, initial);
	tcp_open_take_syn(flow, header);
	flow->own_service = own != NULL;
	if (own) {
		rc = own->open(own, &flow->socket, frame->port);
		if (rc < 0)
			connect_failed(flow, rc);
		else
			connected(flow);
		return;
	}
	if (!tcp_flow_begin_half_open(flow)) {
		tcp_end_silent(flow);
		return;
	}
	rc = host_call(nat->context.host, tcp_connect, &flow->socket, &real);
	if (rc < 0 && rc != -EINPROGRESS) {
		connect_failed(flow, rc);
		return;
	}
	tcp_timer_idle_in(flow, TCP_CONNECT_NS);
}

void tcp_open_tell(struct tcp_flow *flow, int status)
{
	struct nat_opening *opening = flow->opening;

	flow->opening = NULL;
	if (opening)
		opening->decided(opening, status);
}

void tcp_open_established(struct tcp_flow *flow, const struct tcp_header *header)
{
	tcp_timer_measured(flow, header->acknowledgement);
	start_backlog(flow);
	flow->phase = TCP_PHASE_OPEN;
	flow->retries = 0;
	flow->send_unacknowledged = flow->send_initial + 1;
	flow->send_window = (uint32_t)header->window
			    << (header->flags & TCP_SYN ? 0 : flow->send_shift);
	flow->send_window_most = flow->send_window;
	flow->window_sequence = header->sequence;
	flow->window_acknowledgement = header->acknowledgement;
	tcp_timer_stop(flow);
	tcp_timer_guest_heard(flow);
	tcp_flow_want_send(flow);
	tcp_open_tell(flow, 0);
}

/* A client port with which the connection is not in the table; false when none was found. A
 * connection in TIME_WAIT gives way: its guest has closed. */
static bool find_client_port(struct tcp_table *table, const struct ip_endpoint *guest,
			     struct ip_endpoint *seen, bool *ret_has_former, uint32_t *ret_at_least)
{
	struct random *random = table->nat->context.random;

	for (int i = 0; i < CLIENT_PORT_TRIES; i++) {
		struct tcp_flow *flow = tcp_flow_find(table, guest, seen);

		if (!flow)
			return true;
		if (flow->phase == TCP_PHASE_TIME_WAIT) {
			*ret_has_former = true;
			*ret_at_least = flow->send_most + 1;
			tcp_flow_free(flow);
			return true;
		}
		seen->port = (uint16_t)(CLIENT_PORT_FIRST +
					random_below(random, 65536 - CLIENT_PORT_FIRST));
	}
	return false;
}

/* No flow for it: the client is told at once. */
static int refuse_client(struct nat *nat, struct host_socket *listener)
{
	struct host *host = nat->context.host;
	struct host_socket refused;
	struct ip_endpoint peer;
	int rc;

	host_socket_init(&refused, NULL);
	rc = host_call(host, tcp_accept, listener, &refused, &peer, NULL);
	if (rc < 0)
		return rc;
	nat_drop(nat, nat->draining ? DROP_NAT_OFF : DROP_FLOW_LIMIT);
	host_call(host, reset, &refused);
	return 0;
}

/* The flow has its socket, whose far end is `peer`: sends SYN to the guest. Negative errno: it is gone. */
static int open_to_guest(struct tcp_flow *flow, const struct ip_endpoint *internal,
			 const struct ip_endpoint *peer)
{
	struct tcp_table *table = flow->table;
	struct nat *nat = table->nat;
	struct ip_endpoint seen = policy_client_seen(nat, peer);
	bool has_former = false;
	uint32_t at_least = 0;
	uint32_t initial;

	if (!policy_admits_client(nat, NAT_PROTOCOL_TCP, peer)) {
		nat_drop(nat, DROP_FILTERED);
		tcp_end_silent(flow);
		return -EACCES;
	}
	if (!find_client_port(table, internal, &seen, &has_former, &at_least)) {
		nat_drop(nat, DROP_FLOW_LIMIT);
		tcp_end_silent(flow);
		return -ENOSPC;
	}
	flow->client = peer->addr;
	tcp_flow_set_ends(flow, internal, &seen);
	initial = initial_sequence(table, internal, &seen);
	if (has_former && tcp_seq_before(initial, at_least))
		initial = at_least;
	start_sequence(flow, initial);
	socket_is_open(flow);
	tcp_timer_idle_in(flow, TCP_FORWARD_NS);
	tcp_timer_measure(flow, initial + 1);
	tcp_output_syn(flow);
	tcp_timer_restart(flow);
	return 0;
}

int tcp_accept_to_guest(struct nat *nat, struct host_socket *listener,
			const struct ip_endpoint *internal)
{
	struct tcp_table *table = tcp_table_of(nat);
	struct tcp_flow *flow = nat->draining ? NULL : tcp_flow_new(table, FRAME_PORT_NONE);
	struct ip_endpoint peer;
	int rc;

	if (!flow)
		return refuse_client(nat, listener);
	flow->phase = TCP_PHASE_SYN_SENT;
	rc = host_call(nat->context.host, tcp_accept, listener, &flow->socket, &peer, NULL);
	if (rc < 0) {
		tcp_end_silent(flow);
		return rc;
	}
	(void)open_to_guest(flow, internal, &peer); /* else the client was told */
	return 0;
}

/* No flow for it. */
static int refuse_own(struct nat *nat, int fd)
{
	struct host *host = nat->context.host;
	struct host_socket refused;
	struct ip_endpoint peer;

	host_socket_init(&refused, NULL);
	if (host_call(host, tcp_take, &refused, fd, &peer) == 0)
		host_call(host, reset, &refused);
	nat_drop(nat, nat->draining ? DROP_NAT_OFF : DROP_FLOW_LIMIT);
	return nat->draining ? -ESHUTDOWN : -ENOSPC;
}

int tcp_connect_to_guest(struct nat *nat, const struct ip_endpoint *guest, int fd,
			 struct nat_opening *opening)
{
	struct tcp_table *table = tcp_table_of(nat);
	struct tcp_flow *flow = nat->draining ? NULL : tcp_flow_new(table, FRAME_PORT_NONE);
	struct ip_endpoint peer;
	int rc;

	if (!flow)
		return refuse_own(nat, fd);
	flow->phase = TCP_PHASE_SYN_SENT;
	rc = host_call(nat->context.host, tcp_take, &flow->socket, fd, &peer);
	if (rc < 0) {
		tcp_end_silent(flow);
		return rc;
	}
	rc = open_to_guest(flow, guest, &peer);
	if (rc < 0)
		return rc;
	flow->opening = opening;
	flow->own_client = true;
	return 0;
}
