#include "attach/out_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two super-frames: less than that is not worth a source's while. */
#define OUT_QUEUE_ROOM_MIN ((size_t)128 << 10)

int out_queue_init(struct out_queue *queue)
{
	*queue = (struct out_queue){ .ring = malloc(OUT_QUEUE_SIZE) };
	return queue->ring ? 0 : -ENOMEM;
}

void out_queue_done(struct out_queue *queue)
{
	free(queue->ring);
	*queue = (struct out_queue){};
}

static size_t out_queue_free(const struct out_queue *queue)
{
	return OUT_QUEUE_SIZE - out_queue_used(queue);
}

/* `size` bytes of the ring from the position `at` on, which may wrap. */
static size_t out_queue_slice(const struct out_queue *queue, uint64_t at, size_t size,
			      struct iovec ret_parts[2])
{
	size_t start = (size_t)(at & (OUT_QUEUE_SIZE - 1));
	size_t first = size < OUT_QUEUE_SIZE - start ? size : OUT_QUEUE_SIZE - start;

	if (size == 0)
		return 0;
	ret_parts[0] = (struct iovec){ queue->ring + start, first };
	if (first == size)
		return 1;
	ret_parts[1] = (struct iovec){ queue->ring, size - first };
	return 2;
}

static void out_queue_append(struct out_queue *queue, const void *bytes, size_t size)
{
	struct iovec parts[2];
	size_t count = out_queue_slice(queue, queue->written, size, parts);
	const uint8_t *from = bytes;

	for (size_t i = 0; i < count; i++) {
		memcpy(parts[i].iov_base, from, parts[i].iov_len);
		from += parts[i].iov_len;
	}
	queue->written += size;
}

bool out_queue_put(struct out_queue *queue, const struct iovec *parts, size_t count, size_t size)
{
	uint8_t length[OUT_QUEUE_LENGTH_SIZE] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16),
						  (uint8_t)(size >> 8), (uint8_t)size };

	if (out_queue_free(queue) < size + sizeof(length))
		return false;
	out_queue_append(queue, length, sizeof(length));
	for (size_t i = 0; i < count; i++)
		out_queue_append(queue, parts[i].iov_base, parts[i].iov_len);
	return true;
}

size_t out_queue_peek(const struct out_queue *queue, struct iovec ret_parts[2])
{
	return out_queue_slice(queue, queue->read, out_queue_used(queue), ret_parts);
}

size_t out_queue_peek_frame(const struct out_queue *queue, size_t *offset,
			    struct iovec ret_parts[2])
{
	size_t left = out_queue_used(queue) - *offset;
	uint64_t at = queue->read + *offset;
	size_t size = 0;

	assert(*offset <= out_queue_used(queue));
	if (left < OUT_QUEUE_LENGTH_SIZE)
		return 0;
	for (unsigned i = 0; i < OUT_QUEUE_LENGTH_SIZE; i++)
		size = size << 8 | queue->ring[(at + i) & (OUT_QUEUE_SIZE - 1)];
	assert(size > 0 && size <= left - OUT_QUEUE_LENGTH_SIZE);
	*offset += OUT_QUEUE_LENGTH_SIZE + size;
	return out_queue_slice(queue, at + OUT_QUEUE_LENGTH_SIZE, size, ret_parts);
}

void out_queue_take(struct out_queue *queue, size_t size)
{
	assert(size <= out_queue_used(queue));
	queue->read += size;
}

void out_queue_clear(struct out_queue *queue)
{
	queue->read = queue->written;
}

size_t out_queue_room(struct out_queue *queue)
{
	size_t left = out_queue_free(queue);

	if (left < OUT_QUEUE_ROOM_MIN) {
		queue->room_wanted = true;
		return 0;
	}
	/* An MTU of 576 adds 58 bytes of headers and length to every 536 of payload. */
	return left - left / 8;
}

bool out_queue_room_returned(struct out_queue *queue)
{
	if (!queue->room_wanted || out_queue_used(queue) > OUT_QUEUE_SIZE / 2)
		return false;
	queue->room_wanted = false;
	return true;
}
