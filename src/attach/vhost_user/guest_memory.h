#pragma once
/*
 * The guest's memory, as the front end shares it: up to 8 regions, each a piece of a file. Whatever
 * an address of the guest points to may change while we look at it, so bytes are copied out
 * (guest_memory_load) before they are judged.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "attach/vhost_user/shared_map.h"
#include "attach/vhost_user/vhost_message.h"
#include "base/compiler.h"
#include "base/error.h"

struct guest_region {
	uint64_t guest_address;
	uint64_t user_address;
	struct shared_map map;
};

struct guest_memory {
	size_t count;
	struct guest_region regions[VHOST_REGIONS_MOST];
};

/*
 * Maps all regions or none; the descriptors stay the caller's. Negative errno with a sentence for
 * regions that are empty, overlap in the guest's addresses, or overflow, and as shared_map_open().
 * ret_memory is written only on success: what it held must be unmapped by the caller.
 */
int guest_memory_map(const struct vhost_region *regions, const int *fds, size_t count,
		     bool allow_unsealed, struct guest_memory *ret_memory,
		     struct error *err) MUST_USE;
void guest_memory_unmap(struct guest_memory *memory);

/*
 * Appends the pieces of [address, address + size) to parts, one for each region it touches; *count
 * is how many parts there are already. False, and *count is as before: not all of it is memory, or
 * there are no parts left. A size of 0 must be at an address that is memory, and adds nothing.
 */
bool guest_memory_translate(const struct guest_memory *memory, uint64_t address, uint64_t size,
			    struct iovec *parts, size_t capacity, size_t *count) MUST_USE;

/* By the front end's address, within one region and aligned (a power of two); else NULL. */
void *guest_memory_find_user(const struct guest_memory *memory, uint64_t address, uint64_t size,
			     size_t alignment);

/* Copies from a guest's address, also across regions. */
bool guest_memory_read(const struct guest_memory *memory, uint64_t address, void *ret_bytes,
		       size_t size) MUST_USE;

/* The guest's address of a pointer into its memory, which it must be. */
uint64_t guest_memory_address_of(const struct guest_memory *memory, const void *pointer);

/* Copies what the guest can change. The barrier keeps the compiler from reading the guest's memory a
 * second time in place of the copy. */
static inline void guest_memory_load(void *ret_bytes, const void *shared, size_t size)
{
	memcpy(ret_bytes, shared, size);
	__asm__ volatile("" ::: "memory");
}
