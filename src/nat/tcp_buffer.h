#pragma once
/*
 * Bytes from a guest that its host socket did not take yet, and bytes that came out of order.
 *
 *          head          tail        ranges[0]       ranges[1]
 *     ------|=============|.............|=====|.........|===|-----
 *           in order: our debt          beyond a gap
 *
 * Positions count the bytes of the stream from 0 and never wrap. Blocks come from the pool as bytes
 * come in; an empty buffer holds none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "nat/tcp_pool.h"
#include "wire/frame.h"

/* What the window may promise; with a scale of 2 it still fits into the header field. */
#define TCP_BUFFER_CAPACITY (UINT32_C(248) << 10)
/* Room behind it for windows that scaling rounds up (see tcp_window.c). */
#define TCP_BUFFER_SLACK 4096
/* A stretch of capacity and slack touches that many blocks at most. */
#define TCP_BUFFER_BLOCKS ((TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK) / TCP_BLOCK_SIZE + 2)
#define TCP_BUFFER_RANGES 8

struct tcp_buffer_range {
	uint64_t start;
	uint64_t end;
};

struct tcp_buffer {
	uint64_t head; /* first byte that the host has not taken */
	uint64_t tail; /* first byte that is missing */
	uint32_t range_count;
	uint32_t held; /* blocks */
	uint32_t block[TCP_BUFFER_BLOCKS];
	struct tcp_buffer_range range[TCP_BUFFER_RANGES]; /* ascending, never touching */
};

void tcp_buffer_init(struct tcp_buffer *buffer);
/* Gives all blocks back. */
void tcp_buffer_clear(struct tcp_buffer *buffer, struct tcp_pool *pool);

/* Bytes in order. */
static inline size_t tcp_buffer_size(const struct tcp_buffer *buffer)
{
	return (size_t)(buffer->tail - buffer->head);
}

/*
 * Stores payload bytes [offset, offset + size) of a frame for `position`, which is not before tail;
 * the end is at most head + capacity + slack. Returns how many it stored, from the front: fewer
 * when the pool is empty, none when there are too many gaps. Tail moves over what is now in order.
 */
size_t tcp_buffer_store(struct tcp_buffer *buffer, struct tcp_pool *pool, uint32_t port,
			uint64_t position, const struct frame *frame, size_t offset,
			size_t size) MUST_USE;

/* The next `size` bytes of the stream went to the host directly; nothing is in order here. Head and
 * tail move on; tail also over ranges that are in order now. */
void tcp_buffer_pass(struct tcp_buffer *buffer, struct tcp_pool *pool, size_t size);

/* All bytes in order; returns the number of parts, at most TCP_BUFFER_BLOCKS. */
size_t tcp_buffer_parts(const struct tcp_buffer *buffer, const struct tcp_pool *pool,
			struct iovec ret_parts[TCP_BUFFER_BLOCKS]);

/* The host took `size` bytes of those in order. */
void tcp_buffer_consume(struct tcp_buffer *buffer, struct tcp_pool *pool, size_t size);
