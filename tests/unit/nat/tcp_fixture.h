#pragma once
/*
 * TCP under test: the real room over a fake host, a fake clock and a sink that keeps what goes to
 * the guest. Just enough for one guest endpoint after another; the scenario rig has whole peers.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "nat/tcp_internal.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/packet_build.h"

#define UNUSED __attribute__((unused))

#define FIXTURE_SOCKETS	 6000
#define FIXTURE_SEGMENTS 2048
#define FIXTURE_STREAM	 (2 * 1024 * 1024)
#define FIXTURE_PORT	 3
#define GUEST_ISN	 UINT32_C(1000)
#define GUEST_MSS	 1460

struct fake_socket {
	struct host_socket *socket;
	struct ip_endpoint to;
	int connect_result; /* what tcp_result() says */
	uint8_t *up;	    /* what the guest sent */
	size_t up_size;
	size_t up_limit; /* more is -EAGAIN */
	int send_error;
	uint8_t *down; /* what the guest shall get */
	size_t down_head;
	size_t down_size;
	size_t down_mark; /* an urgent byte is behind so many: a read stops there. 0: none */
	size_t peek_offset;
	const void *last_peek; /* where the last peek put its bytes */
	bool down_ended;
	int down_error; /* after the bytes */
	bool finished;
	bool kept_alive;
	bool closed;
	bool reset;
};

struct seen_segment {
	struct tcp_header header;
	size_t size;
	size_t at; /* in payload */
	uint16_t gso_size;
	bool in_place;
	bool is_icmp;
	uint8_t icmp_type;
	uint8_t icmp_code;
	struct ip_endpoint from;
	struct ip_endpoint to;
};

struct fixture {
	struct host host;
	struct frame_sink to_guest;
	struct clock clock;
	uint64_t now_ns;
	struct random_seeded random;
	struct drop_counters drops;
	struct loop *loop;
	struct nat *nat;
	struct fake_socket sockets[FIXTURE_SOCKETS];
	int socket_count;
	int connect_error; /* of the next tcp_connect() itself */
	int take_error;	   /* of the next tcp_take() */
	bool peek_unavailable;
	struct ip_endpoint waiting[16]; /* clients that accept() gives */
	int waiting_count;
	struct host_socket listener;
	struct host_stream_service dns;
	size_t room;
	size_t place_size; /* what the guest's own memory takes now; 0 = it has none */
	uint8_t place[128 << 10];
	struct seen_segment seen[FIXTURE_SEGMENTS];
	size_t seen_first;
	size_t seen_count;
	uint8_t payload[4 * 1024 * 1024];
	size_t payload_used;
	struct ip_endpoint guest;
	struct ip_endpoint remote;
	uint32_t port;	   /* the bridge port that the guest's segments come by */
	uint32_t sequence; /* the guest's next one */
	uint32_t acknowledgement;
	uint8_t scale; /* of our windows, as the guest was told */
	uint32_t edge; /* right-most edge that the guest was given */
	bool edge_is_set;
};

static struct fixture *fixture;

static inline struct fake_socket *fake_of(const struct host_socket *socket)
{
	assert_true(socket->fd >= 0 && socket->fd < fixture->socket_count);
	return &fixture->sockets[socket->fd];
}

static inline struct fake_socket *fake_open(struct host_socket *socket)
{
	struct fake_socket *fake = &fixture->sockets[fixture->socket_count];

	assert_true(fixture->socket_count < FIXTURE_SOCKETS);
	*fake = (struct fake_socket){
		.socket = socket,
		.connect_result = -EINPROGRESS,
		.up_limit = FIXTURE_STREAM,
	};
	socket->fd = fixture->socket_count++;
	return fake;
}

static inline int fake_connect(struct host *host, struct host_socket *socket,
			       const struct ip_endpoint *to)
{
	(void)host;
	if (fixture->connect_error)
		return fixture->connect_error;
	fake_open(socket)->to = *to;
	return -EINPROGRESS;
}

static inline int fake_result(struct host *host, struct host_socket *socket)
{
	(void)host;
	return fake_of(socket)->connect_result;
}

static inline int fake_accept(struct host *host, struct host_socket *listener,
			      struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
			      struct ip_endpoint *ret_local)
{
	(void)host;
	(void)listener;
	if (fixture->waiting_count == 0)
		return -EAGAIN;
	fake_open(ret_socket)->connect_result = 0;
	*ret_peer = fixture->waiting[--fixture->waiting_count];
	if (ret_local)
		*ret_local = *ret_peer;
	return 0;
}

/* A pair's other end is 127.0.0.1, port `fd`. */
static inline int fake_take(struct host *host, struct host_socket *socket, int fd,
			    struct ip_endpoint *ret_peer)
{
	(void)host;
	if (fixture->take_error)
		return fixture->take_error;
	fake_open(socket)->connect_result = 0;
	*ret_peer = (struct ip_endpoint){ ip_addr_from_v4(INADDR_LOOPBACK), (uint16_t)fd };
	return 0;
}

static inline size_t copy_out(const struct fake_socket *fake, size_t offset,
			      const struct iovec *iov, size_t count)
{
	size_t at = fake->down_head + offset;
	size_t end = at < fake->down_mark ? fake->down_mark : fake->down_size;
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		size_t part = end - at - done;

		if (part > iov[i].iov_len)
			part = iov[i].iov_len;
		if (part == 0)
			break;
		memcpy(iov[i].iov_base, fake->down + at + done, part);
		done += part;
	}
	return done;
}

static inline ssize_t fake_nothing(const struct fake_socket *fake)
{
	if (fake->down_error)
		return fake->down_error;
	return fake->down_ended ? 0 : -EAGAIN;
}

static inline ssize_t fake_receive(struct host *host, struct host_socket *socket,
				   const struct iovec *iov, size_t count)
{
	struct fake_socket *fake = fake_of(socket);
	size_t got = copy_out(fake, 0, iov, count);

	(void)host;
	fake->down_head += got;
	return got ? (ssize_t)got : fake_nothing(fake);
}

static inline ssize_t fake_peek(struct host *host, struct host_socket *socket,
				const struct iovec *iov, size_t count)
{
	struct fake_socket *fake = fake_of(socket);
	size_t got = copy_out(fake, fake->peek_offset, iov, count);

	(void)host;
	fake->peek_offset += got;
	if (got)
		fake->last_peek = iov[0].iov_base;
	return got ? (ssize_t)got : fake_nothing(fake);
}

static inline int fake_set_peek_offset(struct host *host, struct host_socket *socket, size_t offset)
{
	(void)host;
	if (fixture->peek_unavailable)
		return -EOPNOTSUPP;
	fake_of(socket)->peek_offset = offset;
	return 0;
}

static inline ssize_t fake_discard(struct host *host, struct host_socket *socket, size_t size)
{
	struct fake_socket *fake = fake_of(socket);

	(void)host;
	assert_true(size <= fake->down_size - fake->down_head);
	fake->down_head += size;
	fake->peek_offset -= size < fake->peek_offset ? size : fake->peek_offset;
	return (ssize_t)size;
}

static inline ssize_t fake_send(struct host *host, struct host_socket *socket,
				const struct iovec *iov, size_t count)
{
	struct fake_socket *fake = fake_of(socket);
	size_t done = 0;

	(void)host;
	assert_false(fake->finished);
	if (fake->send_error)
		return fake->send_error;
	if (!fake->up)
		fake->up = malloc(FIXTURE_STREAM);
	for (size_t i = 0; i < count; i++) {
		size_t part = iov[i].iov_len;

		if (part > fake->up_limit - fake->up_size)
			part = fake->up_limit - fake->up_size;
		if (part > 0)
			memcpy(fake->up + fake->up_size, iov[i].iov_base, part);
		fake->up_size += part;
		done += part;
	}
	return done ? (ssize_t)done : -EAGAIN;
}

static inline void fake_keep_alive(struct host *host, struct host_socket *socket)
{
	(void)host;
	fake_of(socket)->kept_alive = true;
}

static inline int fake_finish(struct host *host, struct host_socket *socket)
{
	(void)host;
	assert_false(fake_of(socket)->finished);
	fake_of(socket)->finished = true;
	return 0;
}

static inline void fake_close(struct host *host, struct host_socket *socket)
{
	(void)host;
	if (socket->fd == -1)
		return;
	fake_of(socket)->closed = true;
	socket->fd = -1;
}

static inline void fake_reset(struct host *host, struct host_socket *socket)
{
	(void)host;
	if (socket->fd == -1)
		return;
	fake_of(socket)->reset = true;
	socket->fd = -1;
}

static inline bool fake_is_local(struct host *host, const struct ip_addr *addr)
{
	(void)host;
	(void)addr;
	return false;
}

static inline bool fake_default_source(struct host *host, enum ip_family family,
				       struct ip_addr *ret_addr)
{
	(void)host;
	(void)family;
	(void)ret_addr;
	return false;
}

static inline int fake_echo_open(struct host *host, struct host_socket *socket,
				 enum ip_family family, uint16_t *ret_ident)
{
	(void)host;
	(void)socket;
	(void)family;
	(void)ret_ident;
	return -EACCES;
}

static const struct host_ops fake_host_ops = {
	.echo_open = fake_echo_open,
	.tcp_connect = fake_connect,
	.tcp_result = fake_result,
	.tcp_accept = fake_accept,
	.tcp_take = fake_take,
	.receive = fake_receive,
	.peek = fake_peek,
	.set_peek_offset = fake_set_peek_offset,
	.discard = fake_discard,
	.send = fake_send,
	.keep_alive = fake_keep_alive,
	.finish = fake_finish,
	.close = fake_close,
	.reset = fake_reset,
	.is_local = fake_is_local,
	.default_source = fake_default_source,
};

static inline int fake_dns_open(struct host_stream_service *service, struct host_socket *flow_side,
				uint32_t port)
{
	(void)service;
	assert_int_equal(port, fixture->port);
	fake_open(flow_side);
	return 0;
}

/* The window's promise never shrinks (RFC 9293 3.8.6). */
static inline void check_edge(const struct tcp_header *header)
{
	uint8_t shift = header->flags & TCP_SYN ? 0 : fixture->scale;
	uint32_t edge = header->acknowledgement + ((uint32_t)header->window << shift);

	if (header->flags & TCP_SYN) {
		fixture->edge_is_set = false;
		fixture->scale = header->flags & TCP_ACK && header->has_window_scale
					 ? header->window_scale
					 : 0;
	}
	if (!(header->flags & TCP_ACK) || header->flags & TCP_RST)
		return;
	if (fixture->edge_is_set)
		assert_true(tcp_seq_after_equal(edge, fixture->edge));
	if (!fixture->edge_is_set || tcp_seq_after(edge, fixture->edge))
		fixture->edge = edge;
	fixture->edge_is_set = true;
}

static inline void sink_push(struct frame_sink *sink, struct frame *frame)
{
	struct seen_segment *seen = &fixture->seen[fixture->seen_count++];
	struct reader reader = reader_of(frame->header, frame->header_size);

	(void)sink;
	assert_true(fixture->seen_count <= FIXTURE_SEGMENTS);
	assert_true(fixture->payload_used + frame->payload_size <= sizeof(fixture->payload));
	*seen = (struct seen_segment){
		.size = frame->payload_size,
		.at = fixture->payload_used,
		.gso_size = frame->offload.gso == FRAME_GSO_NONE ? 0 : frame->offload.gso_size,
		.in_place = frame->in_place,
		.from = { frame->packet.ip_source, frame->packet.port_source },
		.to = { frame->packet.ip_destination, frame->packet.port_destination },
	};
	if (frame->packet.ip_protocol == PACKET_IP_PROTOCOL_ICMP) {
		seen->is_icmp = true;
		seen->icmp_type = frame->packet.icmp_type;
		seen->icmp_code = frame->packet.icmp_code;
		return;
	}
	reader_skip(&reader, frame->packet.l4_offset);
	assert_true(tcp_parse(&reader, &seen->header));
	frame_copy_payload(frame, 0, fixture->payload + fixture->payload_used, seen->size);
	fixture->payload_used += seen->size;
	if (ip_endpoint_equal(&seen->to, &fixture->guest))
		check_edge(&seen->header);
}

static inline void sink_flush(struct frame_sink *sink)
{
	(void)sink;
}

static inline size_t sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	(void)port;
	return fixture->room;
}

/* A guest's buffers of PLACE_BUFFER bytes each, the first with the headers in front. */
#define PLACE_BUFFER 1536

static inline size_t sink_reserve(struct frame_sink *sink, uint32_t port, size_t header_size,
				  size_t size, struct iovec *ret_parts, size_t capacity,
				  size_t *ret_count)
{
	size_t used = header_size;
	size_t left = size < fixture->place_size ? size : fixture->place_size;
	size_t done = 0;

	(void)sink;
	assert_int_equal(port, FIXTURE_PORT);
	*ret_count = 0;
	for (size_t at = 0; done < left && *ret_count < capacity; at += PLACE_BUFFER, used = 0) {
		size_t part = PLACE_BUFFER - used;

		part = part < left - done ? part : left - done;
		ret_parts[(*ret_count)++] = (struct iovec){ fixture->place + at + used, part };
		done += part;
	}
	return done;
}

static const struct frame_sink_ops sink_ops = {
	.push = sink_push,
	.flush = sink_flush,
	.room = sink_room,
	.reserve = sink_reserve,
};

static inline uint64_t fixture_now(const struct clock *clock)
{
	(void)clock;
	return fixture->now_ns;
}

/* Enough batches for a whole window, a few frames each. */
static inline void run(void)
{
	for (int i = 0; i < 12; i++)
		assert_int_equal(loop_run_once(fixture->loop, 0), 0);
}

/* In steps, so that every timer sees about its own time. */
static inline void UNUSED advance_ms(uint64_t ms)
{
	uint64_t step = ms > 100000 ? 5000 : 10;

	for (; ms > 0; ms -= step < ms ? step : ms) {
		fixture->now_ns += (step < ms ? step : ms) * NS_PER_MS;
		assert_int_equal(loop_run_once(fixture->loop, 0), 0);
	}
	run();
}

struct fixture_options {
	enum nat_backlog backlog;
	uint32_t flow_capacity;
	uint32_t half_open_capacity;
	uint32_t mtu;
};

static inline void fixture_new(struct fixture_options options)
{
	struct nat_config config = {
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.addr = ip_addr_from_v4(0x0a000001),
		.subnet = { ip_addr_from_v4(0x0a000000), 24 },
		.mtu = options.mtu ? options.mtu : 1500,
		.outbound = true,
		.backlog = options.backlog,
		.flow_capacity = options.flow_capacity ? options.flow_capacity : 256,
		.half_open_capacity = options.half_open_capacity ? options.half_open_capacity : 64,
		.udp_socket_capacity = 64,
		.port_capacity = 8,
	};
	struct nat_context context;

	fixture = calloc(1, sizeof(*fixture));
	fixture->host.ops = &fake_host_ops;
	fixture->to_guest.ops = &sink_ops;
	fixture->clock.now_ns = fixture_now;
	fixture->now_ns = 1000 * NS_PER_S;
	fixture->room = SIZE_MAX;
	fixture->port = FIXTURE_PORT;
	fixture->dns.open = fake_dns_open;
	fixture->guest = (struct ip_endpoint){ ip_addr_from_v4(0x0a000002), 40000 };
	fixture->remote = (struct ip_endpoint){ ip_addr_from_v4(0x5db8d822), 80 };
	random_seeded_init(&fixture->random, 7);
	assert_int_equal(loop_new(&fixture->clock, &fixture->loop), 0);
	context = (struct nat_context){
		.loop = fixture->loop,
		.random = &fixture->random.random,
		.drops = &fixture->drops,
		.host = &fixture->host,
		.to_guest = &fixture->to_guest,
		.dns_stream = &fixture->dns,
		.documents = &fixture->dns, /* what it says is up to the test */
	};
	assert_int_equal(nat_new(&config, &context, &fixture->nat), 0);
	run();
}

static inline void fixture_free(void)
{
	nat_free(fixture->nat);
	loop_free(fixture->loop);
	for (int i = 0; i < fixture->socket_count; i++) {
		assert_true(fixture->sockets[i].closed || fixture->sockets[i].reset);
		if (fixture->sockets[i].up)
			free(fixture->sockets[i].up);
		if (fixture->sockets[i].down)
			free(fixture->sockets[i].down);
	}
	free(fixture);
	fixture = NULL;
}

static inline int UNUSED setup_kept(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .backlog = NAT_BACKLOG_KEPT });
	return 0;
}

static inline int UNUSED setup_peek(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .backlog = NAT_BACKLOG_PEEK });
	return 0;
}

static inline int UNUSED teardown(void **state)
{
	(void)state;
	fixture_free();
	return 0;
}

#define TEST_BOTH(function)                                                                        \
	{ #function " (kept)", function, setup_kept, teardown, NULL },                             \
	{                                                                                          \
#function " (peek)", function, setup_peek, teardown, NULL                          \
	}
#define TEST_PEEK(function)                                                                        \
	{                                                                                          \
#function, function, setup_peek, teardown, NULL                                    \
	}
#define TEST_KEPT(function)                                                                        \
	{                                                                                          \
#function, function, setup_kept, teardown, NULL                                    \
	}

static inline uint64_t UNUSED drops(enum drop_reason reason)
{
	return fixture->drops.count[reason];
}

/* A segment from the guest; the loop does not run. */
static inline void guest_push(const struct tcp_header *header, const void *payload, size_t size,
			      bool corrupt)
{
	struct packet_link link = { .source = { { 2, 0, 0, 0, 0, 9 } } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct frame *frame = malloc(sizeof(*frame));
	uint8_t *bytes = malloc(FRAME_MAX_SIZE);
	enum drop_reason reason;
	size_t whole;
	uint16_t sum;

	assert_true(packet_build_tcp(frame, &link, &fixture->guest, &fixture->remote, header, &part,
				     size > 0 ? 1 : 0, 0));
	whole = frame_copy(frame, bytes, FRAME_MAX_SIZE);
	assert_true(whole > 0);
	/* Completed here, so that the room has a checksum to verify. */
	sum = checksum_finish(checksum_add(0, bytes + frame->packet.l4_offset,
					   whole - frame->packet.l4_offset, false));
	bytes[frame->packet.l4_offset + TCP_CHECKSUM_OFFSET] = (uint8_t)(sum >> 8);
	bytes[frame->packet.l4_offset + TCP_CHECKSUM_OFFSET + 1] = (uint8_t)sum;
	if (corrupt)
		bytes[whole - 1] ^= 0x40;
	assert_true(frame_from_bytes(frame, bytes, whole, fixture->port, &reason));
	frame_sink_push(nat_guest_side(fixture->nat), frame);
	free(frame);
	free(bytes);
}

static inline void UNUSED guest_send(uint8_t flags, uint32_t sequence, uint32_t acknowledgement,
				     uint16_t window, const void *payload, size_t size)
{
	struct tcp_header header = {
		.sequence = sequence,
		.acknowledgement = acknowledgement,
		.flags = flags,
		.window = window,
	};

	guest_push(&header, payload, size, false);
}

/* Many of these are one batch. */
static inline void UNUSED guest_syn_in_batch(uint32_t sequence)
{
	struct tcp_header header = {
		.sequence = sequence,
		.flags = TCP_SYN,
		.window = 65535,
		.has_mss = true,
		.mss = GUEST_MSS,
		.has_window_scale = true,
		.window_scale = 7,
	};

	guest_push(&header, NULL, 0, false);
}

static inline void UNUSED guest_syn(uint32_t sequence)
{
	guest_syn_in_batch(sequence);
	run();
}

/* The next one that went to the guest, or NULL. */
static inline struct seen_segment *next_segment(void)
{
	if (fixture->seen_first == fixture->seen_count)
		return NULL;
	return &fixture->seen[fixture->seen_first++];
}

static inline struct seen_segment *UNUSED expect_segment(uint8_t flags)
{
	struct seen_segment *seen = next_segment();

	if (!seen) {
		fail_msg("no segment went to the guest, want flags %#x", flags);
		abort();
	}
	assert_false(seen->is_icmp);
	assert_int_equal(seen->header.flags & ~TCP_PSH, flags);
	return seen;
}

static inline void UNUSED expect_nothing(void)
{
	assert_null(next_segment());
}

static inline void UNUSED forget_segments(void)
{
	fixture->seen_first = 0;
	fixture->seen_count = 0;
	fixture->payload_used = 0;
}

static inline struct fake_socket *UNUSED last_socket(void)
{
	assert_true(fixture->socket_count > 0);
	return &fixture->sockets[fixture->socket_count - 1];
}

/* Events of the socket, and what follows in the batch. */
static inline void UNUSED raise(struct fake_socket *fake, uint32_t events)
{
	assert_int_not_equal(fake->socket->fd, -1);
	fake->socket->ready(fake->socket, events);
	run();
}

/* More bytes for the guest. */
static inline void UNUSED host_gives(struct fake_socket *fake, const void *bytes, size_t size)
{
	if (!fake->down)
		fake->down = malloc(FIXTURE_STREAM);
	assert_true(fake->down_size + size <= FIXTURE_STREAM);
	memcpy(fake->down + fake->down_size, bytes, size);
	fake->down_size += size;
	raise(fake, fake->down_ended ? EPOLLIN | EPOLLRDHUP : EPOLLIN); /* as the kernel does */
}

static inline void UNUSED fill_pattern(uint8_t *bytes, size_t size, size_t from)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)((from + i) * 31 + (from + i) / 251);
}

/* A connection opened by the guest, up to its ACK. window: as on the wire, scaled by 7. */
static inline struct fake_socket *UNUSED open_flow(uint16_t window)
{
	struct fake_socket *fake;
	struct seen_segment *seen;

	guest_syn(GUEST_ISN);
	expect_nothing();
	fake = last_socket();
	fake->connect_result = 0;
	raise(fake, EPOLLOUT);
	seen = expect_segment(TCP_SYN | TCP_ACK);
	assert_int_equal(seen->header.acknowledgement, GUEST_ISN + 1);
	assert_true(seen->header.has_window_scale);
	fixture->sequence = GUEST_ISN + 1;
	fixture->acknowledgement = seen->header.sequence + 1;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, window, NULL, 0);
	run();
	expect_nothing();
	return fake;
}
