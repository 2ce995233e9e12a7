#include "nat/tcp_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FLOW_BLOCKS_MIN 2

static uint32_t port_slot(const struct tcp_pool *pool, uint32_t port)
{
	return port < pool->port_capacity ? port : pool->port_capacity;
}

int tcp_pool_init(struct tcp_pool *pool, uint32_t capacity, uint32_t port_capacity)
{
	void *memory;

	*pool = (struct tcp_pool){ .capacity = capacity, .port_capacity = port_capacity };
	memory = mmap(NULL, (size_t)capacity * TCP_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory != MAP_FAILED)
		pool->memory = memory;
	pool->next = calloc(capacity, sizeof(*pool->next));
	pool->block_port = calloc(capacity, sizeof(*pool->block_port));
	pool->port_used = calloc((size_t)port_capacity + 1, sizeof(*pool->port_used));
	if (!pool->memory || !pool->next || !pool->block_port || !pool->port_used) {
		tcp_pool_done(pool);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < capacity; i++)
		pool->next[i] = i + 1 < capacity ? i + 1 : TCP_BLOCK_NONE;
	return 0;
}

void tcp_pool_done(struct tcp_pool *pool)
{
	if (pool->memory)
		munmap(pool->memory, (size_t)pool->capacity * TCP_BLOCK_SIZE);
	free(pool->next);
	free(pool->block_port);
	free(pool->port_used);
	*pool = (struct tcp_pool){ .memory = NULL };
}

uint32_t tcp_pool_take(struct tcp_pool *pool, uint32_t port, uint32_t held)
{
	uint32_t left = pool->capacity - pool->used;
	uint32_t slot = port_slot(pool, port);
	uint32_t block = pool->first_free;

	if (left <= pool->port_used[slot])
		return TCP_BLOCK_NONE;
	if (held >= FLOW_BLOCKS_MIN && held > (left - pool->port_used[slot]) / 4)
		return TCP_BLOCK_NONE;
	pool->first_free = pool->next[block];
	pool->block_port[block] = slot;
	pool->port_used[slot]++;
	pool->used++;
	return block;
}

void tcp_pool_give(struct tcp_pool *pool, uint32_t block)
{
	assert(block < pool->capacity && pool->used > 0);
	assert(pool->port_used[pool->block_port[block]] > 0);
	pool->port_used[pool->block_port[block]]--;
	pool->used--;
	pool->next[block] = pool->first_free;
	pool->first_free = block;
}
