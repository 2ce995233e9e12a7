#include "gateway/lease_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/gateway.h"

/* Network address and gateway come before the window, the broadcast address behind it. */
#define ADDRESSES_BEFORE_WINDOW 2

static bool match_mac(const void *context, uint32_t entry, const void *key)
{
	const struct lease_pool *pool = context;

	return mac_addr_equal(&pool->leases[entry].mac, key);
}

static bool match_addr(const void *context, uint32_t entry, const void *key)
{
	const struct lease_pool *pool = context;

	return ip_addr_equal(&pool->leases[entry].addr, key);
}

static uint32_t hash_mac(const struct lease_pool *pool, const struct mac_addr *mac)
{
	return index_hash(&pool->by_mac, mac, sizeof(*mac));
}

struct lease *lease_pool_find_mac(const struct lease_pool *pool, const struct mac_addr *mac)
{
	uint32_t entry = index_find(&pool->by_mac, hash_mac(pool, mac), match_mac, pool, mac);

	return entry == INDEX_NONE ? NULL : &pool->leases[entry];
}

struct lease *lease_pool_find_addr(const struct lease_pool *pool, const struct ip_addr *addr)
{
	uint32_t offset;
	uint32_t entry;

	if (!ip_addr_is_v4(addr))
		return NULL;
	offset = ip_addr_to_v4(addr) - pool->base;
	if (offset < pool->window)
		return &pool->leases[offset];
	entry = index_find(&pool->by_addr, index_hash(&pool->by_addr, addr, sizeof(*addr)),
			   match_addr, pool, addr);
	return entry == INDEX_NONE ? NULL : &pool->leases[entry];
}

static uint32_t lease_number(const struct lease_pool *pool, const struct lease *lease)
{
	return (uint32_t)(lease - pool->leases);
}

static bool is_expired(const struct lease *lease, uint64_t now_ns)
{
	return lease->state != LEASE_FREE && now_ns >= lease->expires_ns;
}

/* Held by nobody that could still come: may be given away. */
static bool is_available(const struct lease *lease, uint64_t now_ns)
{
	return !lease->reserved && (lease->state == LEASE_FREE || is_expired(lease, now_ns));
}

/* A quarantined address is no longer the one of the MAC that declined it. */
static bool is_in_mac_index(const struct lease *lease)
{
	return lease->reserved || lease->state == LEASE_OFFERED || lease->state == LEASE_BOUND;
}

static void forget_holder(struct lease_pool *pool, struct lease *lease)
{
	pool->changes++;
	if (lease->reserved || !is_in_mac_index(lease))
		return;
	index_remove(&pool->by_mac, hash_mac(pool, &lease->mac), lease_number(pool, lease));
	lease->state = LEASE_FREE;
	lease->port = LEASE_PORT_NONE;
	lease->seen_port = LEASE_PORT_NONE;
}

static void give(struct lease_pool *pool, struct lease *lease, const struct mac_addr *mac,
		 uint32_t port, uint64_t now_ns)
{
	bool inserted;

	forget_holder(pool, lease);
	lease->mac = *mac;
	lease->state = LEASE_OFFERED;
	lease->expires_ns = now_ns + LEASE_OFFER_S * NS_PER_S;
	lease->port = port;
	lease->seen_port = LEASE_PORT_NONE;
	inserted = index_insert(&pool->by_mac, hash_mac(pool, mac), lease_number(pool, lease));
	assert(inserted); /* the index has room for every lease */
}

/* Free, and not in use by somebody who never asked. */
static bool may_give(const struct lease_pool *pool, const struct lease *lease,
		     const struct mac_addr *mac, uint64_t now_ns)
{
	return is_available(lease, now_ns) &&
	       !(pool->in_use && pool->in_use(pool->in_use_context, &lease->addr, mac));
}

/*
 * When the port holds its share already: the one of them that ends first (by their times: offers,
 * then declined addresses, then leases).
 */
static struct lease *port_share_reached(struct lease_pool *pool, uint32_t port)
{
	struct lease *oldest = NULL;
	uint32_t held = 0;

	for (uint32_t i = 0; i < pool->window; i++) {
		struct lease *lease = &pool->leases[i];

		if (lease->reserved || lease->state == LEASE_FREE || lease->port != port)
			continue;
		held++;
		if (!oldest || lease->expires_ns < oldest->expires_ns)
			oldest = lease;
	}
	return held >= LEASE_POOL_PORT_SHARE ? oldest : NULL;
}

static struct lease *find_wanted(const struct lease_pool *pool, const struct ip_addr *wanted,
				 const struct mac_addr *mac, uint64_t now_ns)
{
	struct lease *lease;

	if (!wanted || !ip_addr_is_v4(wanted))
		return NULL;
	lease = lease_pool_find_addr(pool, wanted);
	return lease && may_give(pool, lease, mac, now_ns) ? lease : NULL;
}

/* Never used first, then what expired the longest ago, so that holders find their address again. */
static struct lease *find_free(const struct lease_pool *pool, const struct mac_addr *mac,
			       uint64_t now_ns)
{
	struct lease *oldest = NULL;

	for (uint32_t i = 0; i < pool->window; i++) {
		struct lease *lease = &pool->leases[i];

		if (!may_give(pool, lease, mac, now_ns))
			continue;
		if (lease->state == LEASE_FREE)
			return lease;
		if (!oldest || lease->expires_ns < oldest->expires_ns)
			oldest = lease;
	}
	return oldest;
}

/* The pool is empty: a holder whose port is gone is not there to mind. */
static struct lease *find_portless(const struct lease_pool *pool)
{
	struct lease *oldest = NULL;

	for (uint32_t i = 0; i < pool->window; i++) {
		struct lease *lease = &pool->leases[i];

		if (lease->reserved || lease->port != LEASE_PORT_NONE ||
		    (lease->state != LEASE_BOUND && lease->state != LEASE_OFFERED))
			continue;
		if (!oldest || lease->expires_ns < oldest->expires_ns)
			oldest = lease;
	}
	return oldest;
}

struct lease *lease_pool_offer(struct lease_pool *pool, const struct mac_addr *mac, uint32_t port,
			       const struct ip_addr *wanted, uint64_t now_ns)
{
	struct lease *lease = lease_pool_find_mac(pool, mac);

	if (lease) {
		if (lease->state != LEASE_BOUND || is_expired(lease, now_ns)) {
			pool->changes++;
			lease->state = LEASE_OFFERED;
			lease->expires_ns = now_ns + LEASE_OFFER_S * NS_PER_S;
		}
		lease->port = port;
		return lease;
	}
	assert(pool->leases); /* lease_pool_init() made them */
	lease = port_share_reached(pool, port);
	if (!lease)
		lease = find_wanted(pool, wanted, mac, now_ns);
	if (!lease)
		lease = find_free(pool, mac, now_ns);
	if (!lease)
		lease = find_portless(pool);
	if (!lease)
		return NULL;
	give(pool, lease, mac, port, now_ns);
	return lease;
}

void lease_pool_bind(struct lease_pool *pool, struct lease *lease, uint32_t port, uint64_t now_ns)
{
	pool->changes++;
	lease->state = LEASE_BOUND;
	lease->expires_ns = now_ns + LEASE_S * NS_PER_S;
	lease->port = port;
}

void lease_pool_release(struct lease_pool *pool, struct lease *lease)
{
	forget_holder(pool, lease);
	lease->state = LEASE_FREE;
}

/* Frees the oldest address that this MAC declined before, when it has its share of them. */
static void limit_declined(struct lease_pool *pool, const struct mac_addr *mac)
{
	struct lease *oldest = NULL;
	uint32_t declined = 0;

	for (uint32_t i = 0; i < pool->window; i++) {
		struct lease *lease = &pool->leases[i];

		if (lease->state != LEASE_QUARANTINED || !mac_addr_equal(&lease->mac, mac))
			continue;
		declined++;
		if (!oldest || lease->expires_ns < oldest->expires_ns)
			oldest = lease;
	}
	if (declined >= LEASE_POOL_DECLINE_SHARE) {
		oldest->state = LEASE_FREE;
		oldest->port = LEASE_PORT_NONE;
	}
}

void lease_pool_quarantine(struct lease_pool *pool, struct lease *lease, uint64_t now_ns)
{
	uint32_t port = lease->port;

	if (lease->reserved) {
		lease->state = LEASE_FREE;
		return;
	}
	limit_declined(pool, &lease->mac);
	forget_holder(pool, lease);
	lease->state = LEASE_QUARANTINED;
	lease->expires_ns = now_ns + LEASE_QUARANTINE_S * NS_PER_S;
	lease->port = port; /* counts for the share of the port whose guest declined it */
}

void lease_pool_port_gone(struct lease_pool *pool, uint32_t port)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		struct lease *lease = &pool->leases[i];

		if (lease->port == port)
			lease->port = LEASE_PORT_NONE;
		if (lease->seen_port == port)
			lease->seen_port = LEASE_PORT_NONE;
	}
}

bool lease_is_owned(const struct lease *lease, uint64_t now_ns)
{
	return lease->reserved || (lease->state == LEASE_BOUND && now_ns < lease->expires_ns);
}

uint64_t lease_owned_until(const struct lease *lease)
{
	return lease->reserved ? UINT64_MAX : lease->expires_ns;
}

static void reserve(struct lease_pool *pool, const struct gateway_reservation *reservation)
{
	struct lease *lease = lease_pool_find_addr(pool, &reservation->addr);
	uint32_t addr_hash =
		index_hash(&pool->by_addr, &reservation->addr, sizeof(reservation->addr));

	if ((lease && lease->reserved) || lease_pool_find_mac(pool, &reservation->mac))
		return;
	if (!lease) {
		if (!index_insert(&pool->by_addr, addr_hash, pool->count))
			return;
		lease = &pool->leases[pool->count++];
	}
	*lease = (struct lease){
		.addr = reservation->addr,
		.mac = reservation->mac,
		.reserved = true,
		.port = LEASE_PORT_NONE,
		.seen_port = LEASE_PORT_NONE,
	};
	if (!index_insert(&pool->by_mac, hash_mac(pool, &lease->mac), lease_number(pool, lease)))
		lease->reserved = false;
}

int lease_pool_init(struct lease_pool *pool, const struct gateway_config *config,
		    struct random *random)
{
	uint32_t first = ip_prefix_first_v4(&config->subnet);
	uint32_t last = ip_prefix_last_v4(&config->subnet);
	uint32_t most =
		last - first > ADDRESSES_BEFORE_WINDOW ? last - first - ADDRESSES_BEFORE_WINDOW : 0;

	*pool = (struct lease_pool){ .base = first + ADDRESSES_BEFORE_WINDOW };
	pool->window = most < LEASE_POOL_MAX ? most : LEASE_POOL_MAX;
	pool->count = pool->window;
	pool->leases = calloc(pool->window + config->reservation_count + 1, sizeof(struct lease));
	if (!pool->leases ||
	    index_init(&pool->by_mac, pool->window + config->reservation_count + 1, random) < 0 ||
	    index_init(&pool->by_addr, config->reservation_count + 1, random) < 0) {
		lease_pool_done(pool);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < pool->window; i++) {
		pool->leases[i].addr = ip_addr_from_v4(pool->base + i);
		pool->leases[i].port = LEASE_PORT_NONE;
		pool->leases[i].seen_port = LEASE_PORT_NONE;
	}
	for (uint32_t i = 0; i < config->reservation_count; i++) {
		if (ip_addr_is_v4(&config->reservations[i].addr))
			reserve(pool, &config->reservations[i]);
	}
	return 0;
}

void lease_pool_done(struct lease_pool *pool)
{
	index_done(&pool->by_mac);
	index_done(&pool->by_addr);
	free(pool->leases);
	pool->leases = NULL;
}
