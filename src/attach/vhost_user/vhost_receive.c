/*
 * Theory of operation
 *
 * To the guest: its receive buffers are looked at ahead: taken from the ring, walked and translated
 * once, and kept in order until a frame uses them. What was looked at is what can be reserved, and
 * its bytes are the room there is. A frame that was received into its place is recognised by where
 * its payload lies; nothing is remembered of a reservation, so nothing of one can be left over.
 *
 * Without mergeable buffers a frame must fit the next chain; with them it takes as many as it needs,
 * and num_buffers of its first header says how many.
 */
#include "attach/vhost_user/vhost_net_internal.h"

#include <assert.h>

#include "wire/iov_cursor.h"

/* Two super-frames: less than that is not worth a source's while, unless the guest's whole ring is
 * not much more. */
#define ROOM_LEAST ((uint64_t)128 << 10)

static struct door_caps caps_of(const struct vhost_net *net)
{
	const struct vhost_session *session = net->session;

	if (!vhost_session_has(session, VIRTIO_NET_F_GUEST_CSUM))
		return door_plain;
	return (struct door_caps){
		.checksum = true,
		.tso4 = vhost_session_has(session, VIRTIO_NET_F_GUEST_TSO4),
		.tso6 = vhost_session_has(session, VIRTIO_NET_F_GUEST_TSO6),
		.uso = vhost_session_has(session,
					 VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6),
	};
}

/* --- receive buffers ahead ------------------------------------------------------------------ */

/* One more chain; false when there is none, no place for it, or the batch has had enough of them. */
static bool look_ahead(struct vhost_net *net)
{
	struct virtqueue *queue = vhost_net_receive_queue(net);
	struct virtqueue_chain chain;

	net->reads_on = false;
	if (net->chain_count == VHOST_NET_AHEAD_CHAINS || net->part_count > VIRTQUEUE_CHAIN_MOST)
		return false;
	if (!vhost_net_may_read(net, VHOST_RING_RECEIVE)) {
		net->reads_on = true;
		return false;
	}
	/* The longest chain must fit behind what there is, and a list that is contiguous can be
	 * handed out as it is. */
	if (net->part_first + net->part_count > VHOST_NET_AHEAD_PARTS - VIRTQUEUE_CHAIN_MOST) {
		memmove(net->parts, net->parts + net->part_first,
			net->part_count * sizeof(net->parts[0]));
		net->part_first = 0;
	}
	switch (virtqueue_take(queue, net->parts + net->part_first + net->part_count, &chain)) {
	case VIRTQUEUE_EMPTY:
		return false;
	case VIRTQUEUE_BROKEN:
		net->failed(net, "its receive ring is broken");
		return false;
	case VIRTQUEUE_TAKEN:
		break;
	}
	net->reads[VHOST_RING_RECEIVE].descriptors += chain.descriptors;
	size_t at = (net->chain_first + net->chain_count) % VHOST_NET_AHEAD_CHAINS;
	net->chains[at] = (struct vhost_net_chain){
		.head = chain.head,
		.parts = (uint16_t)chain.count,
		.size = chain.size,
	};
	net->chain_count++;
	net->part_count += chain.count;
	net->ahead_size += chain.size;
	return true;
}

static void look_ahead_until(struct vhost_net *net, uint64_t size)
{
	while (net->ahead_size < size && look_ahead(net))
		;
}

static struct vhost_net_chain *first_chain(struct vhost_net *net)
{
	return &net->chains[net->chain_first];
}

void vhost_net_forget_ahead(struct vhost_net *net)
{
	net->chain_first = 0;
	net->chain_count = 0;
	net->part_first = 0;
	net->part_count = 0;
	net->ahead_size = 0;
}

/* Uses the first chain for `size` bytes of what was written. */
static void use_chain(struct vhost_net *net, uint32_t size)
{
	struct virtqueue *queue = vhost_net_receive_queue(net);
	const struct vhost_net_chain *chain = first_chain(net);
	uint32_t left = size;

	for (size_t i = 0; queue->log && i < chain->parts && left > 0; i++) {
		const struct iovec *part = &net->parts[net->part_first + i];
		uint32_t now = part->iov_len < left ? (uint32_t)part->iov_len : left;

		virtqueue_log_write(queue, part->iov_base, now);
		left -= now;
	}
	virtqueue_put(queue, chain->head, size);
	net->part_first += chain->parts;
	net->part_count -= chain->parts;
	net->ahead_size -= chain->size;
	net->chain_first = (net->chain_first + 1) % VHOST_NET_AHEAD_CHAINS;
	net->chain_count--;
}

/* How many of the first chains hold `size` bytes; 0: they do not. */
static size_t chains_for(struct vhost_net *net, uint64_t size)
{
	size_t count = 0;
	uint64_t held = 0;

	look_ahead_until(net, size);
	if (net->chain_count > 0 && !vhost_net_merges_buffers(net))
		return first_chain(net)->size >= size ? 1 : 0;
	while (held < size && count < net->chain_count) {
		held += net->chains[(net->chain_first + count) % VHOST_NET_AHEAD_CHAINS].size;
		count++;
	}
	return held >= size ? count : 0;
}

/* --- to the guest --------------------------------------------------------------------------- */

/* Copies into the buffers from where the cursor is on. They hold it. */
static void write_bytes(struct iov_cursor *to, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		const struct iovec *part = &to->iov[to->index];
		size_t left = part->iov_len - to->offset;
		size_t now = left < size ? left : size;

		memcpy((uint8_t *)part->iov_base + to->offset, from, now);
		from += now;
		size -= now;
		to->offset += now;
		if (to->offset == part->iov_len) {
			to->index++;
			to->offset = 0;
		}
	}
}

static struct iov_cursor buffers_of(const struct vhost_net *net)
{
	return iov_cursor_of(net->parts + net->part_first, net->part_count);
}

static void write_header(struct vhost_net *net, struct iov_cursor *to, const struct frame *frame,
			 uint16_t chain_count)
{
	uint8_t header[VIRTIO_NET_HEADER_SIZE];
	struct writer writer = writer_of(header, sizeof(header));

	virtio_net_build(&writer, frame, chain_count);
	/* Without GUEST_CSUM the flags are zero (virtio 1.2, 5.1.6.4.1), also DATA_VALID. */
	if (!vhost_session_has(net->session, VIRTIO_NET_F_GUEST_CSUM))
		header[0] = 0;
	write_bytes(to, header, vhost_net_header_size(net));
}

static void receive_emit(void *context, const struct frame *frame, const struct iovec *parts,
			 size_t count, size_t size)
{
	struct vhost_net *net = context;
	size_t total = vhost_net_header_size(net) + size;
	size_t chain_count = chains_for(net, total);

	if (chain_count == 0) {
		drop_count(net->attachment->context.drops, DROP_PORT_FULL);
		return;
	}
	struct iov_cursor to = buffers_of(net);
	write_header(net, &to, frame, (uint16_t)chain_count);
	/* What is in place already is all behind the headers, which are the first part. */
	for (size_t i = 0; i < (frame->in_place ? 1 : count); i++)
		write_bytes(&to, parts[i].iov_base, parts[i].iov_len);
	for (size_t left = total; chain_count > 0; chain_count--) {
		uint64_t holds = first_chain(net)->size;
		uint32_t now = holds < left ? (uint32_t)holds : (uint32_t)left;

		use_chain(net, now);
		left -= now;
	}
}

/* Moves past `size` bytes without touching them. */
static void skip_bytes(struct iov_cursor *cursor, size_t size)
{
	while (size > 0) {
		size_t left = cursor->iov[cursor->index].iov_len - cursor->offset;

		if (size < left) {
			cursor->offset += size;
			return;
		}
		size -= left;
		cursor->index++;
		cursor->offset = 0;
	}
}

/* Does the payload lie exactly where this frame's would be written? */
static bool is_in_place(struct vhost_net *net, const struct frame *frame)
{
	struct iov_cursor place = buffers_of(net);
	size_t before = vhost_net_header_size(net) + frame->header_size;

	/* A short frame is padded, which writes behind the payload: copying is simpler. */
	if (net->ahead_size < before + frame->payload_size || frame_size(frame) < FRAME_MIN_SIZE)
		return false;
	skip_bytes(&place, before);
	for (size_t i = 0; i < frame->payload_count; i++) {
		uintptr_t at = (uintptr_t)frame->payload[i].iov_base;
		size_t left = frame->payload[i].iov_len;

		while (left > 0) {
			const struct iovec *part = &place.iov[place.index];
			size_t here = part->iov_len - place.offset;
			size_t now = here < left ? here : left;

			if ((uintptr_t)part->iov_base + place.offset != at)
				return false;
			skip_bytes(&place, now);
			at += now;
			left -= now;
		}
	}
	return true;
}

void vhost_net_push(struct vhost_net *net, struct frame *frame)
{
	struct drop_counters *drops = net->attachment->context.drops;
	struct door_caps caps = caps_of(net);

	if (!frame_is_acknowledgement(frame))
		net->holds_acknowledgements_only = false;
	if (!vhost_net_receives(net)) {
		drop_count(drops, DROP_PORT_GONE);
		return;
	}
	/* Received for another place (the frame took another way), or to be cut first: it may lie
	 * in the very buffers that it is to be written to. */
	if (frame->in_place && !(door_takes(&caps, frame) && is_in_place(net, frame))) {
		if (frame->payload_size > sizeof(net->receive_bounce)) {
			drop_count(drops, DROP_LONG_FRAME);
			return;
		}
		frame_copy_payload(frame, 0, net->receive_bounce, frame->payload_size);
		frame->single = (struct iovec){ net->receive_bounce, frame->payload_size };
		frame->payload = &frame->single;
		frame->payload_count = frame->payload_size > 0 ? 1 : 0;
		frame->in_place = false;
	}
	if (!door_pass(frame, &caps, receive_emit, net))
		drop_count(drops, DROP_BAD_OFFLOAD);
}

void vhost_net_pay_call(struct vhost_net *net)
{
	net->owes_call = false;
	vhost_ring_publish(&net->session->rings[VHOST_RING_RECEIVE]);
}

/* A guest that has just sent bytes gets nothing but their acknowledgement, and not for bulk, whose sender
 * may wait for it: often the answer follows at once. */
static bool may_owe_call(const struct vhost_net *net)
{
	return net->is_awaited && net->holds_acknowledgements_only &&
	       !loop_carries_bulk(net->attachment->context.loop);
}

/* The guest sees what it received; the call about a bare acknowledgement may wait until the loop has
 * looked for what comes next, or for two batches, whichever is sooner. */
void vhost_net_flush(struct vhost_net *net)
{
	bool may_owe = may_owe_call(net);

	if (!virtqueue_has_unshown(vhost_net_receive_queue(net)))
		return;
	vhost_net_call_later(net);
	net->holds_acknowledgements_only = true;
	if (!may_owe) {
		vhost_net_pay_call(net);
		return;
	}
	vhost_ring_show(&net->session->rings[VHOST_RING_RECEIVE]);
	if (!net->owes_call)
		net->owed_since_turn = loop_turn(net->attachment->context.loop);
	net->owes_call = true;
}

/* Bytes that surely fit, in one frame or in several that are each followed by another question. */
static size_t room_now(struct vhost_net *net)
{
	/* Whoever was told "none" waits for twice as much: not for every buffer that comes. */
	uint64_t least = net->room_wanted ? 2 * ROOM_LEAST : ROOM_LEAST;
	uint32_t share = net->room_wanted ? 2 : 4;

	look_ahead_until(net, least);
	uint32_t chains =
		(uint32_t)net->chain_count + virtqueue_waiting(vhost_net_receive_queue(net));
	uint64_t size = net->ahead_size;

	if (chains > net->chains_most)
		net->chains_most = chains;
	if (!vhost_net_merges_buffers(net) && net->chain_count > 0)
		size = first_chain(net)->size;
	if (size <= vhost_net_header_size(net))
		return 0;
	/* A guest whose ring never holds more than this would wait for ever. */
	if (net->ahead_size < least && chains < net->chains_most / share)
		return 0;
	return (size_t)(size - vhost_net_header_size(net));
}

size_t vhost_net_room(struct vhost_net *net)
{
	if (!vhost_net_receives(net))
		return SIZE_MAX;
	size_t room = room_now(net);
	/* Each turn of this takes a chain that came meanwhile, so it ends. */
	while (room == 0 && virtqueue_listen(vhost_net_receive_queue(net)) && look_ahead(net))
		room = room_now(net);
	if (room == 0)
		net->room_wanted = true;
	else if (!net->room_wanted)
		virtqueue_silence(vhost_net_receive_queue(net)); /* more of them need no kick */
	return room;
}

size_t vhost_net_reserve(struct vhost_net *net, size_t frame_header_size, size_t size,
			 struct iovec *ret_parts, size_t capacity, size_t *ret_count)
{
	size_t before = vhost_net_header_size(net) + frame_header_size;

	if (!vhost_net_receives(net))
		return 0;
	look_ahead_until(net, before + size);
	uint64_t holds = net->ahead_size;
	if (!vhost_net_merges_buffers(net) && net->chain_count > 0)
		holds = first_chain(net)->size;
	if (holds <= before)
		return 0;
	if (size > holds - before)
		size = (size_t)(holds - before);

	struct iov_cursor cursor = buffers_of(net);
	size_t count = 0;
	size_t reserved = 0;
	skip_bytes(&cursor, before);
	while (count < capacity && reserved < size) {
		size_t left = cursor.iov[cursor.index].iov_len - cursor.offset;
		size_t now = left < size - reserved ? left : size - reserved;

		(void)iov_cursor_cut(&cursor, now, &ret_parts[count++], 1);
		reserved += now;
	}
	*ret_count = count;
	return reserved;
}
