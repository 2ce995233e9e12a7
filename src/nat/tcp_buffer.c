#include "nat/tcp_buffer.h"

#include <assert.h>
#include <string.h>

static uint32_t *slot_of(struct tcp_buffer *buffer, uint64_t block_number)
{
	return &buffer->block[block_number % TCP_BUFFER_BLOCKS];
}

static void give_block(struct tcp_buffer *buffer, struct tcp_pool *pool, uint32_t *slot)
{
	if (*slot == TCP_BLOCK_NONE)
		return;
	tcp_pool_give(pool, *slot);
	*slot = TCP_BLOCK_NONE;
	buffer->held--;
}

/* Head has come from old_head: gives back the blocks that are behind it now. */
static void give_passed(struct tcp_buffer *buffer, struct tcp_pool *pool, uint64_t old_head)
{
	uint64_t first = old_head / TCP_BLOCK_SIZE;
	uint64_t end = buffer->head / TCP_BLOCK_SIZE;

	if (buffer->head == buffer->tail && buffer->range_count == 0) {
		tcp_buffer_clear(buffer, pool);
		return;
	}
	for (uint64_t i = first; i < end; i++)
		give_block(buffer, pool, slot_of(buffer, i));
}

static void remove_ranges(struct tcp_buffer *buffer, uint32_t first, uint32_t count)
{
	buffer->range_count -= count;
	memmove(&buffer->range[first], &buffer->range[first + count],
		(buffer->range_count - first) * sizeof(buffer->range[0]));
}

/* Ranges that tail has reached are in order now. */
static void absorb_ranges(struct tcp_buffer *buffer)
{
	uint32_t count = 0;

	while (count < buffer->range_count && buffer->range[count].start <= buffer->tail) {
		if (buffer->range[count].end > buffer->tail)
			buffer->tail = buffer->range[count].end;
		count++;
	}
	if (count > 0)
		remove_ranges(buffer, 0, count);
}

/* First range that [start, ...) touches or lies before. */
static uint32_t find_range(const struct tcp_buffer *buffer, uint64_t start)
{
	uint32_t i = 0;

	while (i < buffer->range_count && buffer->range[i].end < start)
		i++;
	return i;
}

static bool has_place_for_range(const struct tcp_buffer *buffer, uint64_t start, uint64_t end)
{
	uint32_t i = find_range(buffer, start);

	if (buffer->range_count < TCP_BUFFER_RANGES)
		return true;
	return i < buffer->range_count && buffer->range[i].start <= end;
}

static void add_range(struct tcp_buffer *buffer, uint64_t start, uint64_t end)
{
	uint32_t first = find_range(buffer, start);
	uint32_t last = first;

	while (last < buffer->range_count && buffer->range[last].start <= end) {
		if (buffer->range[last].start < start)
			start = buffer->range[last].start;
		if (buffer->range[last].end > end)
			end = buffer->range[last].end;
		last++;
	}
	if (last > first) {
		remove_ranges(buffer, first + 1, last - first - 1);
	} else {
		assert(buffer->range_count < TCP_BUFFER_RANGES);
		memmove(&buffer->range[first + 1], &buffer->range[first],
			(buffer->range_count - first) * sizeof(buffer->range[0]));
		buffer->range_count++;
	}
	buffer->range[first] = (struct tcp_buffer_range){ .start = start, .end = end };
}

static size_t copy_in(struct tcp_buffer *buffer, struct tcp_pool *pool, uint32_t port,
		      uint64_t position, const struct frame *frame, size_t offset, size_t size)
{
	size_t done = 0;

	while (done < size) {
		uint32_t *slot = slot_of(buffer, (position + done) / TCP_BLOCK_SIZE);
		size_t in_block = (size_t)((position + done) % TCP_BLOCK_SIZE);
		size_t part = TCP_BLOCK_SIZE - in_block;

		if (part > size - done)
			part = size - done;
		if (*slot == TCP_BLOCK_NONE) {
			*slot = tcp_pool_take(pool, port, buffer->held);
			if (*slot == TCP_BLOCK_NONE)
				break;
			buffer->held++;
		}
		frame_copy_payload(frame, offset + done, tcp_pool_bytes(pool, *slot) + in_block,
				   part);
		done += part;
	}
	return done;
}

void tcp_buffer_init(struct tcp_buffer *buffer)
{
	*buffer = (struct tcp_buffer){ .head = 0 };
	for (size_t i = 0; i < TCP_BUFFER_BLOCKS; i++)
		buffer->block[i] = TCP_BLOCK_NONE;
}

void tcp_buffer_clear(struct tcp_buffer *buffer, struct tcp_pool *pool)
{
	for (size_t i = 0; i < TCP_BUFFER_BLOCKS && buffer->held > 0; i++)
		give_block(buffer, pool, &buffer->block[i]);
	buffer->range_count = 0;
	buffer->head = buffer->tail;
}

size_t tcp_buffer_store(struct tcp_buffer *buffer, struct tcp_pool *pool, uint32_t port,
			uint64_t position, const struct frame *frame, size_t offset, size_t size)
{
	size_t done;

	assert(position >= buffer->tail);
	assert(position + size <= buffer->head + TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK);
	if (size == 0)
		return 0;
	if (position > buffer->tail && !has_place_for_range(buffer, position, position + size))
		return 0;
	done = copy_in(buffer, pool, port, position, frame, offset, size);
	if (position == buffer->tail) {
		buffer->tail += done;
		absorb_ranges(buffer);
		return done;
	}
	/* Cut short it might touch no range any more, and the list be full. */
	if (done > 0 && !has_place_for_range(buffer, position, position + done))
		return 0;
	if (done > 0)
		add_range(buffer, position, position + done);
	return done;
}

void tcp_buffer_pass(struct tcp_buffer *buffer, struct tcp_pool *pool, size_t size)
{
	uint64_t old_head = buffer->head;

	assert(buffer->head == buffer->tail);
	buffer->head += size;
	buffer->tail += size;
	absorb_ranges(buffer);
	give_passed(buffer, pool, old_head);
}

size_t tcp_buffer_parts(const struct tcp_buffer *buffer, const struct tcp_pool *pool,
			struct iovec ret_parts[TCP_BUFFER_BLOCKS])
{
	uint64_t position = buffer->head;
	size_t count = 0;

	while (position < buffer->tail) {
		uint32_t block = buffer->block[position / TCP_BLOCK_SIZE % TCP_BUFFER_BLOCKS];
		size_t in_block = (size_t)(position % TCP_BLOCK_SIZE);
		size_t part = TCP_BLOCK_SIZE - in_block;

		assert(block != TCP_BLOCK_NONE && count < TCP_BUFFER_BLOCKS);
		if (part > buffer->tail - position)
			part = (size_t)(buffer->tail - position);
		ret_parts[count++] = (struct iovec){
			.iov_base = tcp_pool_bytes(pool, block) + in_block,
			.iov_len = part,
		};
		position += part;
	}
	return count;
}

void tcp_buffer_consume(struct tcp_buffer *buffer, struct tcp_pool *pool, size_t size)
{
	uint64_t old_head = buffer->head;

	assert(size <= tcp_buffer_size(buffer));
	buffer->head += size;
	give_passed(buffer, pool, old_head);
}
