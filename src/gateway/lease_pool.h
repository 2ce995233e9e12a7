#pragma once
/*
 * Who holds which address: reservations (for ever, by MAC) and dynamic leases for the rest of the
 * subnet. A table made at the start; nothing is allocated later. One MAC holds one address. Leases
 * outlive the bridge port they were asked by, and an expired one is kept for its holder until
 * another needs the address.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/index.h"
#include "base/random.h"

struct gateway_config;

/* Dynamic leases in the largest subnet, and how many of them one bridge port may hold. */
#define LEASE_POOL_MAX	      1024
#define LEASE_POOL_PORT_SHARE 16
/* Addresses that one MAC may have declined at a time: more would empty the pool. */
#define LEASE_POOL_DECLINE_SHARE 2

#define LEASE_OFFER_S	   60
#define LEASE_S		   86400
#define LEASE_QUARANTINE_S 600

#define LEASE_PORT_NONE UINT32_MAX

enum lease_state {
	LEASE_FREE,
	LEASE_OFFERED,
	LEASE_BOUND,
	LEASE_QUARANTINED, /* declined: somebody else answers for it. mac: who declined */
};

struct lease {
	struct ip_addr addr;
	struct mac_addr mac;
	bool reserved; /* holds by mac in every state; never quarantined */
	enum lease_state state;
	uint64_t expires_ns; /* of the state; without meaning when free */
	/* The port that asked, LEASE_PORT_NONE once it is gone. */
	uint32_t port;
	/* The port from which the holder was last heard to use the address. */
	uint32_t seen_port;
};

/* True when somebody else was heard to use the address. */
typedef bool lease_in_use_fn(void *context, const struct ip_addr *addr, const struct mac_addr *mac);

struct lease_pool {
	struct lease *leases;
	uint32_t count;
	/* The first `window` leases are the addresses from `base` on; behind them come the
	 * reservations that are farther up. */
	uint32_t base;
	uint32_t window;
	uint32_t changes; /* goes up when somebody gets or loses an address, but for mere time */
	struct index by_mac;
	struct index by_addr;	 /* of those behind the window only */
	lease_in_use_fn *in_use; /* may be NULL */
	void *in_use_context;
};

/* 0 or -ENOMEM. The reservations were checked by the caller (inside the subnet, no duplicates);
 * what is wrong all the same is left out. */
int lease_pool_init(struct lease_pool *pool, const struct gateway_config *config,
		    struct random *random) MUST_USE;
void lease_pool_done(struct lease_pool *pool);

struct lease *lease_pool_find_mac(const struct lease_pool *pool, const struct mac_addr *mac);
struct lease *lease_pool_find_addr(const struct lease_pool *pool, const struct ip_addr *addr);

/*
 * The address that `mac` gets: what it holds, else `wanted` (family NONE: no wish) where that is
 * free, else the lowest free one, else the one that expired first, else the one whose port has been
 * gone the longest. It is held for LEASE_OFFER_S unless it is bound. NULL: none left.
 */
struct lease *lease_pool_offer(struct lease_pool *pool, const struct mac_addr *mac, uint32_t port,
			       const struct ip_addr *wanted, uint64_t now_ns);
/* Bound for LEASE_S from now on. */
void lease_pool_bind(struct lease_pool *pool, struct lease *lease, uint32_t port, uint64_t now_ns);
void lease_pool_release(struct lease_pool *pool, struct lease *lease);
/* The address is in use by somebody unknown. A reservation is only released. */
void lease_pool_quarantine(struct lease_pool *pool, struct lease *lease, uint64_t now_ns);
void lease_pool_port_gone(struct lease_pool *pool, uint32_t port);

/* Does the lease say whose the address is, now? A reservation always does. */
bool lease_is_owned(const struct lease *lease, uint64_t now_ns);
/* ... and until when it does, unless something changes. */
uint64_t lease_owned_until(const struct lease *lease);
