#include "nat/udp_memory.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#define UDP_ARRIVALS_SIZE ((size_t)UDP_RECEIVE_BATCH * HOST_DATAGRAM_MAX)
#define UDP_MEMORY_SIZE	  (UDP_ARRIVALS_SIZE + HOST_DATAGRAM_MAX + UDP_SEND_BYTES)

static void udp_memory_rest(struct timer *timer, uint64_t now_ns)
{
	struct udp_memory *memory = container_of(timer, struct udp_memory, rest);

	if (memory->used) {
		memory->used = false;
		timer_set(memory->timers, &memory->rest, now_ns + UDP_MEMORY_REST_NS);
		return;
	}
	/* Fails on no memory of our own; were it to, it would only not be given back. */
	(void)madvise(memory->arrivals, UDP_MEMORY_SIZE, MADV_DONTNEED);
}

/* From the kernel and not from malloc(), which may have such a piece at hand and clear it. */
int udp_memory_init(struct udp_memory *memory, struct timers *timers)
{
	void *bytes = mmap(NULL, UDP_MEMORY_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*memory = (struct udp_memory){ .timers = timers };
	if (bytes == MAP_FAILED)
		return -ENOMEM;
	/* A huge page is written as a whole. A kernel that has none refuses this, too. */
	(void)madvise(bytes, UDP_MEMORY_SIZE, MADV_NOHUGEPAGE);
	memory->arrivals = bytes;
	memory->error = memory->arrivals + UDP_ARRIVALS_SIZE;
	memory->waiting = memory->error + HOST_DATAGRAM_MAX;
	timer_init(&memory->rest, udp_memory_rest);
	return 0;
}

void udp_memory_done(struct udp_memory *memory)
{
	if (!memory->arrivals)
		return;
	timer_clear(memory->timers, &memory->rest);
	(void)munmap(memory->arrivals, UDP_MEMORY_SIZE);
	memory->arrivals = NULL;
}

void udp_memory_use(struct udp_memory *memory, uint64_t now_ns)
{
	memory->used = true;
	if (!timer_is_set(&memory->rest))
		timer_set(memory->timers, &memory->rest, now_ns + UDP_MEMORY_REST_NS);
}
