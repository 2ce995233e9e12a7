/*
 * Theory of Operation
 *
 * The pool's blocks are numbered. The seed picks the first candidate, so that a network without an
 * assignment tends to get the same subnet again. When that is taken, candidates are picked at
 * random: a thousand requests with the same first candidate part at once, and each needs
 * 1 / (free share of the pool) probes. A pool that is nearly full ends the probing, and a sweep in
 * ascending order follows, which jumps behind whatever it meets and so looks at each record at most
 * once: it finds the last free block, or proves that there is none.
 *
 * This is done for three notions of "free", the strictest first: off the host's other routes and
 * not assigned to others; not assigned to others; not held by anybody living.
 */
#include "registry/subnet_choice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/siphash.h"
#include "registry/subnet_pool.h"

#define LENGTH_LEAST 8	/* of a subnet: all of 10.0.0.0/8 */
#define LENGTH_MOST  30 /* two hosts: gateway and guest */
#define PROBES_MOST  64

/* Fixed, so that each process maps a seed to the same first candidate: it is no secret. */
static const struct siphash_key seed_key = { { 0x746172746c657401, 0x7375626e65743031 } };

struct search {
	struct holding_store *holdings;
	struct assignment_store *assignments;
	const struct registry_request *request;
	struct random *random;
	bool is_sparing; /* others' assignments count as taken */
};

const char *subnet_choice_holder(const char *label, char buffer[SUBNET_CHOICE_HOLDER_SIZE])
{
	if (label[0] == '\0')
		return "another network";
	(void)snprintf(buffer, SUBNET_CHOICE_HOLDER_SIZE, "VM \"%s\"", label);
	return buffer;
}

static struct ip_addr host_of(const struct ip_prefix *subnet, uint32_t number)
{
	return ip_addr_from_v4(ip_prefix_first_v4(subnet) + number);
}

/* An address that a guest may have: neither network, gateway nor broadcast. */
static bool is_guest_of(const struct ip_prefix *subnet, const struct ip_addr *guest)
{
	return ip_addr_is_v4(guest) && ip_prefix_contains(subnet, guest) &&
	       ip_addr_to_v4(guest) > ip_prefix_first_v4(subnet) + 1 &&
	       ip_addr_to_v4(guest) < ip_prefix_last_v4(subnet);
}

int subnet_choice_check(const struct registry_request *request, struct error *err)
{
	bool is_wanted = request->wanted.addr.family != IP_FAMILY_NONE;
	struct ip_prefix wanted = ip_prefix_canonical(&request->wanted);
	uint8_t length = is_wanted ? request->wanted.length : request->length;
	char subnet_text[IP_PREFIX_TEXT_SIZE];
	char guest_text[IP_ADDR_TEXT_SIZE];

	if (is_wanted && !ip_addr_is_v4(&wanted.addr)) {
		error_set(err, "subnet %s: only IPv4 subnets can be held",
			  ip_prefix_format(&request->wanted, subnet_text));
		return -EINVAL;
	}
	if (length < LENGTH_LEAST || length > LENGTH_MOST) {
		error_set(err, "a subnet of prefix length %u cannot be held: it must be %d to %d",
			  length, LENGTH_LEAST, LENGTH_MOST);
		return -EINVAL;
	}
	if (request->key &&
	    (request->key[0] == '\0' || strlen(request->key) >= REGISTRY_KEY_SIZE)) {
		error_set(err, "the key of an assignment must have 1 to %d bytes",
			  REGISTRY_KEY_SIZE - 1);
		return -EINVAL;
	}
	if (request->guest.family == IP_FAMILY_NONE)
		return 0;
	if (!is_wanted) {
		error_set(err, "guest address %s was asked for without its subnet",
			  ip_addr_format(&request->guest, guest_text));
		return -EINVAL;
	}
	if (!is_guest_of(&wanted, &request->guest)) {
		error_set(err, "guest address %s: not one that a guest of %s can have",
			  ip_addr_format(&request->guest, guest_text),
			  ip_prefix_format(&wanted, subnet_text));
		return -EINVAL;
	}
	return 0;
}

/* The host's prefix that the subnet overlaps, or NULL. */
static const struct ip_prefix *find_avoided(const struct registry_request *request,
					    const struct ip_prefix *subnet)
{
	for (size_t i = 0; i < request->avoid_count; i++) {
		const struct ip_prefix *avoid = &request->avoid[i];

		if (ip_addr_is_v4(&avoid->addr) && avoid->length > 0 &&
		    ip_prefix_overlaps(avoid, subnet))
			return avoid;
	}
	return NULL;
}

/* "the host network 10.0.0.0/8", or "10.1.1.1, which the host uses" for a single address. */
static const char *describe_avoided(const struct ip_prefix *avoid, char *buffer, size_t size)
{
	struct ip_prefix canonical = ip_prefix_canonical(avoid);
	char text[IP_PREFIX_TEXT_SIZE];

	if (avoid->length == 32)
		(void)snprintf(buffer, size, "the address %s, which the host uses",
			       ip_addr_format(&avoid->addr, text));
	else
		(void)snprintf(buffer, size, "the host network %s",
			       ip_prefix_format(&canonical, text));
	return buffer;
}

/* "subnet A is in use by VM "x"", or "subnet A overlaps B, which is in use by VM "x"". */
static void explain_held(const struct ip_prefix *subnet, const struct holding_row *row,
			 struct error *err)
{
	char holder[SUBNET_CHOICE_HOLDER_SIZE];
	char subnet_text[IP_PREFIX_TEXT_SIZE];
	char row_text[IP_PREFIX_TEXT_SIZE];

	(void)ip_prefix_format(subnet, subnet_text);
	if (ip_addr_equal(&subnet->addr, &row->subnet.addr) && subnet->length == row->subnet.length)
		error_set(err, "subnet %s is in use by %s", subnet_text,
			  subnet_choice_holder(row->label, holder));
	else
		error_set(err, "subnet %s overlaps %s, which is in use by %s", subnet_text,
			  ip_prefix_format(&row->subnet, row_text),
			  subnet_choice_holder(row->label, holder));
}

/* 1 with the prefix that is in the way, 0 when the block is free, or negative errno. */
static int is_taken(struct search *search, const struct ip_prefix *block, struct ip_prefix *ret_by,
		    struct error *err)
{
	struct holding_row row;
	struct registry_assignment assignment;
	int result = holding_store_find(search->holdings, block, &row, err);

	if (result < 0)
		return result;
	if (result == 1) {
		*ret_by = row.subnet;
		return 1;
	}
	if (!search->is_sparing)
		return 0;
	result = assignment_store_find_other(search->assignments, block, search->request->key,
					     &assignment, err);
	if (result == 1)
		*ret_by = assignment.subnet;
	return result;
}

/* 1 with a free block, 0 when the pool has none, or negative errno. */
static int sweep(struct search *search, const struct subnet_pool *pool, struct ip_prefix *ret_block,
		 struct error *err)
{
	struct ip_prefix block;
	struct ip_prefix by;
	uint64_t at = 0;

	while (subnet_pool_next(pool, at, &block)) {
		int result = is_taken(search, &block, &by, err);

		if (result < 0)
			return result;
		if (result == 0) {
			*ret_block = block;
			return 1;
		}
		at = (uint64_t)ip_prefix_last_v4(&by) + 1;
	}
	return 0;
}

/* As sweep(), with the first candidate and random ones before. */
static int search_pool(struct search *search, const struct subnet_pool *pool,
		       const struct ip_prefix *first, struct ip_prefix *ret_block,
		       struct error *err)
{
	struct ip_prefix block = *first;
	struct ip_prefix by;

	if (pool->count == 0)
		return 0;
	for (uint64_t i = 0; i < PROBES_MOST && i < pool->count; i++) {
		if (i > 0 || !subnet_pool_contains(pool, &block))
			block = subnet_pool_at(pool, random_u64(search->random) % pool->count);
		int result = is_taken(search, &block, &by, err);

		if (result < 0)
			return result;
		if (result == 0) {
			*ret_block = block;
			return 1;
		}
	}
	return sweep(search, pool, ret_block, err);
}

struct pools {
	struct subnet_pool usable;    /* the pool less what the host uses */
	struct subnet_pool preferred; /* less what it has other routes to */
	struct ip_prefix first;	      /* the first candidate; may be in neither */
	bool has_first;
};

static void pools_done(struct pools *pools)
{
	subnet_pool_done(&pools->usable);
	subnet_pool_done(&pools->preferred);
}

/* The first candidate comes from the whole pool: it does not move with the host's networks. */
static void pick_first(struct pools *pools, const struct subnet_pool *whole,
		       const struct registry_request *request, struct random *random)
{
	uint64_t number = request->has_seed ? siphash(&seed_key, request->seed.octet,
						      sizeof(request->seed.octet))
					    : random_u64(random);

	pools->has_first = whole->count > 0;
	if (pools->has_first)
		pools->first = subnet_pool_at(whole, number % whole->count);
}

static int pools_init(struct pools *pools, const struct registry_request *request,
		      struct random *random)
{
	struct subnet_list from = { request->pool, request->pool_count, false };
	struct subnet_list without[] = {
		{ request->pool_exclude, request->pool_exclude_count, false },
		{ request->avoid, request->avoid_count, true },
		{ request->rank, request->rank_count, true },
	};
	struct subnet_pool whole;

	if (!request->pool) {
		from.prefixes = registry_default_pool;
		from.count = registry_default_pool_count;
		without[0].prefixes = registry_default_exclude;
		without[0].count = registry_default_exclude_count;
	}
	*pools = (struct pools){ .has_first = false };
	int result = subnet_pool_init(&whole, request->length, from, without, 1);

	if (result < 0)
		return result;
	pick_first(pools, &whole, request, random);
	subnet_pool_done(&whole);
	result = subnet_pool_init(&pools->usable, request->length, from, without, 2);
	if (result == 0)
		result = subnet_pool_init(&pools->preferred, request->length, from, without, 3);
	if (result < 0)
		pools_done(pools);
	return result;
}

static int search_all(struct search *search, const struct pools *pools, struct ip_prefix *ret_block,
		      struct error *err)
{
	int result = 0;

	if (!pools->has_first)
		return 0;
	search->is_sparing = true;
	result = search_pool(search, &pools->preferred, &pools->first, ret_block, err);
	if (result == 0)
		result = search_pool(search, &pools->usable, &pools->first, ret_block, err);
	search->is_sparing = false;
	if (result == 0)
		result = search_pool(search, &pools->usable, &pools->first, ret_block, err);
	return result;
}

static int choose_any(struct search *search, struct ip_prefix *ret_subnet, struct error *err)
{
	struct pools pools;
	int result = pools_init(&pools, search->request, search->random);

	if (result < 0) {
		error_set(err, "out of memory");
		return result;
	}
	uint64_t count = pools.usable.count;

	result = search_all(search, &pools, ret_subnet, err);
	pools_done(&pools);
	if (result == 1)
		return 0;
	if (result == 0) {
		if (count)
			error_set(err, "no free /%u is left in the pool: all %llu are in use",
				  search->request->length, (unsigned long long)count);
		else
			error_set(err, "the pool has no /%u beside the networks of the host",
				  search->request->length);
		result = -ENOSPC;
	}
	return result;
}

static int choose_wanted(struct search *search, struct subnet_choice *choice, struct error *err)
{
	const struct registry_request *request = search->request;
	struct ip_prefix subnet = ip_prefix_canonical(&request->wanted);
	const struct ip_prefix *avoid = find_avoided(request, &subnet);
	char subnet_text[IP_PREFIX_TEXT_SIZE];
	char avoid_text[80];
	struct holding_row row;
	struct registry_assignment other;

	(void)ip_prefix_format(&subnet, subnet_text);
	if (avoid) {
		error_set(err, "subnet %s overlaps %s", subnet_text,
			  describe_avoided(avoid, avoid_text, sizeof(avoid_text)));
		return -EADDRINUSE;
	}
	int result = holding_store_find(search->holdings, &subnet, &row, err);

	if (result == 1) {
		explain_held(&subnet, &row, err);
		return -EADDRINUSE;
	}
	if (result == 0)
		result = assignment_store_find_other(search->assignments, &subnet, request->key,
						     &other, err);
	if (result == 1)
		error_set(&choice->warning,
			  "subnet %s is assigned to \"%s\" too, which cannot have it meanwhile",
			  subnet_text, other.key);
	choice->subnet = subnet;
	return result < 0 ? result : 0;
}

/* The assignment is there and has the length that is asked for. */
static int choose_assigned(struct search *search, const struct registry_assignment *assignment,
			   struct subnet_choice *choice, struct error *err)
{
	const struct ip_prefix *avoid = find_avoided(search->request, &assignment->subnet);
	char subnet_text[IP_PREFIX_TEXT_SIZE];
	char avoid_text[80];
	struct holding_row row;
	int result = holding_store_find(search->holdings, &assignment->subnet, &row, err);

	if (result < 0)
		return result;
	if (result == 1) {
		result = choose_any(search, &choice->subnet, err);
		if (result < 0)
			return result;
		explain_held(&assignment->subnet, &row, &choice->warning);
		error_prefix(&choice->warning, "another subnet, %s, is used this time",
			     ip_prefix_format(&choice->subnet, subnet_text));
		return 0;
	}
	if (avoid)
		error_set(
			&choice->warning,
			"assigned subnet %s overlaps %s: the guest cannot reach what lies in both",
			ip_prefix_format(&assignment->subnet, subnet_text),
			describe_avoided(avoid, avoid_text, sizeof(avoid_text)));
	choice->subnet = assignment->subnet;
	choice->is_assignment = true; /* as it is: nothing to write */
	return 0;
}

/* A key is used by one holding at a time: two would be the same virtual machine twice. */
static int check_key(struct search *search, struct error *err)
{
	char holder[SUBNET_CHOICE_HOLDER_SIZE];
	char text[IP_PREFIX_TEXT_SIZE];
	struct holding_row row;
	int result = holding_store_find_key(search->holdings, search->assignments->directory,
					    search->request->key, &row, err);

	if (result != 1)
		return result;
	error_set(err, "%s runs already: it holds subnet %s",
		  subnet_choice_holder(row.label[0] ? row.label : search->request->key, holder),
		  ip_prefix_format(&row.subnet, text));
	return -EBUSY;
}

int subnet_choice_make(struct holding_store *holdings, struct assignment_store *assignments,
		       const struct registry_request *request, struct random *random,
		       struct subnet_choice *ret_choice, struct error *err)
{
	struct search search = {
		.holdings = holdings,
		.assignments = assignments,
		.request = request,
		.random = random,
	};
	struct subnet_choice choice = { .is_assignment = false };
	struct registry_assignment mine;
	bool is_wanted = request->wanted.addr.family != IP_FAMILY_NONE;
	bool has_mine = false;
	int result;

	if (request->key) {
		result = check_key(&search, err);
		if (result < 0)
			return result;
		result = assignment_store_get(assignments, request->key, &mine, err);
		if (result < 0)
			return result;
		has_mine = result == 1;
	}
	if (is_wanted) {
		result = choose_wanted(&search, &choice, err);
		choice.is_assignment = request->key != NULL;
	} else if (has_mine && mine.subnet.length == request->length) {
		result = choose_assigned(&search, &mine, &choice, err);
	} else {
		result = choose_any(&search, &choice.subnet, err);
		choice.is_assignment = request->key != NULL;
	}
	if (result < 0)
		return result;

	if (request->guest.family != IP_FAMILY_NONE)
		choice.guest = request->guest;
	else if (has_mine && is_guest_of(&choice.subnet, &mine.guest))
		choice.guest = mine.guest;
	else
		choice.guest = host_of(&choice.subnet, 2);
	if (has_mine && ip_addr_equal(&mine.subnet.addr, &choice.subnet.addr) &&
	    mine.subnet.length == choice.subnet.length && ip_addr_equal(&mine.guest, &choice.guest))
		choice.is_assignment = false;
	*ret_choice = choice;
	return 0;
}
