#include "attach/vhost_user/guest_memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/*
 * User addresses may overlap: the front end may show one piece of memory at two guest addresses. A
 * ring lies in either, and both are the guest's.
 */
static int check_region(const struct vhost_region *regions, size_t index, struct error *err)
{
	const struct vhost_region *region = &regions[index];
	uint64_t end;

	if (region->size == 0) {
		error_set(err, "memory region %zu is empty", index);
		return -EINVAL;
	}
	if (__builtin_add_overflow(region->guest_address, region->size, &end) ||
	    __builtin_add_overflow(region->user_address, region->size, &end)) {
		error_set(err, "memory region %zu overflows", index);
		return -EINVAL;
	}
	for (size_t i = 0; i < index; i++) {
		if (ranges_overlap(region->guest_address, region->size, regions[i].guest_address,
				   regions[i].size)) {
			error_set(err, "memory regions %zu and %zu overlap", i, index);
			return -EINVAL;
		}
	}
	return 0;
}

int guest_memory_map(const struct vhost_region *regions, const int *fds, size_t count,
		     bool allow_unsealed, struct guest_memory *ret_memory, struct error *err)
{
	struct guest_memory memory = {};
	int status = 0;

	assert(count <= VHOST_REGIONS_MOST);
	for (size_t i = 0; i < count && status == 0; i++) {
		struct guest_region *region = &memory.regions[i];

		status = check_region(regions, i, err);
		if (status < 0)
			break;
		*region = (struct guest_region){
			.guest_address = regions[i].guest_address,
			.user_address = regions[i].user_address,
		};
		status = shared_map_open(fds[i], regions[i].file_offset, regions[i].size,
					 allow_unsealed, &region->map, err);
		if (status < 0)
			error_prefix(err, "memory region %zu", i);
		else
			memory.count++;
	}
	if (status < 0) {
		guest_memory_unmap(&memory);
		return status;
	}
	*ret_memory = memory;
	return 0;
}

void guest_memory_unmap(struct guest_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		shared_map_close(&memory->regions[i].map);
	memory->count = 0;
}

/* The region that holds the address, and how far inside. */
static const struct guest_region *find_region(const struct guest_memory *memory, uint64_t address,
					      size_t *ret_offset)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];

		if (address >= region->guest_address &&
		    address - region->guest_address < region->map.size) {
			*ret_offset = (size_t)(address - region->guest_address);
			return region;
		}
	}
	return NULL;
}

bool guest_memory_translate(const struct guest_memory *memory, uint64_t address, uint64_t size,
			    struct iovec *parts, size_t capacity, size_t *count)
{
	size_t used = *count;
	size_t offset;

	if (size == 0)
		return find_region(memory, address, &offset) != NULL;
	while (size > 0) {
		const struct guest_region *region = find_region(memory, address, &offset);

		if (!region || used == capacity)
			return false;
		size_t left = region->map.size - offset;
		size_t now = size < left ? (size_t)size : left;

		parts[used++] = (struct iovec){ region->map.bytes + offset, now };
		/* Regions do not overflow, so this comes to 2^64 - 1 at the most. */
		address += now;
		size -= now;
	}
	*count = used;
	return true;
}

void *guest_memory_find_user(const struct guest_memory *memory, uint64_t address, uint64_t size,
			     size_t alignment)
{
	if (address & (alignment - 1))
		return NULL;
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];

		if (address < region->user_address ||
		    address - region->user_address >= region->map.size)
			continue;
		size_t offset = (size_t)(address - region->user_address);
		uint8_t *bytes = region->map.bytes + offset;

		/* The region itself may be mapped at an odd offset of its file. */
		if (size <= region->map.size - offset && ((uintptr_t)bytes & (alignment - 1)) == 0)
			return bytes;
	}
	return NULL;
}

bool guest_memory_read(const struct guest_memory *memory, uint64_t address, void *ret_bytes,
		       size_t size)
{
	struct iovec parts[VHOST_REGIONS_MOST];
	uint8_t *to = ret_bytes;
	size_t count = 0;

	if (!guest_memory_translate(memory, address, size, parts, VHOST_REGIONS_MOST, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		guest_memory_load(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
	return true;
}

uint64_t guest_memory_address_of(const struct guest_memory *memory, const void *pointer)
{
	const struct guest_region *region = memory->regions;
	uintptr_t at = (uintptr_t)pointer;

	while (at - (uintptr_t)region->map.bytes >= region->map.size) {
		region++;
		assert(region < memory->regions + memory->count);
	}
	return region->guest_address + (at - (uintptr_t)region->map.bytes);
}
