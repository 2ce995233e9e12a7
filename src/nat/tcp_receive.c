/*
 * Bytes from the guest on their way to the host. The host socket is written straight from the frame
 * while nothing is buffered; what it does not take, and what comes out of order, waits in the
 * flow's buffer. The guest's FIN is acknowledged only when all that went before it is in the
 * socket and the socket is shut down: an acknowledged byte is our debt.
 */
#include "nat/tcp_internal.h"

#include <errno.h>

/* The parts of the payload that [offset, offset + size) touches. */
static size_t slice(const struct frame *frame, size_t offset, size_t size,
		    struct iovec ret_parts[FRAME_PAYLOAD_MAX_PARTS])
{
	size_t count = 0;

	for (size_t i = 0; i < frame->payload_count && size > 0; i++) {
		const struct iovec *part = &frame->payload[i];
		size_t use;

		if (offset >= part->iov_len) {
			offset -= part->iov_len;
			continue;
		}
		use = part->iov_len - offset < size ? part->iov_len - offset : size;
		ret_parts[count++] = (struct iovec){
			.iov_base = (char *)part->iov_base + offset,
			.iov_len = use,
		};
		offset = 0;
		size -= use;
	}
	return count;
}

/* Writes to the host; returns bytes taken, with writable false after -EAGAIN, or a negative errno
 * of a broken socket. */
static ssize_t write_host(struct tcp_flow *flow, const struct iovec *parts, size_t count)
{
	ssize_t sent = host_call(tcp_flow_host(flow), send, &flow->socket, parts, count);

	if (sent == -EAGAIN || sent == 0) {
		flow->writable = false;
		return 0;
	}
	return sent;
}

/* In order and nothing before it: tries the socket first. *ret_sent, or false when the flow ended.
 */
static bool write_through(struct tcp_flow *flow, const struct frame *frame, size_t offset,
			  size_t size, size_t *ret_sent)
{
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	size_t done = 0;

	while (done < size && flow->writable && tcp_buffer_size(&flow->buffer) == 0) {
		size_t count = slice(frame, offset + done, size - done, parts);
		ssize_t sent = write_host(flow, parts, count);

		if (sent < 0) {
			tcp_host_failed(flow);
			return false;
		}
		if (sent == 0)
			break;
		tcp_buffer_pass(&flow->buffer, &flow->table->pool, (size_t)sent);
		done += (size_t)sent;
	}
	*ret_sent = done;
	return true;
}

static void update_receive_next(struct tcp_flow *flow, uint64_t old_tail)
{
	flow->receive_next += (uint32_t)(flow->buffer.tail - old_tail);
}

/* Payload [offset, offset + size), which is inside the window and starts at `sequence`. Alive. */
static bool take_bytes(struct tcp_flow *flow, const struct frame *frame, uint32_t sequence,
		       size_t offset, size_t size)
{
	uint64_t old_tail = flow->buffer.tail;
	uint64_t position = old_tail + (sequence - flow->receive_next);
	bool in_order = sequence == flow->receive_next;
	size_t sent = 0;
	size_t skip;
	size_t stored;

	if (in_order && !write_through(flow, frame, offset, size, &sent))
		return false;
	/* Tail may have gone further than what was sent, over bytes that came before. */
	skip = sent;
	if (in_order && flow->buffer.tail - old_tail > skip)
		skip = (size_t)(flow->buffer.tail - old_tail);
	if (skip < size) {
		stored = tcp_buffer_store(&flow->buffer, &flow->table->pool, flow->port,
					  position + skip, frame, offset + skip, size - skip);
		if (stored < size - skip)
			nat_drop(tcp_flow_nat(flow), DROP_BUFFER_LIMIT);
	}
	update_receive_next(flow, old_tail);
	return true;
}

/* The FIN's turn has come. Alive. */
static bool take_fin(struct tcp_flow *flow)
{
	int rc = host_call(tcp_flow_host(flow), finish, &flow->socket);

	if (rc < 0) {
		tcp_host_failed(flow);
		return false;
	}
	flow->up_finished = true;
	flow->receive_next++;
	/* What a confused guest sent from behind its FIN is nobody's. */
	tcp_buffer_clear(&flow->buffer, &flow->table->pool);
	/* The host's own FIN often follows and carries it. */
	if (flow->fin_sent)
		tcp_output_ack(flow);
	else
		tcp_flow_owe_ack(flow);
	return tcp_end_check(flow);
}

bool tcp_receive_flush(struct tcp_flow *flow)
{
	struct iovec parts[TCP_BUFFER_BLOCKS];
	bool gave = false;

	while (flow->writable && tcp_buffer_size(&flow->buffer) > 0) {
		size_t count = tcp_buffer_parts(&flow->buffer, &flow->table->pool, parts);
		ssize_t sent = write_host(flow, parts, count);

		if (sent < 0) {
			tcp_host_failed(flow);
			return false;
		}
		tcp_buffer_consume(&flow->buffer, &flow->table->pool, (size_t)sent);
		gave = gave || sent > 0;
	}
	if (gave)
		tcp_table_feed_starved(flow->table);
	if (flow->phase == TCP_PHASE_ORPHAN) {
		if (tcp_buffer_size(&flow->buffer) > 0)
			return true;
		tcp_end_orphan(flow);
		return false;
	}
	if (flow->fin_known && !flow->up_finished && flow->receive_next == flow->fin_sequence &&
	    tcp_buffer_size(&flow->buffer) == 0)
		return take_fin(flow);
	if (gave && tcp_window_update_due(flow))
		tcp_output_ack(flow);
	return true;
}

bool tcp_receive_segment(struct tcp_flow *flow, const struct frame *frame,
			 const struct tcp_header *header)
{
	uint32_t sequence = header->sequence;
	size_t offset = 0;
	size_t size = frame->payload_size;
	uint32_t end = sequence + (uint32_t)size;
	uint32_t edge = flow->receive_edge;
	bool had_gap;

	if (size == 0 && !(header->flags & TCP_FIN))
		return true;
	if (flow->up_finished || tcp_flow_nat(flow)->draining) {
		if (size > 0)
			nat_drop(tcp_flow_nat(flow), DROP_NO_FLOW);
		tcp_flow_owe_ack(flow);
		return true;
	}
	if (header->flags & TCP_FIN && !flow->fin_known && !tcp_seq_after(end, edge) &&
	    !tcp_seq_before(end, flow->receive_next)) {
		flow->fin_known = true;
		flow->fin_sequence = end;
	}
	if (flow->fin_known)
		edge = tcp_seq_min(edge, flow->fin_sequence);
	if (tcp_seq_before(sequence, flow->receive_next)) {
		offset = flow->receive_next - sequence;
		sequence = flow->receive_next;
	}
	end = tcp_seq_min(end, edge);
	if (size > 0)
		tcp_delay_heard(flow);
	had_gap = sequence != flow->receive_next || flow->buffer.range_count > 0;
	if (tcp_seq_before(sequence, end) &&
	    !take_bytes(flow, frame, sequence, offset, end - sequence))
		return false;
	/* At once, so that the guest can count duplicates (RFC 5681 4.2). */
	if (had_gap)
		tcp_output_ack(flow);
	else
		tcp_flow_owe_ack(flow);
	return tcp_receive_flush(flow);
}
