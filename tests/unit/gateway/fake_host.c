#include "fake_host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static struct fake_host *fake_of(struct host *host)
{
	return container_of(host, struct fake_host, host);
}

static struct fake_socket *socket_at(struct fake_host *fake, int fd)
{
	assert(fd >= 0 && fd < FAKE_SOCKETS && fake->sockets[fd].used);
	return &fake->sockets[fd];
}

static int open_one(struct fake_host *fake, struct host_socket *owner)
{
	for (int i = 0; i < FAKE_SOCKETS; i++) {
		struct fake_socket *socket = &fake->sockets[i];

		if (socket->used)
			continue;
		*socket = (struct fake_socket){
			.used = true,
			.owner = owner,
			.peer = -1,
			.capacity = FAKE_STREAM_SIZE,
		};
		if (owner)
			owner->fd = i;
		fake->open_count++;
		fake->last_opened = i;
		return i;
	}
	return -EMFILE;
}

static void make_streams(struct fake_host *fake, int a, int b)
{
	fake->sockets[a].peer = b;
	fake->sockets[b].peer = a;
	for (int i = 0; i < 2; i++) {
		struct fake_socket *socket = &fake->sockets[i == 0 ? a : b];

		socket->is_stream = true;
		socket->data = malloc(FAKE_STREAM_SIZE);
		assert(socket->data);
	}
}

static int tcp_connect(struct host *host, struct host_socket *socket, const struct ip_endpoint *to)
{
	struct fake_host *fake = fake_of(host);
	int ours;
	int theirs;

	if (fake->refuse_open)
		return -EMFILE;
	theirs = open_one(fake, NULL);
	ours = open_one(fake, socket);
	assert(ours >= 0 && theirs >= 0);
	fake->outward++;
	make_streams(fake, ours, theirs);
	fake->sockets[ours].remote = *to;
	fake->sockets[ours].connect_result = -EINPROGRESS;
	return 0;
}

static int tcp_result(struct host *host, struct host_socket *socket)
{
	return socket_at(fake_of(host), socket->fd)->connect_result;
}

static int stream_pair(struct host *host, struct host_socket *a, struct host_socket *b)
{
	struct fake_host *fake = fake_of(host);

	if (fake->refuse_open)
		return -EMFILE;
	int x = open_one(fake, a);
	int y = open_one(fake, b);

	assert(x >= 0 && y >= 0);
	make_streams(fake, x, y);
	return 0;
}

static ssize_t take_bytes(struct fake_socket *socket, void *buffer, size_t size)
{
	if (socket->size == 0)
		return socket->peer == -1 ? 0 : -EAGAIN;
	if (size > socket->size)
		size = socket->size;
	memcpy(buffer, socket->data, size);
	socket->size -= size;
	memmove(socket->data, socket->data + size, socket->size);
	return (ssize_t)size;
}

static ssize_t put_bytes(struct fake_host *fake, struct fake_socket *socket, const void *bytes,
			 size_t size)
{
	struct fake_socket *peer;

	if (socket->peer == -1)
		return -EPIPE;
	peer = &fake->sockets[socket->peer];
	if (peer->size >= peer->capacity)
		return -EAGAIN;
	if (size > peer->capacity - peer->size)
		size = peer->capacity - peer->size;
	memcpy(peer->data + peer->size, bytes, size);
	peer->size += size;
	return (ssize_t)size;
}

static ssize_t stream_receive(struct host *host, struct host_socket *socket,
			      const struct iovec *iov, size_t count)
{
	assert(count == 1);
	return take_bytes(socket_at(fake_of(host), socket->fd), iov->iov_base, iov->iov_len);
}

static int stream_finish(struct host *host, struct host_socket *socket)
{
	socket_at(fake_of(host), socket->fd)->finished = true;
	return 0;
}

static ssize_t stream_send(struct host *host, struct host_socket *socket, const struct iovec *iov,
			   size_t count)
{
	struct fake_host *fake = fake_of(host);

	assert(count == 1);
	return put_bytes(fake, socket_at(fake, socket->fd), iov->iov_base, iov->iov_len);
}

static void close_number(struct fake_host *fake, int fd)
{
	struct fake_socket *socket = socket_at(fake, fd);

	if (socket->peer != -1)
		fake->sockets[socket->peer].peer = -1;
	free(socket->data);
	*socket = (struct fake_socket){ .peer = -1 };
}

static void socket_close(struct host *host, struct host_socket *socket)
{
	if (socket->fd == -1)
		return;
	close_number(fake_of(host), socket->fd);
	socket->fd = -1;
}

static int udp_open(struct host *host, struct host_socket *socket, const struct ip_endpoint *at,
		    struct ip_endpoint *ret_bound)
{
	struct fake_host *fake = fake_of(host);
	int fd;

	if (fake->refuse_open)
		return -EMFILE;
	fd = open_one(fake, socket);
	if (fd < 0)
		return fd;
	fake->outward++;
	*ret_bound = *at;
	return 0;
}

static ssize_t udp_send(struct host *host, struct host_socket *socket,
			const struct host_datagram *datagram, const struct iovec *iov, size_t count)
{
	struct fake_host *fake = fake_of(host);
	struct fake_socket *fake_socket = socket_at(fake, socket->fd);

	assert(count == 1 && iov->iov_len <= FAKE_DATAGRAM_MAX);
	if (fake->send_error)
		return fake->send_error;
	fake_socket->sent_count++;
	fake_socket->remote = datagram->remote;
	fake_socket->sent.remote = datagram->remote;
	fake_socket->sent.size = iov->iov_len;
	memcpy(fake_socket->sent.bytes, iov->iov_base, iov->iov_len);
	return (ssize_t)iov->iov_len;
}

static ssize_t udp_receive(struct host *host, struct host_socket *socket,
			   struct host_datagram *ret_datagram, void *buffer, size_t size)
{
	struct fake_socket *fake_socket = socket_at(fake_of(host), socket->fd);
	const struct fake_datagram *waiting = &fake_socket->waiting;
	int error = fake_socket->error;

	if (error) {
		fake_socket->error = 0;
		return error;
	}
	if (!fake_socket->has_waiting)
		return -EAGAIN;
	fake_socket->has_waiting = false;
	if (size > waiting->size)
		size = waiting->size;
	*ret_datagram = (struct host_datagram){ .remote = waiting->remote, .size = waiting->size };
	memcpy(buffer, waiting->bytes, size);
	return (ssize_t)size;
}

static int error_receive(struct host *host, struct host_socket *socket,
			 struct host_icmp_error *ret_error, uint16_t *ret_sequence, void *buffer,
			 size_t size)
{
	(void)host;
	(void)socket;
	(void)ret_error;
	(void)ret_sequence;
	(void)buffer;
	(void)size;
	return -EAGAIN;
}

static size_t resolvers(struct host *host, struct ip_endpoint *ret_resolvers, size_t capacity)
{
	struct fake_host *fake = fake_of(host);
	size_t count = fake->resolver_count < capacity ? fake->resolver_count : capacity;

	memcpy(ret_resolvers, fake->resolvers, count * sizeof(*ret_resolvers));
	return count;
}

static size_t hosts_lookup(struct host *host, const char *name, enum ip_family family,
			   struct ip_addr *ret_addrs, size_t capacity, bool *ret_known)
{
	struct fake_host *fake = fake_of(host);
	size_t count = 0;

	*ret_known = false;
	for (size_t i = 0; i < fake->hosts_count; i++) {
		if (strcmp(fake->hosts[i].name, name) != 0)
			continue;
		*ret_known = true;
		if (fake->hosts[i].addr.family == family && count < capacity)
			ret_addrs[count++] = fake->hosts[i].addr;
	}
	return count;
}

static const struct host_ops fake_ops = {
	.tcp_connect = tcp_connect,
	.tcp_result = tcp_result,
	.receive = stream_receive,
	.send = stream_send,
	.finish = stream_finish,
	.close = socket_close,
	.stream_pair = stream_pair,
	.udp_open = udp_open,
	.udp_send = udp_send,
	.udp_receive = udp_receive,
	.error_receive = error_receive,
	.resolvers = resolvers,
	.hosts_lookup = hosts_lookup,
};

void fake_host_init(struct fake_host *fake)
{
	fake->host.ops = &fake_ops;
	fake->resolver_count = 0;
	fake->hosts_count = 0;
	fake->open_count = 0;
	fake->outward = 0;
	fake->last_opened = -1;
}

void fake_host_done(struct fake_host *fake)
{
	for (int i = 0; i < FAKE_SOCKETS; i++) {
		if (fake->sockets[i].used)
			close_number(fake, i);
	}
}

void fake_host_add_resolver(struct fake_host *fake, const char *addr)
{
	struct ip_endpoint *resolver = &fake->resolvers[fake->resolver_count++];
	bool parsed = ip_addr_parse(addr, &resolver->addr);

	assert(parsed);
	resolver->port = 53;
}

void fake_host_add_name(struct fake_host *fake, const char *name, const char *addr)
{
	struct fake_hosts_entry *entry = &fake->hosts[fake->hosts_count++];
	bool parsed = ip_addr_parse(addr, &entry->addr);

	assert(parsed);
	entry->name = name;
}

unsigned fake_host_open_now(const struct fake_host *fake)
{
	unsigned count = 0;

	for (int i = 0; i < FAKE_SOCKETS; i++)
		count += fake->sockets[i].used && fake->sockets[i].owner;
	return count;
}

int fake_host_find(const struct fake_host *fake, const struct ip_endpoint *remote)
{
	int found = -1;

	for (int i = 0; i < FAKE_SOCKETS; i++) {
		const struct fake_socket *socket = &fake->sockets[i];

		if (!socket->used || !socket->owner || !ip_endpoint_equal(&socket->remote, remote))
			continue;
		if (found != -1)
			return -1;
		found = i;
	}
	return found;
}

void fake_host_ready(struct fake_host *fake, int fd, uint32_t events)
{
	struct host_socket *owner = socket_at(fake, fd)->owner;

	owner->ready(owner, events);
}

void fake_host_deliver(struct fake_host *fake, int fd, const struct ip_endpoint *remote,
		       const void *bytes, size_t size)
{
	struct fake_socket *socket = socket_at(fake, fd);

	assert(size <= FAKE_DATAGRAM_MAX && !socket->has_waiting);
	socket->has_waiting = true;
	socket->waiting.remote = *remote;
	socket->waiting.size = size;
	memcpy(socket->waiting.bytes, bytes, size);
	fake_host_ready(fake, fd, EPOLLIN);
}

void fake_host_fail(struct fake_host *fake, int fd, int error)
{
	socket_at(fake, fd)->error = error;
	fake_host_ready(fake, fd, EPOLLERR);
}

void fake_host_stream_write(struct fake_host *fake, int fd, const void *bytes, size_t size)
{
	struct fake_socket *peer = socket_at(fake, socket_at(fake, fd)->peer);

	if (put_bytes(fake, peer, bytes, size) != (ssize_t)size)
		abort();
	fake_host_ready(fake, fd, EPOLLIN);
}

size_t fake_host_stream_read(struct fake_host *fake, int fd, void *ret_bytes, size_t size)
{
	ssize_t taken = take_bytes(socket_at(fake, socket_at(fake, fd)->peer), ret_bytes, size);

	if (taken <= 0)
		return 0;
	fake_host_ready(fake, fd, EPOLLOUT);
	return (size_t)taken;
}

void fake_host_stream_close(struct fake_host *fake, int fd)
{
	struct fake_socket *socket = socket_at(fake, fd);

	if (socket->peer != -1)
		close_number(fake, socket->peer);
	fake_host_ready(fake, fd, EPOLLIN | EPOLLRDHUP);
}
