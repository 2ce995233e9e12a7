/* The sockets of the world, behind struct host. */
#include "world.h"

static struct world_socket *socket_of(const struct host_socket *owner)
{
	assert_true(owner->fd >= 0 && owner->fd < world->socket_count);
	assert_ptr_equal(world->sockets[owner->fd].owner, owner);
	return &world->sockets[owner->fd];
}

static int open_socket(struct host_socket *owner, enum world_kind kind)
{
	if (world->sockets_open >= world->sockets_most)
		return -EMFILE;
	assert_int_equal(owner->fd, -1);
	assert_true(world->socket_count < WORLD_SOCKETS);
	struct world_socket *socket = &world->sockets[world->socket_count];
	*socket = (struct world_socket){ .owner = owner, .kind = kind };
	owner->fd = world->socket_count++;
	world->sockets_open++;
	return 0;
}

static void free_packets(struct world_packet *packet)
{
	while (packet) {
		struct world_packet *next = packet->next;

		free(packet);
		packet = next;
	}
}

static void world_close(struct host *host, struct host_socket *owner)
{
	(void)host;
	if (owner->fd == -1)
		return;
	struct world_socket *socket = socket_of(owner);
	free_packets(socket->in);
	free_packets(socket->errors);
	socket->in = NULL;
	socket->errors = NULL;
	socket->owner = NULL;
	owner->fd = -1;
	world->sockets_open--;
}

static void world_reset(struct host *host, struct host_socket *owner)
{
	if (owner->fd == -1)
		return;
	socket_of(owner)->reset = true;
	world_close(host, owner);
}

static bool endpoint_overlaps(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && a->addr.family == b->addr.family &&
	       (ip_addr_is_unspecified(&a->addr) || ip_addr_is_unspecified(&b->addr) ||
		ip_addr_equal(&a->addr, &b->addr));
}

static int find_bound(enum world_kind kind, const struct ip_endpoint *wanted)
{
	for (int i = 0; i < world->socket_count; i++) {
		const struct world_socket *socket = &world->sockets[i];

		if (socket->owner && socket->kind == kind && endpoint_overlaps(&socket->at, wanted))
			return i;
	}
	return -1;
}

static int open_bound(struct host_socket *owner, enum world_kind kind,
		      const struct ip_endpoint *where, struct ip_endpoint *ret_bound)
{
	struct ip_endpoint bound = *where;

	if (bound.port == 0)
		bound.port = ++world->next_port;
	else if (find_bound(kind, &bound) >= 0)
		return -EADDRINUSE;
	int status = open_socket(owner, kind);
	if (status < 0)
		return status;
	socket_of(owner)->at = bound;
	*ret_bound = bound;
	return 0;
}

static int world_udp_open(struct host *host, struct host_socket *owner,
			  const struct ip_endpoint *where, struct ip_endpoint *ret_bound)
{
	(void)host;
	return open_bound(owner, WORLD_UDP, where, ret_bound);
}

static int world_tcp_listen(struct host *host, struct host_socket *owner,
			    const struct ip_endpoint *where, struct ip_endpoint *ret_bound)
{
	(void)host;
	return open_bound(owner, WORLD_LISTENER, where, ret_bound);
}

static int world_echo_open(struct host *host, struct host_socket *owner, enum ip_family family,
			   uint16_t *ret_ident)
{
	(void)host;
	assert_int_equal(family, IP_FAMILY_V4);
	if (world->no_echo)
		return -EACCES;
	int status = open_socket(owner, WORLD_ECHO);
	if (status < 0)
		return status;
	*ret_ident = ++world->next_port;
	socket_of(owner)->ident = *ret_ident;
	return 0;
}

struct world_packet *world_packet_new(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	struct world_packet *packet = calloc(1, sizeof(*packet) + size);
	for (size_t i = 0; i < count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(packet->bytes + packet->size, iov[i].iov_base, iov[i].iov_len);
		packet->size += iov[i].iov_len;
	}
	return packet;
}

static void packet_append(struct world_packet **queue, struct world_packet *packet)
{
	while (*queue)
		queue = &(*queue)->next;
	*queue = packet;
}

void world_arrive(struct world_socket *socket, struct world_packet *packet)
{
	packet_append(packet->is_error ? &socket->errors : &socket->in, packet);
	socket->events |= packet->is_error ? EPOLLERR : EPOLLIN;
}

/* Between two sockets of ours, by an address of the host. */
static bool send_to_own(const struct world_socket *from, const struct host_datagram *datagram,
			const struct iovec *iov, size_t count)
{
	bool is_v4 = ip_addr_is_v4(&datagram->remote.addr);
	bool is_host = ip_addr_is_loopback(&datagram->remote.addr) ||
		       (is_v4 && (ip_addr_to_v4(&datagram->remote.addr) == HOST_LAN ||
				  ip_addr_to_v4(&datagram->remote.addr) == HOST_OTHER));
	int to = is_host ? find_bound(WORLD_UDP, &datagram->remote) : -1;

	if (to < 0)
		return false;
	struct world_packet *packet = world_packet_new(iov, count);
	struct ip_addr source = datagram->local;
	/* The kernel takes the destination's own address then. */
	if (source.family == IP_FAMILY_NONE)
		source = ip_addr_is_unspecified(&from->at.addr) ? datagram->remote.addr
								: from->at.addr;
	packet->datagram = (struct host_datagram){
		.remote = { source, from->at.port },
		.local = datagram->remote.addr,
		.ttl = datagram->ttl,
		.size = packet->size,
	};
	world_arrive(&world->sockets[to], packet);
	return true;
}

static void remember_sent(const struct host_socket *owner, const struct host_datagram *datagram,
			  uint16_t sequence, const struct iovec *iov, size_t count)
{
	struct world_packet *packet = world_packet_new(iov, count);
	struct world_sent *sent = &world->sent[world->sent_count++];

	assert_true(world->sent_count <= WORLD_SENT);
	*sent = (struct world_sent){
		.socket = owner->fd,
		.datagram = *datagram,
		.sequence = sequence,
		.size = packet->size,
		.bytes = malloc(packet->size + 1),
	};
	memcpy(sent->bytes, packet->bytes, packet->size);
	free(packet);
}

/* What the kernel says to a datagram that it does not take. An oversized one leaves an entry in the
 * error queue that names the address, but neither port nor payload. */
static int refuse_send(struct world_socket *socket, const struct host_datagram *datagram,
		       size_t size)
{
	if (world->send_error < 0)
		return world->send_error;
	if (world->path_mtu == 0 || !datagram->dont_fragment || size + 28 <= world->path_mtu)
		return 0;
	struct world_packet *packet = world_packet_new(NULL, 0);
	packet->is_error = true;
	packet->error = (struct host_icmp_error){
		.remote = { datagram->remote.addr, 0 },
		.error = EMSGSIZE,
		.mtu = world->path_mtu,
	};
	world_arrive(socket, packet);
	return -EMSGSIZE;
}

static ssize_t send_one(struct host_socket *owner, const struct host_datagram *datagram,
			const struct iovec *iov, size_t count, size_t size)
{
	struct world_socket *socket = socket_of(owner);
	int status = refuse_send(socket, datagram, size);

	assert_int_equal(socket->kind, WORLD_UDP);
	if (status < 0)
		return status;
	if (world->fails_with < 0 && world->fails_behind-- == 0) {
		status = world->fails_with;
		world->fails_with = 0;
		return status;
	}
	if (!send_to_own(socket, datagram, iov, count))
		remember_sent(owner, datagram, 0, iov, count);
	return (ssize_t)size;
}

static ssize_t world_udp_send(struct host *host, struct host_socket *owner,
			      const struct host_datagram *datagram, const struct iovec *iov,
			      size_t count)
{
	size_t size = 0;

	(void)host;
	world->send_calls++;
	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	return send_one(owner, datagram, iov, count, size);
}

static size_t world_udp_send_batch(struct host *host, struct host_socket *owner,
				   const struct host_outgoing *batch, size_t count, int *ret_error)
{
	(void)host;
	world->send_calls++;
	for (size_t i = 0; i < count; i++) {
		ssize_t sent = send_one(owner, batch[i].datagram, batch[i].iov, batch[i].count,
					batch[i].size);

		if (sent < 0) {
			*ret_error = (int)sent;
			return i;
		}
		assert_int_equal(sent, batch[i].size);
	}
	return count;
}

static ssize_t world_echo_send(struct host *host, struct host_socket *owner,
			       const struct host_datagram *datagram, uint16_t sequence,
			       const struct iovec *iov, size_t count)
{
	(void)host;
	struct world_socket *socket = socket_of(owner);
	int status = refuse_send(socket, datagram, datagram->size);

	assert_int_equal(socket->kind, WORLD_ECHO);
	if (status < 0)
		return status;
	remember_sent(owner, datagram, sequence, iov, count);
	return (ssize_t)datagram->size;
}

static ssize_t take_datagram(struct host_socket *owner, struct host_datagram *ret_datagram,
			     uint16_t *ret_sequence, void *buffer, size_t size)
{
	struct world_socket *socket = socket_of(owner);
	struct world_packet *packet = socket->in;

	if (socket->receive_error < 0)
		return socket->receive_error;
	if (!packet)
		return -EAGAIN;
	size_t taken = packet->size < size ? packet->size : size;
	memcpy(buffer, packet->bytes, taken);
	*ret_datagram = packet->datagram;
	if (ret_sequence)
		*ret_sequence = packet->sequence;
	socket->in = packet->next;
	free(packet);
	return (ssize_t)taken;
}

static ssize_t world_udp_receive(struct host *host, struct host_socket *owner,
				 struct host_datagram *ret_datagram, void *buffer, size_t size)
{
	(void)host;
	return take_datagram(owner, ret_datagram, NULL, buffer, size);
}

static ssize_t world_udp_receive_batch(struct host *host, struct host_socket *owner,
				       struct host_datagram *ret_datagrams, void *buffers,
				       size_t count)
{
	uint8_t *buffer = buffers;

	(void)host;
	for (size_t i = 0; i < count; i++) {
		ssize_t got =
			take_datagram(owner, &ret_datagrams[i], NULL, buffer, HOST_DATAGRAM_MAX);

		if (got < 0)
			return i > 0 ? (ssize_t)i : got;
		buffer += HOST_DATAGRAM_MAX;
	}
	return (ssize_t)count;
}

static ssize_t world_echo_receive(struct host *host, struct host_socket *owner,
				  struct host_datagram *ret_datagram, uint16_t *ret_sequence,
				  void *buffer, size_t size)
{
	(void)host;
	return take_datagram(owner, ret_datagram, ret_sequence, buffer, size);
}

static int world_error_receive(struct host *host, struct host_socket *owner,
			       struct host_icmp_error *ret_error, uint16_t *ret_sequence,
			       void *buffer, size_t size)
{
	(void)host;
	struct world_socket *socket = socket_of(owner);
	struct world_packet *packet = socket->errors;

	if (!packet)
		return -EAGAIN;
	memcpy(buffer, packet->bytes, packet->size < size ? packet->size : size);
	*ret_error = packet->error;
	if (ret_sequence)
		*ret_sequence = packet->sequence;
	socket->errors = packet->next;
	free(packet);
	return 0;
}

static int world_tcp_connect(struct host *host, struct host_socket *owner,
			     const struct ip_endpoint *to)
{
	(void)host;
	int status = open_socket(owner, WORLD_STREAM);

	if (status < 0)
		return status;
	socket_of(owner)->to = *to;
	return -EINPROGRESS;
}

static int world_tcp_accept(struct host *host, struct host_socket *listener,
			    struct host_socket *ret_socket, struct ip_endpoint *ret_peer,
			    struct ip_endpoint *ret_local)
{
	(void)host;
	struct world_socket *socket = socket_of(listener);

	world->accept_calls++;
	if (socket->waiting_count == 0)
		return -EAGAIN;
	int status = open_socket(ret_socket, WORLD_STREAM);
	if (status < 0)
		return status;
	*ret_peer = socket->waiting[0];
	if (ret_local)
		*ret_local = socket->at;
	socket_of(ret_socket)->to = *ret_peer;
	socket->waiting_count--;
	memmove(socket->waiting, socket->waiting + 1,
		socket->waiting_count * sizeof(socket->waiting[0]));
	return 0;
}

static ssize_t world_receive(struct host *host, struct host_socket *owner, const struct iovec *iov,
			     size_t count)
{
	(void)host;
	(void)owner;
	(void)iov;
	(void)count;
	return -EAGAIN;
}

static bool world_is_local(struct host *host, const struct ip_addr *addr)
{
	(void)host;
	if (!ip_addr_is_v4(addr))
		return ip_addr_is_loopback(addr);
	return ip_addr_is_loopback(addr) || ip_addr_to_v4(addr) == HOST_LAN ||
	       ip_addr_to_v4(addr) == HOST_OTHER;
}

static bool world_default_source(struct host *host, enum ip_family family, struct ip_addr *ret_addr)
{
	(void)host;
	if (family != IP_FAMILY_V4 || world->no_default_route)
		return false;
	*ret_addr = ip_addr_from_v4(HOST_LAN);
	return true;
}

const struct host_ops world_host_ops = {
	.tcp_connect = world_tcp_connect,
	.tcp_listen = world_tcp_listen,
	.tcp_accept = world_tcp_accept,
	.receive = world_receive,
	.close = world_close,
	.reset = world_reset,
	.udp_open = world_udp_open,
	.udp_send = world_udp_send,
	.udp_send_batch = world_udp_send_batch,
	.udp_receive = world_udp_receive,
	.udp_receive_batch = world_udp_receive_batch,
	.echo_open = world_echo_open,
	.echo_send = world_echo_send,
	.echo_receive = world_echo_receive,
	.error_receive = world_error_receive,
	.is_local = world_is_local,
	.default_source = world_default_source,
};
