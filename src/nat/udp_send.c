/*
 * Theory of operation
 *
 * Frames come in batches, and a system call for each would be most of what a datagram costs. But a
 * frame's payload is ours only until push returns, so a datagram that is to leave with the others
 * of its batch is copied: a copy of 1400 bytes costs a tenth of a system call. At the end of the
 * batch, or when there is no room for more, what waits leaves by one call a socket, in the order
 * it came.
 *
 * A guest that asks one question at a time must not wait for the end of its batch. So the first
 * datagram of a batch leaves at once, and uncopied, unless the batch before had several. A
 * super-frame is a batch of its own and leaves from where it stands, and so does what is too long to
 * be worth a copy; whatever waits goes before them.
 *
 * The host says which datagram it did not take, and why; the guest is told of that one, with its
 * own packet, and the others go on. Where a socket or its device has no room, the rest of the batch
 * has none either.
 */

#include "nat/udp_send.h"

#include <assert.h>
#include <errno.h>

#include "nat/icmp_flow.h"
#include "nat/udp_table.h"
#include "wire/frame_segment.h"
#include "wire/iov_cursor.h"

static void udp_send_failed(struct nat *nat, struct host_socket *via, const struct frame *frame,
			    int error)
{
	icmp_refuse_unsent(nat, frame, error, error == EMSGSIZE ? udp_drain_errors(nat, via) : 0);
}

/* What was not sent of batch->outgoing is told by this. */
typedef void udp_send_tell(struct nat *nat, struct host_socket *via, const void *context,
			   size_t index, int error);

/* The first `count` of batch->outgoing. */
static void udp_send_outgoing(struct nat *nat, struct host_socket *via, size_t count,
			      udp_send_tell *tell, const void *context)
{
	const struct host_outgoing *outgoing = nat->shard.udp->batch.outgoing;
	size_t done = 0;

	while (done < count) {
		int error = 0;

		done += host_call(nat->context.host, udp_send_batch, via, outgoing + done,
				  count - done, &error);
		if (done == count)
			return;
		bool full = error == -EAGAIN || error == -ENOBUFS;
		tell(nat, via, context, done++, -error);
		for (; full && done < count; done++)
			nat_drop(nat, DROP_SOCKET_FULL);
	}
}

/* --- those that waited -------------------------------------------------------------------- */

static void udp_tell_waiting(struct nat *nat, struct host_socket *via, const void *context,
			     size_t index, int error)
{
	const struct udp_waiting *const *sources = context;
	const struct udp_waiting *waiting = sources[index];
	struct frame frame;
	enum drop_reason reason;

	/* They were the bytes of a frame before. */
	if (frame_from_bytes(&frame, waiting->frame, waiting->frame_size, waiting->port, &reason))
		udp_send_failed(nat, via, &frame, error);
	else
		nat_drop(nat, DROP_SOCKET_ERROR);
}

void udp_send_waiting(struct nat *nat)
{
	struct udp_batch *batch = &nat->shard.udp->batch;

	for (size_t first = 0; first < batch->count; first++) {
		struct host_socket *via = batch->waiting[first].via;
		size_t count = 0;

		for (size_t i = first; via && i < batch->count; i++) {
			struct udp_waiting *waiting = &batch->waiting[i];

			if (waiting->via != via)
				continue;
			waiting->via = NULL;
			batch->sources[count] = waiting;
			batch->outgoing[count] = (struct host_outgoing){
				.datagram = &waiting->datagram,
				.iov = &waiting->payload,
				.count = 1,
				.size = waiting->payload.iov_len,
			};
			count++;
		}
		udp_send_outgoing(nat, via, count, udp_tell_waiting, batch->sources);
	}
	batch->count = 0;
	batch->used = 0;
}

static void udp_wait(struct nat *nat, struct host_socket *via, const struct host_datagram *datagram,
		     const struct frame *frame)
{
	struct udp_memory *memory = &nat->shard.udp->memory;
	struct udp_batch *batch = &nat->shard.udp->batch;
	uint8_t *bytes = memory->waiting + batch->used;
	size_t size = frame_copy(frame, bytes, UDP_SEND_BYTES - batch->used);

	assert(size > 0 && batch->count < UDP_SEND_BATCH);
	batch->waiting[batch->count] = (struct udp_waiting){
		.via = via,
		.datagram = *datagram,
		.frame = bytes,
		.frame_size = size,
		.payload = { bytes + frame->header_size, frame->payload_size },
		.port = frame->port,
	};
	batch->count++;
	batch->used += size;
	udp_memory_use(memory, nat_now(nat));
}

/* --- from where they stand ---------------------------------------------------------------- */

static void udp_send_now(struct nat *nat, struct host_socket *via,
			 const struct host_datagram *datagram, const struct frame *frame)
{
	ssize_t sent = host_call(nat->context.host, udp_send, via, datagram, frame->payload,
				 frame->payload_count);

	if (sent < 0)
		udp_send_failed(nat, via, frame, (int)-sent);
}

struct udp_super {
	const struct frame *frame;
	size_t first; /* of its datagrams, the one that is outgoing[0] */
};

static void udp_tell_super(struct nat *nat, struct host_socket *via, const void *context,
			   size_t index, int error)
{
	const struct udp_super *super = context;
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	struct frame frame;

	frame_segment_one(super->frame, super->first + index, parts, &frame);
	udp_send_failed(nat, via, &frame, error);
}

void udp_send_super(struct nat *nat, struct host_socket *via, const struct host_datagram *datagram,
		    const struct frame *frame)
{
	struct udp_batch *batch = &nat->shard.udp->batch;
	struct iov_cursor cursor = iov_cursor_of(frame->payload, frame->payload_count);
	struct iovec parts[UDP_SEND_BATCH + FRAME_PAYLOAD_MAX_PARTS];
	struct udp_super super = { .frame = frame };
	size_t total = frame_segment_count(frame);

	assert(total <= UDP_SEND_SUPER_MOST);
	udp_send_waiting(nat);
	while (super.first < total) {
		size_t count = 0;
		size_t used = 0;

		for (; count < UDP_SEND_BATCH && super.first + count < total; count++) {
			size_t left = frame->payload_size -
				      (super.first + count) * frame->offload.gso_size;
			size_t size =
				left < frame->offload.gso_size ? left : frame->offload.gso_size;
			size_t part_count = iov_cursor_cut(&cursor, size, parts + used,
							   ARRAY_COUNT(parts) - used);

			batch->outgoing[count] = (struct host_outgoing){
				.datagram = datagram,
				.iov = parts + used,
				.count = part_count,
				.size = size,
			};
			used += part_count;
		}
		udp_send_outgoing(nat, via, count, udp_tell_super, &super);
		super.first += count;
	}
}

/* --- the door ----------------------------------------------------------------------------- */

void udp_send(struct nat *nat, struct host_socket *via, const struct host_datagram *datagram,
	      const struct frame *frame)
{
	struct udp_batch *batch = &nat->shard.udp->batch;
	size_t size = frame_size(frame);
	bool alone = batch->arrived++ == 0 && !batch->several;

	if (batch->count == UDP_SEND_BATCH || size > UDP_SEND_COPY_MOST ||
	    size > UDP_SEND_BYTES - batch->used)
		udp_send_waiting(nat);
	if (alone || size > UDP_SEND_COPY_MOST)
		udp_send_now(nat, via, datagram, frame);
	else
		udp_wait(nat, via, datagram, frame);
}

void udp_send_flush(struct nat *nat)
{
	struct udp_batch *batch = &nat->shard.udp->batch;

	udp_send_waiting(nat);
	if (batch->arrived > 0)
		batch->several = batch->arrived > 1;
	batch->arrived = 0;
}
