#pragma once
/*
 * The network's bounded pool of blocks in which TCP keeps bytes: those that a host socket did not
 * take yet (tcp_buffer) and those that a guest has not acknowledged yet (tcp_backlog, kept). The
 * memory is reserved at start and becomes resident only where it is used.
 *
 * Sharing: a port may hold as many blocks as are free, so that there is always something left for
 * a newcomer; a flow may hold a quarter of what its port may still take, and two in any case.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define TCP_BLOCK_SIZE 16384
#define TCP_BLOCK_NONE UINT32_MAX

struct tcp_pool {
	uint8_t *memory;
	uint32_t capacity; /* blocks */
	uint32_t used;
	uint32_t first_free;
	uint32_t port_capacity;
	uint32_t *next;	      /* [capacity]: of a free block, the next one */
	uint32_t *block_port; /* [capacity]: of a used block, whom it is charged to */
	uint32_t *port_used;  /* [port_capacity + 1]: the last stands for every other port */
};

/* 0 or -ENOMEM. */
int tcp_pool_init(struct tcp_pool *pool, uint32_t capacity, uint32_t port_capacity) MUST_USE;
void tcp_pool_done(struct tcp_pool *pool);

/* TCP_BLOCK_NONE when the pool or a share of it is used up. `held` is what the flow already holds
 * in that direction. */
uint32_t tcp_pool_take(struct tcp_pool *pool, uint32_t port, uint32_t held) MUST_USE;
void tcp_pool_give(struct tcp_pool *pool, uint32_t block);

static inline uint8_t *tcp_pool_bytes(const struct tcp_pool *pool, uint32_t block)
{
	return pool->memory + (size_t)block * TCP_BLOCK_SIZE;
}
