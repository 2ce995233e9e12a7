#include "registry/subnet_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/registry.h"

#define V4(a, b, c, d)                                                                             \
	{                                                                                          \
		.family = IP_FAMILY_V4, .octet = { a, b, c, d }                                    \
	}

/* RFC 1918, section 3. */
const struct ip_prefix registry_default_pool[] = {
	{ V4(10, 0, 0, 0), 8 },
	{ V4(172, 16, 0, 0), 12 },
	{ V4(192, 168, 0, 0), 16 },
};
const size_t registry_default_pool_count = ARRAY_COUNT(registry_default_pool);

/* What software inside guests takes for itself by default: a guest that runs it must not find its
 * own gateway there. */
const struct ip_prefix registry_default_exclude[] = {
	{ V4(172, 16, 0, 0), 12 },    /* Docker */
	{ V4(10, 42, 0, 0), 16 },     /* k3s pods */
	{ V4(10, 43, 0, 0), 16 },     /* k3s services */
	{ V4(10, 88, 0, 0), 16 },     /* Podman */
	{ V4(10, 96, 0, 0), 12 },     /* Kubernetes services */
	{ V4(10, 244, 0, 0), 16 },    /* Kubernetes pods (Flannel) */
	{ V4(192, 168, 0, 0), 24 },   /* home routers */
	{ V4(192, 168, 1, 0), 24 },   /* home routers */
	{ V4(192, 168, 122, 0), 24 }, /* libvirt */
};
const size_t registry_default_exclude_count = ARRAY_COUNT(registry_default_exclude);

/* Inclusive ends in 64 bits, so that "one past 255.255.255.255" is a number. */
struct span {
	uint64_t first;
	uint64_t last;
};

static int span_compare(const void *left, const void *right)
{
	const struct span *a = left;
	const struct span *b = right;

	return (a->first > b->first) - (a->first < b->first);
}

static size_t spans_add(struct span *spans, size_t used, const struct subnet_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct ip_prefix *prefix = &list->prefixes[i];

		if (!ip_addr_is_v4(&prefix->addr) || prefix->length > 32)
			continue;
		if (prefix->length == 0 && list->ignore_default)
			continue;
		spans[used].first = ip_prefix_first_v4(prefix);
		spans[used].last = ip_prefix_last_v4(prefix);
		used++;
	}
	return used;
}

/* Sorts, and joins what overlaps or touches; returns how many are left. */
static size_t spans_normalise(struct span *spans, size_t count)
{
	size_t used = 0;

	if (count == 0)
		return 0;
	qsort(spans, count, sizeof(*spans), span_compare);
	for (size_t i = 1; i < count; i++) {
		if (spans[i].first > spans[used].last + 1)
			spans[++used] = spans[i];
		else if (spans[i].last > spans[used].last)
			spans[used].last = spans[i].last;
	}
	return used + 1;
}

static uint64_t block_size(uint8_t length)
{
	return UINT64_C(1) << (32 - length);
}

static uint64_t align_up(uint64_t at, uint64_t size)
{
	return (at + size - 1) & ~(size - 1);
}

static void range_add(struct subnet_pool *pool, uint64_t first, uint64_t last)
{
	uint64_t size = block_size(pool->length);
	uint64_t start = align_up(first, size);
	uint64_t count = last + 1 > start ? (last + 1 - start) / size : 0;

	if (count == 0)
		return;
	pool->ranges[pool->range_count++] = (struct subnet_range){
		.first = (uint32_t)start,
		.count = (uint32_t)count,
	};
	pool->count += count;
}

static void ranges_fill(struct subnet_pool *pool, const struct span *from, size_t from_count,
			const struct span *cuts, size_t cut_count)
{
	size_t cut = 0;

	for (size_t i = 0; i < from_count; i++) {
		uint64_t at = from[i].first;

		while (cut < cut_count && cuts[cut].last < at)
			cut++;
		/* A cut may reach into the next span too: it is looked at again there. */
		for (size_t j = cut; j < cut_count && cuts[j].first <= from[i].last; j++) {
			if (cuts[j].first > at)
				range_add(pool, at, cuts[j].first - 1);
			at = cuts[j].last + 1;
		}
		if (at <= from[i].last)
			range_add(pool, at, from[i].last);
	}
}

int subnet_pool_init(struct subnet_pool *pool, uint8_t length, struct subnet_list from,
		     const struct subnet_list *without, size_t without_count)
{
	size_t most = 0;
	size_t cut_count = 0;

	for (size_t i = 0; i < without_count; i++)
		most += without[i].count;

	*pool = (struct subnet_pool){ .length = length };
	struct span *from_spans = calloc(from.count + 1, sizeof(*from_spans));
	struct span *cuts = calloc(most + 1, sizeof(*cuts));
	/* Each cut splits at most one range in two. */
	pool->ranges = calloc(from.count + most + 1, sizeof(*pool->ranges));
	if (!from_spans || !cuts || !pool->ranges) {
		free(from_spans);
		free(cuts);
		subnet_pool_done(pool);
		return -ENOMEM;
	}

	size_t from_count = spans_normalise(from_spans, spans_add(from_spans, 0, &from));
	for (size_t i = 0; i < without_count; i++)
		cut_count = spans_add(cuts, cut_count, &without[i]);
	cut_count = spans_normalise(cuts, cut_count);
	ranges_fill(pool, from_spans, from_count, cuts, cut_count);

	free(from_spans);
	free(cuts);
	return 0;
}

void subnet_pool_done(struct subnet_pool *pool)
{
	free(pool->ranges);
	*pool = (struct subnet_pool){ .ranges = NULL };
}

static struct ip_prefix block_at(const struct subnet_pool *pool, const struct subnet_range *range,
				 uint64_t number)
{
	uint64_t first = range->first + number * block_size(pool->length);

	return (struct ip_prefix){
		.addr = ip_addr_from_v4((uint32_t)first),
		.length = pool->length,
	};
}

struct ip_prefix subnet_pool_at(const struct subnet_pool *pool, uint64_t number)
{
	size_t i = 0;

	while (number >= pool->ranges[i].count)
		number -= pool->ranges[i++].count;
	return block_at(pool, &pool->ranges[i], number);
}

bool subnet_pool_contains(const struct subnet_pool *pool, const struct ip_prefix *block)
{
	struct ip_prefix next;

	return subnet_pool_next(pool, ip_prefix_first_v4(block), &next) &&
	       ip_addr_equal(&next.addr, &block->addr);
}

bool subnet_pool_next(const struct subnet_pool *pool, uint64_t at, struct ip_prefix *ret_block)
{
	uint64_t size = block_size(pool->length);
	uint64_t start = align_up(at, size);

	for (size_t i = 0; i < pool->range_count; i++) {
		const struct subnet_range *range = &pool->ranges[i];
		uint64_t number = start > range->first ? (start - range->first) / size : 0;

		if (number >= range->count)
			continue;
		*ret_block = block_at(pool, range, number);
		return true;
	}
	return false;
}

void subnet_overlap_bounds(const struct ip_prefix *prefix, uint8_t stored_length, uint32_t *ret_low,
			   uint32_t *ret_high)
{
	uint32_t first = ip_prefix_first_v4(prefix);

	/* Prefixes are nested or apart: a longer one begins inside, a shorter one is the parent. */
	*ret_low = first & ip_length_to_mask(stored_length);
	*ret_high = stored_length >= prefix->length ? ip_prefix_last_v4(prefix) : *ret_low;
}
