#pragma once
/*
 * What was learnt about who uses which address without a reservation or lease: a bounded table from
 * IPv4 address to MAC and port. An address stays with the port that was heard first for as long as
 * that port keeps using it, so that a neighbour cannot take it over by speaking last.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/index.h"
#include "base/list.h"
#include "base/random.h"

#define NEIGHBOUR_TABLE_MAX	   1024
#define NEIGHBOUR_TABLE_PORT_SHARE 32
/* So long an address that has gone silent stays reserved for the port that used it. */
#define NEIGHBOUR_HOLD_S 60

struct neighbour_entry {
	struct ip_addr addr; /* family NONE: the entry is free */
	struct mac_addr mac;
	uint32_t port;
	uint64_t seen_ns;
	struct list node; /* by age, the longest unheard first; or in the free list */
};

struct neighbour_table {
	struct neighbour_entry *entries;
	uint32_t capacity;
	struct index by_addr;
	struct list by_age;
	struct list free;
};

/* 0 or -ENOMEM. capacity at least 1. */
int neighbour_table_init(struct neighbour_table *table, uint32_t capacity,
			 struct random *random) MUST_USE;
void neighbour_table_done(struct neighbour_table *table);

/*
 * `port` was heard to use the address. False: it is another port's. Beyond its share a port loses
 * the entry of its own that was unheard the longest; when the table is full, everybody does.
 */
bool neighbour_table_learn(struct neighbour_table *table, const struct ip_addr *addr,
			   const struct mac_addr *mac, uint32_t port, uint64_t now_ns) MUST_USE;
const struct neighbour_entry *neighbour_table_find(const struct neighbour_table *table,
						   const struct ip_addr *addr);
void neighbour_table_port_gone(struct neighbour_table *table, uint32_t port);
