/*
 * Theory of operation
 *
 * From the guest: a chain is its virtio-net header and one frame. The header is gathered into memory
 * of our own, the frame is pushed where it lies, and the chain is used when the push has returned;
 * many chains later the guest sees them all at once. After a turn's worth of them others get theirs,
 * and the rest waits for the loop's next batch. A kick is asked for only when the loop goes to sleep:
 * while it is awake it looks at the ring by itself, which saves us the waiting for a kick and the guest
 * the kick.
 *
 * To the guest: its receive buffers are looked at ahead: taken from the ring, walked and translated
 * once, and kept in order until a frame uses them. What was looked at is what can be reserved, and
 * its bytes are the room there is. A frame that was received into its place is recognised by where
 * its payload lies; nothing is remembered of a reservation, so nothing of one can be left over.
 *
 * Without mergeable buffers a frame must fit the next chain; with them it takes as many as it needs,
 * and num_buffers of its first header says how many.
 */
#include "attach/vhost_user/vhost_net.h"

#include <assert.h>

#include "wire/iov_cursor.h"
#include "wire/virtio_net.h"

/* Before VERSION_1 the header had num_buffers only with mergeable buffers (virtio 1.2, 5.1.6.1). */
#define HEADER_SIZE_LEGACY 10

/* Frames and bytes of one turn: enough for a wake-up to be worth it, few enough for acknowledgements
 * to leave before the guest's window is used up. And how often it gets its buffers back in between. */
#define TURN_FRAMES  64
#define TURN_BYTES   ((uint64_t)1 << 20)
#define PUBLISH_EACH 16

/*
 * A guest takes back what it transmitted when it transmits again or receives; only one that waits for
 * room needs to be called. So the call about a few small frames waits a moment: it costs us a system
 * call and the guest an interrupt for each acknowledgement. Bulk is called about at once.
 *
 * For memory wait those who sent bytes (a socket with a small buffer). Nobody waits for that of a bare
 * acknowledgement, and what the guest is given to receive makes it look: then the call has long.
 */
#define CALL_FRAMES    16
#define CALL_BYTES     ((uint64_t)16 << 10)
#define CALL_DELAY_NS  NS_PER_MS
#define CALL_AT_ALL_NS (50 * NS_PER_MS)

/* Batches of a loop that does not come to sleep, after which a guest is called about an acknowledgement. */
#define OWED_TURNS 2

/* Two super-frames: less than that is not worth a source's while, unless the guest's whole ring is
 * not much more. */
#define ROOM_LEAST ((uint64_t)128 << 10)

static struct virtqueue *receive_queue(struct vhost_net *net)
{
	return &net->session->rings[VHOST_RING_RECEIVE].queue;
}

static bool receives(const struct vhost_net *net)
{
	return vhost_session_runs(net->session, VHOST_RING_RECEIVE);
}

static bool merges_buffers(const struct vhost_net *net)
{
	return vhost_session_has(net->session, VIRTIO_NET_F_MRG_RXBUF);
}

static size_t header_size(const struct vhost_net *net)
{
	if (merges_buffers(net) || vhost_session_has(net->session, VIRTIO_F_VERSION_1))
		return VIRTIO_NET_HEADER_SIZE;
	return HEADER_SIZE_LEGACY;
}

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

/* --- from the guest ------------------------------------------------------------------------- */

/* Copies the virtio-net header out of however many pieces it lies in (CVE-2022-2132). */
static bool take_header(struct iov_cursor *cursor, size_t size, uint64_t chain_size,
			struct frame_offload *ret_offload)
{
	uint8_t header[VIRTIO_NET_HEADER_SIZE] = {};
	struct iovec pieces[VIRTIO_NET_HEADER_SIZE];
	struct writer writer = writer_of(header, size);

	if (chain_size < size)
		return false;
	size_t count = iov_cursor_cut(cursor, size, pieces, ARRAY_COUNT(pieces));
	for (size_t i = 0; i < count; i++)
		writer_bytes(&writer, pieces[i].iov_base, pieces[i].iov_len);
	__asm__ volatile("" ::: "memory"); /* as guest_memory_load(): judged is the copy */
	struct reader reader = reader_of(header, sizeof(header));
	return virtio_net_parse(&reader, ret_offload);
}

/* Whether the guest may wait for the chain to be used. */
static bool transmit_chain(struct vhost_net *net, const struct virtqueue_chain *chain)
{
	struct attachment *attachment = net->attachment;
	struct iov_cursor cursor = iov_cursor_of(net->transmit_parts, chain->count);
	struct frame_offload offload;
	size_t before = header_size(net);

	if (!take_header(&cursor, before, chain->size, &offload)) {
		drop_count(attachment->context.drops, DROP_BAD_OFFLOAD);
		return true;
	}
	if (chain->size - before > FRAME_MAX_SIZE) {
		drop_count(attachment->context.drops, DROP_LONG_FRAME);
		return true;
	}
	size_t size = (size_t)chain->size - before;
	struct iovec *parts = net->transmit_parts;
	struct iovec rest[FRAME_PAYLOAD_MAX_PARTS];
	struct iovec single = { net->transmit_bounce, size };

	/* What is left of the piece that the header ended in, and those behind it. */
	size_t left = chain->count - cursor.index;
	if (left > FRAME_PAYLOAD_MAX_PARTS) {
		struct writer writer = writer_of(net->transmit_bounce, size);

		for (size_t i = cursor.index; i < chain->count; i++) {
			size_t skip = i == cursor.index ? cursor.offset : 0;

			writer_bytes(&writer, (uint8_t *)parts[i].iov_base + skip,
				     parts[i].iov_len - skip);
		}
		return attachment_receive_parts(attachment, &offload, &single, 1, size);
	}
	size_t count = iov_cursor_cut(&cursor, size, rest, ARRAY_COUNT(rest));
	return attachment_receive_parts(attachment, &offload, rest, count, size);
}

static void call_now(struct vhost_net *net)
{
	timer_clear(loop_timers(net->attachment->context.loop), &net->call_timer);
	net->uncalled_frames = 0;
	net->uncalled_bytes = 0;
	net->is_awaited = false;
	vhost_ring_publish(&net->session->rings[VHOST_RING_TRANSMIT]);
}

static void call_delayed(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	call_now(container_of(timer, struct vhost_net, call_timer));
}

static void call_at(struct vhost_net *net, uint64_t at_ns)
{
	struct loop *loop = net->attachment->context.loop;

	/* Cleared, a timer that is put off does not wake the loop at its old time. */
	timer_clear(loop_timers(loop), &net->call_timer);
	timer_set(loop_timers(loop), &net->call_timer, at_ns);
}

/* So much was used since the last time. */
static void call_soon(struct vhost_net *net, unsigned frames, uint64_t bytes, bool is_awaited)
{
	struct vhost_ring *ring = &net->session->rings[VHOST_RING_TRANSMIT];
	uint64_t now_ns = loop_now(net->attachment->context.loop);

	if (frames == 0)
		return;
	net->uncalled_frames += frames;
	net->uncalled_bytes += bytes;
	if (net->uncalled_bytes >= CALL_BYTES || net->uncalled_frames >= CALL_FRAMES ||
	    net->uncalled_frames >= ring->queue.size / 4) {
		call_now(net);
		return;
	}
	vhost_ring_show(ring);
	if (!timer_is_set(&net->call_timer)) {
		net->call_latest_ns = now_ns + CALL_AT_ALL_NS;
		call_at(net, net->call_latest_ns);
	}
	if (is_awaited && !net->is_awaited)
		call_at(net, now_ns + CALL_DELAY_NS);
	net->is_awaited = net->is_awaited || is_awaited;
}

/* The guest gets something to receive, and looks at what it transmitted, too. One that does not is
 * called all the same, later. */
static void call_later(struct vhost_net *net)
{
	net->uncalled_frames = 0;
	net->uncalled_bytes = 0;
	if (net->is_awaited)
		call_at(net, net->call_latest_ns);
	net->is_awaited = false;
}

static void transmit(struct vhost_net *net)
{
	struct vhost_ring *ring = &net->session->rings[VHOST_RING_TRANSMIT];
	struct virtqueue_chain chain;
	uint64_t bytes = 0;
	unsigned frames = 0;
	unsigned called = 0;
	bool is_awaited = false; /* one of those that were not called about */

	virtqueue_silence(&ring->queue);
	while (frames < TURN_FRAMES && bytes < TURN_BYTES) {
		enum virtqueue_result result =
			virtqueue_take(&ring->queue, net->transmit_parts, &chain);

		if (result == VIRTQUEUE_EMPTY)
			break;
		if (result == VIRTQUEUE_BROKEN) {
			net->failed(net, "its transmit ring is broken");
			break;
		}
		is_awaited = transmit_chain(net, &chain) || is_awaited;
		virtqueue_put(&ring->queue, chain.head, 0);
		bytes += chain.size;
		frames++;
		if (frames % PUBLISH_EACH == 0) {
			call_now(net);
			called = frames;
			is_awaited = false;
		}
		/* What was pushed may have ended the session by its answer. */
		if (!vhost_session_runs(net->session, VHOST_RING_TRANSMIT))
			break;
	}
	frame_sink_flush(net->attachment->ingress);
	call_soon(net, frames - called, bytes, is_awaited);
}

static const struct virtqueue *transmit_queue(const struct vhost_net *net)
{
	return &net->session->rings[VHOST_RING_TRANSMIT].queue;
}

/* About what the guest received. */
static void pay_call(struct vhost_net *net)
{
	net->owes_call = false;
	vhost_ring_publish(&net->session->rings[VHOST_RING_RECEIVE]);
}

static bool has_to_transmit(struct vhost_net *net)
{
	return vhost_session_runs(net->session, VHOST_RING_TRANSMIT) &&
	       virtqueue_waiting(transmit_queue(net)) > 0;
}

static bool is_call_overdue(const struct vhost_net *net)
{
	return net->owes_call &&
	       loop_turn(net->attachment->context.loop) - net->owed_since_turn >= OWED_TURNS;
}

static bool lookout_sees(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	return has_to_transmit(net) || is_call_overdue(net);
}

static void lookout_act(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	if (is_call_overdue(net))
		pay_call(net);
	if (has_to_transmit(net))
		transmit(net);
}

static bool lookout_announce(struct loop_lookout *lookout)
{
	struct vhost_net *net = container_of(lookout, struct vhost_net, lookout);

	if (net->owes_call)
		pay_call(net);
	return vhost_session_runs(net->session, VHOST_RING_TRANSMIT) &&
	       virtqueue_listen(&net->session->rings[VHOST_RING_TRANSMIT].queue);
}

static const struct loop_lookout_ops lookout_ops = {
	.sees = lookout_sees,
	.act = lookout_act,
	.announce = lookout_announce,
};

/* --- receive buffers ahead ------------------------------------------------------------------ */

/* One more chain; false when there is none, or no place for it. */
static bool look_ahead(struct vhost_net *net)
{
	struct virtqueue *queue = receive_queue(net);
	struct virtqueue_chain chain;

	if (net->chain_count == VHOST_NET_AHEAD_CHAINS || net->part_count > VIRTQUEUE_CHAIN_MOST)
		return false;
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

static void forget_ahead(struct vhost_net *net)
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
	struct virtqueue *queue = receive_queue(net);
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
	if (net->chain_count > 0 && !merges_buffers(net))
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
	write_bytes(to, header, header_size(net));
}

static void receive_emit(void *context, const struct frame *frame, const struct iovec *parts,
			 size_t count, size_t size)
{
	struct vhost_net *net = context;
	size_t total = header_size(net) + size;
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
	size_t before = header_size(net) + frame->header_size;

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
	if (!receives(net)) {
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

	if (!virtqueue_has_unshown(receive_queue(net)))
		return;
	call_later(net);
	net->holds_acknowledgements_only = true;
	if (!may_owe) {
		pay_call(net);
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
	uint32_t chains = (uint32_t)net->chain_count + virtqueue_waiting(receive_queue(net));
	uint64_t size = net->ahead_size;

	if (chains > net->chains_most)
		net->chains_most = chains;
	if (!merges_buffers(net) && net->chain_count > 0)
		size = first_chain(net)->size;
	if (size <= header_size(net))
		return 0;
	/* A guest whose ring never holds more than this would wait for ever. */
	if (net->ahead_size < least && chains < net->chains_most / share)
		return 0;
	return (size_t)(size - header_size(net));
}

size_t vhost_net_room(struct vhost_net *net)
{
	if (!receives(net))
		return SIZE_MAX;
	size_t room = room_now(net);
	/* Each turn of this takes a chain that came meanwhile, so it ends. */
	while (room == 0 && virtqueue_listen(receive_queue(net)) && look_ahead(net))
		room = room_now(net);
	if (room == 0)
		net->room_wanted = true;
	else if (!net->room_wanted)
		virtqueue_silence(receive_queue(net)); /* more of them need no kick */
	return room;
}

size_t vhost_net_reserve(struct vhost_net *net, size_t frame_header_size, size_t size,
			 struct iovec *ret_parts, size_t capacity, size_t *ret_count)
{
	size_t before = header_size(net) + frame_header_size;

	if (!receives(net))
		return 0;
	look_ahead_until(net, before + size);
	uint64_t holds = net->ahead_size;
	if (!merges_buffers(net) && net->chain_count > 0)
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

/* --- both ----------------------------------------------------------------------------------- */

static void wake_sources(struct vhost_net *net)
{
	struct attachment_context *context = &net->attachment->context;

	net->room_wanted = false;
	context->writable(context->context, net->attachment->port);
}

void vhost_net_kicked(struct vhost_net *net, unsigned ring)
{
	if (!vhost_session_runs(net->session, ring))
		return;
	if (ring == VHOST_RING_TRANSMIT)
		transmit(net);
	else if (net->room_wanted && vhost_net_room(net) > 0)
		wake_sources(net);
}

void vhost_net_settle(struct vhost_net *net)
{
	if (net->chain_count > 0)
		virtqueue_untake(receive_queue(net), (uint16_t)net->chain_count);
	forget_ahead(net);
	net->owes_call = false;
	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		if (net->session->rings[i].started)
			vhost_ring_publish(&net->session->rings[i]);
	}
}

void vhost_net_resume(struct vhost_net *net)
{
	if (receives(net))
		virtqueue_silence(receive_queue(net));
	else
		net->chains_most = 0;
	/* Also where nothing can be received any more: what is pushed now is dropped. */
	if (net->room_wanted && vhost_net_room(net) > 0)
		wake_sources(net);
	if (vhost_session_runs(net->session, VHOST_RING_TRANSMIT))
		transmit(net);
}

void vhost_net_forget(struct vhost_net *net)
{
	timer_clear(loop_timers(net->attachment->context.loop), &net->call_timer);
	net->uncalled_frames = 0;
	net->uncalled_bytes = 0;
	net->is_awaited = false;
	net->owes_call = false;
	forget_ahead(net);
	net->chains_most = 0;
	if (net->room_wanted)
		wake_sources(net);
}

void vhost_net_init(struct vhost_net *net)
{
	loop_lookout_init(&net->lookout, &lookout_ops);
	net->holds_acknowledgements_only = true;
	timer_init(&net->call_timer, call_delayed);
}

void vhost_net_start(struct vhost_net *net)
{
	loop_lookout_add(net->attachment->context.loop, &net->lookout);
}

void vhost_net_done(struct vhost_net *net)
{
	loop_lookout_remove(&net->lookout);
	timer_clear(loop_timers(net->attachment->context.loop), &net->call_timer);
}
