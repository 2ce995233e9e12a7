#include "nat/tcp_backlog.h"

#include <assert.h>
#include <errno.h>

#include "wire/iov_cursor.h"

static uint32_t *slot_of(struct tcp_backlog *backlog, uint64_t position)
{
	return &backlog->block[position / TCP_BLOCK_SIZE % TCP_BACKLOG_BLOCKS];
}

static void give_block(struct tcp_backlog *backlog, struct tcp_pool *pool, uint32_t *slot)
{
	if (*slot == TCP_BLOCK_NONE)
		return;
	tcp_pool_give(pool, *slot);
	*slot = TCP_BLOCK_NONE;
	backlog->held--;
}

/* The memory of [position, position + size), as far as there are blocks; takes new ones when
 * `take`. Returns the bytes covered. */
static size_t kept_parts(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			 uint64_t position, size_t size, bool take, struct iovec *ret_parts,
			 size_t *ret_count)
{
	size_t done = 0;
	size_t count = 0;

	while (done < size && count < TCP_BACKLOG_PARTS) {
		uint32_t *slot = slot_of(backlog, position + done);
		size_t in_block = (size_t)((position + done) % TCP_BLOCK_SIZE);
		size_t part = TCP_BLOCK_SIZE - in_block;

		if (part > size - done)
			part = size - done;
		if (*slot == TCP_BLOCK_NONE && take) {
			*slot = tcp_pool_take(source->pool, source->port, backlog->held);
			if (*slot != TCP_BLOCK_NONE)
				backlog->held++;
		}
		if (*slot == TCP_BLOCK_NONE)
			break;
		ret_parts[count++] = (struct iovec){
			.iov_base = tcp_pool_bytes(source->pool, *slot) + in_block,
			.iov_len = part,
		};
		done += part;
	}
	*ret_count = count;
	return done;
}

/* Blocks that [first, end) touches, but bytes before `first` do not. */
static void kept_give_back(struct tcp_backlog *backlog, struct tcp_pool *pool, uint64_t first,
			   uint64_t end)
{
	uint64_t position = first;

	if (first > backlog->head) /* the block that first is in may hold bytes before it */
		position = (first + TCP_BLOCK_SIZE - 1) / TCP_BLOCK_SIZE * TCP_BLOCK_SIZE;
	for (; position < end; position = (position / TCP_BLOCK_SIZE + 1) * TCP_BLOCK_SIZE)
		give_block(backlog, pool, slot_of(backlog, position));
}

static ssize_t kept_receive(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			    size_t size)
{
	struct iovec parts[TCP_BACKLOG_PARTS];
	size_t count;
	ssize_t received;
	uint64_t end;

	if (size > TCP_BACKLOG_CAPACITY - tcp_backlog_size(backlog))
		size = TCP_BACKLOG_CAPACITY - tcp_backlog_size(backlog);
	size = kept_parts(backlog, source, backlog->tail, size, true, parts, &count);
	if (size == 0)
		return -ENOBUFS;
	end = backlog->tail + size;
	received = host_call(source->host, receive, source->socket, parts, count);
	backlog->drained = received > 0 && (size_t)received < size;
	if (received == 0)
		backlog->ended = true;
	if (received > 0)
		backlog->tail += (uint64_t)received;
	kept_give_back(backlog, source->pool, backlog->tail, end);
	return received;
}

static ssize_t kept_get(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t offset, size_t size, struct iovec *ret_parts, size_t *ret_count)
{
	if (offset == tcp_backlog_size(backlog)) {
		ssize_t received;

		if (backlog->ended)
			return 0;
		received = kept_receive(backlog, source, size);
		if (received <= 0)
			return received;
	}
	if (size > tcp_backlog_size(backlog) - offset)
		size = tcp_backlog_size(backlog) - offset;
	return (ssize_t)kept_parts(backlog, source, backlog->head + offset, size, false, ret_parts,
				   ret_count);
}

/* Where `size` bytes go. */
static size_t peek_place(const struct tcp_backlog_source *source, size_t size,
			 struct iovec *ret_parts)
{
	struct iov_cursor cursor = iov_cursor_of(source->place, source->place_count);

	if (source->place_count > 0)
		return iov_cursor_cut(&cursor, size, ret_parts, TCP_BACKLOG_PARTS);
	ret_parts[0] = (struct iovec){ .iov_base = source->scratch, .iov_len = size };
	return 1;
}

static ssize_t peek_get(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t offset, size_t size, struct iovec *ret_parts, size_t *ret_count)
{
	uint64_t position = backlog->head + offset;
	ssize_t got;

	if (backlog->ended && position == backlog->tail)
		return 0;
	if (size > TCP_BACKLOG_CAPACITY - offset)
		size = TCP_BACKLOG_CAPACITY - offset;
	if (size == 0)
		return -ENOBUFS;
	if (position != backlog->peeked) {
		int rc = host_call(source->host, set_peek_offset, source->socket, offset);

		if (rc < 0)
			return rc;
		backlog->peeked = position;
	}
	*ret_count = peek_place(source, size, ret_parts);
	got = host_call(source->host, peek, source->socket, ret_parts, *ret_count);
	backlog->drained = got > 0 && (size_t)got < size;
	if (got == 0) {
		/* Bytes that were seen cannot be gone; if they are, the stream is lost. */
		if (position != backlog->tail)
			return -ECONNRESET;
		backlog->ended = true;
	}
	if (got <= 0)
		return got;
	*ret_count = peek_place(source, (size_t)got, ret_parts);
	backlog->peeked = position + (uint64_t)got;
	if (backlog->peeked > backlog->tail)
		backlog->tail = backlog->peeked;
	return got;
}

static int peek_discard(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t size)
{
	uint64_t head = backlog->head;

	while (size > 0) {
		ssize_t taken = host_call(source->host, discard, source->socket, size);

		if (taken <= 0)
			return taken < 0 ? (int)taken : -ECONNRESET;
		assert((size_t)taken <= size);
		size -= (size_t)taken;
		head += (uint64_t)taken;
	}
	backlog->head = head;
	/* The kernel lowers the offset by what went, but not below the new head. */
	if (backlog->peeked < head)
		backlog->peeked = head;
	return 0;
}

void tcp_backlog_init(struct tcp_backlog *backlog, enum nat_backlog kind,
		      const struct tcp_backlog_source *source)
{
	*backlog = (struct tcp_backlog){ .kind = kind };
	for (size_t i = 0; i < TCP_BACKLOG_BLOCKS; i++)
		backlog->block[i] = TCP_BLOCK_NONE;
	if (kind == NAT_BACKLOG_PEEK &&
	    host_call(source->host, set_peek_offset, source->socket, 0) < 0)
		backlog->kind = NAT_BACKLOG_KEPT;
}

void tcp_backlog_clear(struct tcp_backlog *backlog, struct tcp_pool *pool)
{
	for (size_t i = 0; i < TCP_BACKLOG_BLOCKS && backlog->held > 0; i++)
		give_block(backlog, pool, &backlog->block[i]);
}

ssize_t tcp_backlog_get(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t offset, size_t size, struct iovec ret_parts[TCP_BACKLOG_PARTS],
			size_t *ret_count)
{
	assert(size > 0 && size <= TCP_BACKLOG_GET_MAX && offset <= tcp_backlog_size(backlog));
	backlog->drained = false;
	if (backlog->kind == NAT_BACKLOG_KEPT)
		return kept_get(backlog, source, offset, size, ret_parts, ret_count);
	return peek_get(backlog, source, offset, size, ret_parts, ret_count);
}

int tcp_backlog_discard(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t size)
{
	uint64_t old_head = backlog->head;

	assert(size <= tcp_backlog_size(backlog));
	if (backlog->kind == NAT_BACKLOG_PEEK)
		return peek_discard(backlog, source, size);
	backlog->head += size;
	if (backlog->head == backlog->tail)
		tcp_backlog_clear(backlog, source->pool);
	else
		for (uint64_t i = old_head / TCP_BLOCK_SIZE; i < backlog->head / TCP_BLOCK_SIZE;
		     i++)
			give_block(backlog, source->pool, &backlog->block[i % TCP_BACKLOG_BLOCKS]);
	return 0;
}
