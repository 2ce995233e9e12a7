/*
 * Theory of operation
 *
 * Sending: datagrams of a batch that differ in nothing but their bytes become one message that the
 * kernel cuts (UDP_SEGMENT: one walk through its stack for up to 64 datagrams), and up to 64
 * messages leave by one call. sendmmsg() ends at the first message that fails and keeps the reason
 * to itself when others went before it; so that message is tried again, which is also what a
 * pending error of another datagram asks for (datagram.h).
 *
 * Not every way takes what is to be cut: datagrams over the path's MTU, IPsec, kernels without it.
 * Where a message that was put together is refused, the socket remembers the size and its datagrams
 * go singly, each with a result of its own.
 *
 * Receiving: what waits comes by one call. Once a socket had more than one datagram waiting, the
 * kernel is asked to put alike ones together (UDP_GRO) and to keep more of them while others have
 * the processor; a question and its answer do without.
 */

#include "host/datagram_batch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "wire/udp.h"

/* UDP_MAX_SEGMENTS of kernels before 6.9, which is no part of the kernel's headers. */
#define DATAGRAM_SEGMENTS_MOST 64

/* What net.core.rmem_max allows of it; Debian's allows twice what a socket has by itself. At 100,000
 * a second, 1400 bytes each, the default is full within a millisecond. */
#define DATAGRAM_RECEIVE_ROOM (1 << 20)

/* --- sending --- */

static bool datagram_is_alike(const struct host_datagram *a, const struct host_datagram *b)
{
	return a == b ||
	       (a->ttl == b->ttl && a->tos == b->tos && a->dont_fragment == b->dont_fragment &&
		ip_endpoint_equal(&a->remote, &b->remote) && ip_addr_equal(&a->local, &b->local));
}

/* How many of the batch, from its first on, may leave as one message of at most `parts_most` parts;
 * 1 at least. Only the last may be shorter. */
static size_t datagram_run(const struct host_socket *socket, const struct host_outgoing *batch,
			   size_t count, size_t parts_most)
{
	const struct host_outgoing *first = &batch[0];
	uint16_t refused = socket->real.segment_refused;
	size_t size = first->size;
	size_t parts = first->count;
	size_t run = 1;
	if (first->size == 0 || (refused > 0 && first->size >= refused))
		return 1;
	while (run < count && run < DATAGRAM_SEGMENTS_MOST) {
		const struct host_outgoing *next = &batch[run];
		size += next->size;
		parts += next->count;
		if (next->size == 0 || next->size > first->size || size > UDP_PAYLOAD_MAX_V4 ||
		    parts > parts_most || !datagram_is_alike(first->datagram, next->datagram))
			break;
		run++;
		if (next->size < first->size)
			break;
	}
	return run;
}

/* Pieces that stand one behind the other in memory are one piece to the kernel. */
static size_t datagram_join_parts(struct iovec *ret_parts, const struct host_outgoing *batch,
				  size_t count)
{
	size_t used = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < batch[i].count; j++) {
			const struct iovec *part = &batch[i].iov[j];
			struct iovec *last = used > 0 ? &ret_parts[used - 1] : NULL;
			if (last &&
			    (uintptr_t)last->iov_base + last->iov_len == (uintptr_t)part->iov_base)
				last->iov_len += part->iov_len;
			else
				ret_parts[used++] = *part;
		}
	}
	return used;
}

static void datagram_fill_message(struct datagram_sending *sending, size_t index,
				  struct iovec *parts, size_t part_count,
				  const struct host_outgoing *batch, bool v4)
{
	const struct host_datagram *datagram = batch->datagram;
	struct msghdr *message = &sending->messages[index].msg_hdr;
	union datagram_control *control = &sending->controls[index];
	*message = (struct msghdr){
		.msg_name = &sending->addresses[index],
		.msg_namelen =
			ip_endpoint_to_sockaddr(&datagram->remote, &sending->addresses[index]),
		.msg_iov = parts,
		.msg_iovlen = part_count,
	};
	datagram_fill_control(message, control, datagram, v4);
	if (sending->datagrams[index] > 1) {
		uint16_t segment_size = (uint16_t)batch->size;
		message->msg_control = control->bytes;
		datagram_add_control(message, IPPROTO_UDP, UDP_SEGMENT, &segment_size,
				     sizeof(segment_size));
	}
}

/* Messages for the batch's beginning: as many datagrams as there is room for, all with the same DF,
 * which is no property of a message. Returns how many messages. */
static size_t datagram_fill_messages(struct datagram_sending *sending,
				     const struct host_socket *socket,
				     const struct host_outgoing *batch, size_t count)
{
	bool v4 = socket->real.family == IP_FAMILY_V4;
	size_t messages = 0;
	size_t parts = 0;
	for (size_t done = 0; done < count && messages < DATAGRAM_BATCH_MESSAGES; messages++) {
		const struct host_outgoing *next = &batch[done];
		size_t room = DATAGRAM_BATCH_PARTS - parts;
		if (next->count > room ||
		    next->datagram->dont_fragment != batch->datagram->dont_fragment ||
		    datagram_check_family(socket, next->datagram) < 0)
			break;
		size_t run = datagram_run(socket, next, count - done, room);
		size_t used = datagram_join_parts(sending->parts + parts, next, run);
		sending->datagrams[messages] = run;
		datagram_fill_message(sending, messages, sending->parts + parts, used, next, v4);
		parts += used;
		done += run;
	}
	return messages;
}

/* The kernel did not like the message for having many datagrams in it: over the path's MTU
 * (EMSGSIZE, EINVAL on older kernels), a way that transforms packets (EIO), unknown to it (EINVAL). */
static bool datagram_refuses_segments(int error)
{
	return error == EMSGSIZE || error == EINVAL || error == EIO || error == EOPNOTSUPP;
}

/* The first message of the batch failed. True: to be tried once more, perhaps another way. */
static bool datagram_try_again(struct host_socket *socket, const struct host_outgoing *batch,
			       size_t datagrams, int error, bool *tried)
{
	bool v4 = socket->real.family == IP_FAMILY_V4;
	bool many = datagrams > 1;
	/* One with many datagrams leaves no entry in the error queue for its own length. */
	bool again = many ? datagram_error_may_be_pending(error)
			  : datagram_send_again(batch->datagram, batch->size, v4, error);
	if (again && !*tried) {
		*tried = true;
		return true;
	}
	if (!many || !datagram_refuses_segments(error))
		return false;
	socket->real.segment_refused = (uint16_t)batch->size;
	*tried = false;
	return true;
}

size_t datagram_send_batch(struct datagram_sending *sending, struct host_socket *socket,
			   const struct host_outgoing *batch, size_t count, int *ret_error)
{
	size_t done = 0;
	bool tried = false; /* the next one, and it failed */
	while (done < count) {
		const struct host_outgoing *next = &batch[done];
		int rc = datagram_check_family(socket, next->datagram);
		if (rc == 0)
			rc = datagram_set_df(socket, next->datagram->dont_fragment);
		if (rc < 0) {
			*ret_error = rc;
			return done;
		}
		size_t messages = datagram_fill_messages(sending, socket, next, count - done);
		int sent = sendmmsg(socket->fd, sending->messages, (unsigned)messages,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 &&
		    !datagram_try_again(socket, next, sending->datagrams[0], errno, &tried)) {
			*ret_error = -errno;
			return done;
		}
		if (sent < 0)
			continue;
		for (size_t i = 0; i < (size_t)sent; i++)
			done += sending->datagrams[i];
		tried = (size_t)sent < messages;
	}
	return done;
}

/* --- receiving --- */

/* The fields that the kernel reads and writes. */
static void datagram_reset_message(struct datagram_receiving *receiving, size_t index)
{
	struct msghdr *message = &receiving->messages[index].msg_hdr;
	message->msg_namelen = sizeof(receiving->addresses[index]);
	message->msg_controllen = sizeof(receiving->controls[index]);
	message->msg_flags = 0;
}

/* Only what changed since the last call: there are many messages, and mostly one datagram. */
static void datagram_set_buffers(struct datagram_receiving *receiving, uint8_t *buffers)
{
	if (receiving->buffers[0].iov_base == buffers)
		return;
	for (size_t i = 0; i < DATAGRAM_BATCH_MESSAGES; i++) {
		struct msghdr *message = &receiving->messages[i].msg_hdr;
		receiving->buffers[i].iov_base = buffers + i * HOST_DATAGRAM_MAX;
		receiving->buffers[i].iov_len = HOST_DATAGRAM_MAX;
		message->msg_name = &receiving->addresses[i];
		message->msg_iov = &receiving->buffers[i];
		message->msg_iovlen = 1;
		message->msg_control = receiving->controls[i].bytes;
		datagram_reset_message(receiving, i);
	}
}

/* Both only save: where the kernel cannot or may not, datagrams come singly or wait in less room. */
static void datagram_expect_many(struct host_socket *socket)
{
	int on = 1;
	int room = DATAGRAM_RECEIVE_ROOM;
	if (socket->real.expects_many)
		return;
	(void)setsockopt(socket->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	(void)setsockopt(socket->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	socket->real.expects_many = true;
}

ssize_t datagram_receive_batch(struct datagram_receiving *receiving, struct host_socket *socket,
			       struct host_datagram *ret_datagrams, uint8_t *buffers, size_t count)
{
	int got = -1;
	assert(count <= DATAGRAM_BATCH_MESSAGES);
	datagram_set_buffers(receiving, buffers);
	for (int i = 0; i < DATAGRAM_RECEIVE_TRIES && got < 0; i++) {
		/* Ends before `count` when the queue is empty, or at an error that came after the
		 * edge that is being served, and then made another. */
		got = recvmmsg(socket->fd, receiving->messages, (unsigned)count,
			       MSG_TRUNC | MSG_DONTWAIT, NULL);
		if (got < 0 && errno != EINTR && !datagram_error_may_be_pending(errno))
			return -errno;
	}
	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++) {
		if (!datagram_read(&receiving->messages[i].msg_hdr, receiving->messages[i].msg_len,
				   socket->real.kind, &ret_datagrams[i]))
			ret_datagrams[i] = (struct host_datagram){};
		datagram_reset_message(receiving, (size_t)i);
	}
	if (got > 1)
		datagram_expect_many(socket);
	return got;
}
