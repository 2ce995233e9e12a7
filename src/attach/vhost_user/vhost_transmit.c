/*
 * Theory of operation
 *
 * From the guest: a chain is its virtio-net header and one frame. The header is gathered into memory
 * of our own, the frame is pushed where it lies, and the chain is used when the push has returned;
 * many chains later the guest sees them all at once. After a turn's worth of them others get theirs,
 * and the rest waits for the loop's next batch. A kick is asked for only when the loop goes to sleep:
 * while it is awake it looks at the ring by itself, which saves us the waiting for a kick and the guest
 * the kick.
 */
#include "attach/vhost_user/vhost_net_internal.h"

#include "wire/iov_cursor.h"

/* Frames and bytes of one turn: enough for a wake-up to be worth it, few enough for acknowledgements
 * to leave before the guest's window is used up. And how often it gets its buffers back in between.
 * Descriptors are counted, too (VHOST_NET_TURN_DESCRIPTORS). */
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
	size_t before = vhost_net_header_size(net);

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

void vhost_net_call_later(struct vhost_net *net)
{
	net->uncalled_frames = 0;
	net->uncalled_bytes = 0;
	if (net->is_awaited)
		call_at(net, net->call_latest_ns);
	net->is_awaited = false;
}

void vhost_net_transmit(struct vhost_net *net)
{
	struct vhost_ring *ring = &net->session->rings[VHOST_RING_TRANSMIT];
	struct virtqueue_chain chain;
	uint64_t bytes = 0;
	unsigned frames = 0;
	unsigned called = 0;
	bool is_awaited = false; /* one of those that were not called about */

	virtqueue_silence(&ring->queue);
	while (frames < TURN_FRAMES && bytes < TURN_BYTES &&
	       vhost_net_may_read(net, VHOST_RING_TRANSMIT)) {
		enum virtqueue_result result =
			virtqueue_take(&ring->queue, net->transmit_parts, &chain);

		if (result == VIRTQUEUE_EMPTY)
			break;
		if (result == VIRTQUEUE_BROKEN) {
			net->failed(net, "its transmit ring is broken");
			break;
		}
		net->reads[VHOST_RING_TRANSMIT].descriptors += chain.descriptors;
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

void vhost_net_forget_calls(struct vhost_net *net)
{
	timer_clear(loop_timers(net->attachment->context.loop), &net->call_timer);
	net->uncalled_frames = 0;
	net->uncalled_bytes = 0;
	net->is_awaited = false;
}

void vhost_net_init_calls(struct vhost_net *net)
{
	timer_init(&net->call_timer, call_delayed);
}
