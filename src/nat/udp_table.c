#include "nat/udp_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nat/udp.h"

/* Peers per mapping that the pool has room for when all mappings are in use. */
#define UDP_TABLE_PEERS_PER_MAPPING 2

/* Keys are written out byte by byte: structures have padding, which must not be hashed. */
#define UDP_ENDPOINT_SIZE (sizeof(struct ip_addr) + 2)

static size_t udp_key_endpoint(uint8_t *key, const struct ip_endpoint *endpoint)
{
	memcpy(key, &endpoint->addr, sizeof(endpoint->addr));
	key[sizeof(endpoint->addr)] = (uint8_t)(endpoint->port >> 8);
	key[sizeof(endpoint->addr) + 1] = (uint8_t)endpoint->port;
	return UDP_ENDPOINT_SIZE;
}

static uint32_t udp_hash_guest(const struct udp_table *table, const struct ip_endpoint *guest)
{
	uint8_t key[UDP_ENDPOINT_SIZE];

	return index_hash(&table->by_guest, key, udp_key_endpoint(key, guest));
}

struct udp_seen_key {
	const struct ip_endpoint *guest;
	const struct ip_endpoint *seen;
};

static uint32_t udp_hash_seen(const struct udp_table *table, const struct udp_seen_key *of)
{
	uint8_t key[2 * UDP_ENDPOINT_SIZE];
	size_t size = udp_key_endpoint(key, of->guest);

	size += udp_key_endpoint(key + size, of->seen);
	return index_hash(&table->by_seen, key, size);
}

struct udp_real_key {
	const struct host_socket *via;
	const struct ip_endpoint *real;
	const struct ip_addr *local;
};

static uint32_t udp_hash_real(const struct udp_table *table, const struct udp_real_key *of)
{
	uint8_t key[sizeof(of->via) + UDP_ENDPOINT_SIZE + sizeof(struct ip_addr)];
	size_t size = sizeof(of->via);

	memcpy(key, &of->via, sizeof(of->via));
	size += udp_key_endpoint(key + size, of->real);
	memcpy(key + size, of->local, sizeof(*of->local));
	return index_hash(&table->by_real, key, size + sizeof(*of->local));
}

static bool udp_match_guest(const void *context, uint32_t entry, const void *key)
{
	const struct udp_table *table = context;

	return ip_endpoint_equal(&table->mappings[entry].guest, key);
}

static bool udp_match_seen(const void *context, uint32_t entry, const void *key)
{
	const struct udp_table *table = context;
	const struct udp_peer *peer = &table->peers[entry];
	const struct udp_seen_key *of = key;

	return ip_endpoint_equal(&peer->seen, of->seen) &&
	       ip_endpoint_equal(&peer->mapping->guest, of->guest);
}

static bool udp_match_real(const void *context, uint32_t entry, const void *key)
{
	const struct udp_table *table = context;
	const struct udp_peer *peer = &table->peers[entry];
	const struct udp_real_key *of = key;

	return peer->via == of->via && ip_endpoint_equal(&peer->real, of->real) &&
	       ip_addr_equal(&peer->local, of->local);
}

/* --- peers -------------------------------------------------------------------------------- */

struct udp_peer *udp_peer_by_seen(struct udp_table *table, const struct ip_endpoint *guest,
				  const struct ip_endpoint *seen)
{
	const struct udp_seen_key key = { guest, seen };
	uint32_t entry = index_find(&table->by_seen, udp_hash_seen(table, &key), udp_match_seen,
				    table, &key);

	return entry == INDEX_NONE ? NULL : &table->peers[entry];
}

struct udp_peer *udp_peer_by_real(struct udp_table *table, const struct host_socket *via,
				  const struct ip_endpoint *real, const struct ip_addr *local)
{
	const struct udp_real_key key = { via, real, local };
	uint32_t entry = index_find(&table->by_real, udp_hash_real(table, &key), udp_match_real,
				    table, &key);

	return entry == INDEX_NONE ? NULL : &table->peers[entry];
}

struct udp_peer *udp_peer_by_addr(const struct udp_mapping *mapping, const struct ip_addr *addr)
{
	list_for_each_safe(node, next, &mapping->peers)
	{
		struct udp_peer *peer = container_of(node, struct udp_peer, node);

		if (peer->via == &mapping->socket && ip_addr_equal(&peer->real.addr, addr))
			return peer;
	}
	return NULL;
}

static bool udp_peer_is_left(const struct udp_table *table)
{
	return table->peer_fresh < table->peer_capacity || !list_is_empty(&table->peer_unused);
}

/* There must be one. */
static struct udp_peer *udp_peer_take(struct udp_table *table)
{
	struct list *node = list_first(&table->peer_unused);

	if (!node) {
		node = &table->peers[table->peer_fresh++].node;
		list_init(node);
	}
	list_remove(node);
	return container_of(node, struct udp_peer, node);
}

static uint32_t udp_peer_entry(const struct udp_table *table, const struct udp_peer *peer)
{
	return (uint32_t)(peer - table->peers);
}

void udp_peer_free(struct udp_peer *peer)
{
	struct udp_mapping *mapping = peer->mapping;
	struct udp_table *table = mapping->nat->shard.udp;
	const struct udp_seen_key seen = { &mapping->guest, &peer->seen };
	const struct udp_real_key real = { peer->via, &peer->real, &peer->local };
	uint32_t entry = udp_peer_entry(table, peer);

	index_remove(&table->by_seen, udp_hash_seen(table, &seen), entry);
	index_remove(&table->by_real, udp_hash_real(table, &real), entry);
	list_remove(&peer->node);
	list_prepend(&table->peer_unused, &peer->node);
	mapping->peer_count--;
}

void udp_peer_touch(struct udp_peer *peer, uint64_t now_ns)
{
	peer->last_ns = now_ns;
	list_remove(&peer->node);
	list_append(&peer->mapping->peers, &peer->node);
}

/* Makes room: what is idle for long goes first, then the oldest where a bound is reached. */
static bool udp_peer_make_room(struct udp_mapping *mapping, bool own)
{
	struct udp_table *table = mapping->nat->shard.udp;
	uint64_t now_ns = nat_now(mapping->nat);
	uint32_t most = own ? UDP_PEERS_OWN : UDP_PEERS_FORWARD;

	while (!list_is_empty(&mapping->peers)) {
		struct udp_peer *oldest =
			container_of(list_first(&mapping->peers), struct udp_peer, node);

		if (now_ns - oldest->last_ns >= UDP_IDLE_NS) {
			udp_peer_free(oldest);
		} else if (mapping->peer_count >= most || !udp_peer_is_left(table)) {
			nat_drop(mapping->nat, DROP_UDP_PEER_LIMIT);
			udp_peer_free(oldest);
			return true;
		} else {
			return true;
		}
	}
	return udp_peer_is_left(table);
}

struct udp_peer *udp_peer_new(struct udp_mapping *mapping, struct host_socket *via,
			      const struct ip_endpoint *seen, const struct ip_endpoint *real,
			      const struct ip_addr *local)
{
	struct udp_table *table = mapping->nat->shard.udp;

	if (!udp_peer_make_room(mapping, via == &mapping->socket)) {
		nat_drop(mapping->nat, DROP_UDP_PEER_LIMIT);
		return NULL;
	}
	struct udp_peer *peer = udp_peer_take(table);
	peer->mapping = mapping;
	peer->via = via;
	peer->seen = *seen;
	peer->real = *real;
	peer->local = *local;
	peer->last_ns = nat_now(mapping->nat);

	const struct udp_seen_key seen_key = { &mapping->guest, &peer->seen };
	const struct udp_real_key real_key = { via, &peer->real, &peer->local };
	uint32_t entry = udp_peer_entry(table, peer);
	/* The indexes are as large as the table of peers. */
	bool ok = index_insert(&table->by_seen, udp_hash_seen(table, &seen_key), entry) &&
		  index_insert(&table->by_real, udp_hash_real(table, &real_key), entry);
	assert(ok);
	list_append(&mapping->peers, &peer->node);
	mapping->peer_count++;
	return peer;
}

/* --- mappings ----------------------------------------------------------------------------- */

struct udp_mapping *udp_mapping_find(struct udp_table *table, const struct ip_endpoint *guest)
{
	uint32_t entry = index_find(&table->by_guest, udp_hash_guest(table, guest), udp_match_guest,
				    table, guest);

	return entry == INDEX_NONE ? NULL : &table->mappings[entry];
}

/* One question on port 53, answered or not: it will not come back to this port. */
static bool udp_mapping_is_question(const struct udp_mapping *mapping)
{
	if (mapping->peer_count != 1 || mapping->sent > 1 || mapping->received > 1)
		return false;
	struct udp_peer *only = container_of(list_first(&mapping->peers), struct udp_peer, node);
	return only->via == &mapping->socket && only->seen.port == UDP_PORT_DNS;
}

void udp_mapping_touch(struct udp_mapping *mapping, uint64_t now_ns)
{
	struct udp_table *table = mapping->nat->shard.udp;
	uint64_t lasts = udp_mapping_is_question(mapping) ? UDP_QUESTION_NS : UDP_IDLE_NS;

	mapping->last_ns = now_ns;
	list_remove(&mapping->idle);
	list_append(&table->mapping_idle, &mapping->idle);
	timer_set(nat_timers(mapping->nat), &mapping->expiry, now_ns + lasts);
}

static void udp_mapping_expired(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	udp_mapping_free(container_of(timer, struct udp_mapping, expiry));
}

/* A guest that fills its share loses the mapping it used longest ago, if that rests. */
static bool udp_mapping_evict(struct udp_table *table, uint32_t port)
{
	struct list *first = list_first(&table->mapping_idle);

	if (!first)
		return false;
	struct udp_mapping *oldest = container_of(first, struct udp_mapping, idle);
	if (oldest->budget_port != port || nat_now(table->nat) - oldest->last_ns < UDP_QUESTION_NS)
		return false;
	udp_mapping_free(oldest);
	return true;
}

static void udp_mapping_init(struct udp_table *table, struct udp_mapping *mapping)
{
	mapping->nat = table->nat;
	host_socket_init(&mapping->socket, udp_mapping_ready);
	timer_init(&mapping->expiry, udp_mapping_expired);
	loop_deferred_init(&mapping->more, udp_mapping_more);
	list_init(&mapping->peers);
	list_init(&mapping->idle);
}

/* There are as many mappings as the budget has flows. */
static struct udp_mapping *udp_mapping_take(struct udp_table *table)
{
	struct list *node = list_first(&table->mapping_unused);

	if (node) {
		list_remove(node);
		return container_of(node, struct udp_mapping, idle);
	}
	assert(table->mapping_fresh < table->mapping_capacity);
	struct udp_mapping *mapping = &table->mappings[table->mapping_fresh++];
	udp_mapping_init(table, mapping);
	return mapping;
}

struct udp_mapping *udp_mapping_new(struct udp_table *table, const struct ip_endpoint *guest,
				    uint32_t port)
{
	struct nat *nat = table->nat;

	if (nat->draining ||
	    (!budget_take(&nat->budget, port) &&
	     (!udp_mapping_evict(table, port) || !budget_take(&nat->budget, port)))) {
		nat_drop(nat, DROP_FLOW_LIMIT);
		return NULL;
	}
	struct udp_mapping *mapping = udp_mapping_take(table);
	mapping->guest = *guest;
	mapping->port = port;
	mapping->budget_port = port;
	mapping->sent = 0;
	mapping->received = 0;
	bool ok = index_insert(&table->by_guest, udp_hash_guest(table, guest),
			       (uint32_t)(mapping - table->mappings));
	assert(ok);
	table->mapping_count++;
	udp_mapping_touch(mapping, nat_now(nat));
	return mapping;
}

void udp_mapping_free(struct udp_mapping *mapping)
{
	struct nat *nat = mapping->nat;
	struct udp_table *table = nat->shard.udp;

	list_for_each_safe(node, next, &mapping->peers)
		udp_peer_free(container_of(node, struct udp_peer, node));
	loop_deferred_cancel(&mapping->more);
	timer_clear(nat_timers(nat), &mapping->expiry);
	host_call(nat->context.host, close, &mapping->socket);
	index_remove(&table->by_guest, udp_hash_guest(table, &mapping->guest),
		     (uint32_t)(mapping - table->mappings));
	budget_give(&nat->budget, mapping->budget_port);
	list_remove(&mapping->idle);
	list_prepend(&table->mapping_unused, &mapping->idle);
	table->mapping_count--;
}

/* --- the table ---------------------------------------------------------------------------- */

int udp_table_new(struct nat *nat, struct udp_table **ret_table)
{
	struct udp_table *table = calloc(1, sizeof(*table));
	struct random *random = nat->context.random;

	if (!table)
		return -ENOMEM;
	table->nat = nat;
	table->mapping_capacity = nat->config.flow_capacity;
	table->peer_capacity = table->mapping_capacity * UDP_TABLE_PEERS_PER_MAPPING;
	table->mappings = calloc(table->mapping_capacity, sizeof(*table->mappings));
	table->peers = calloc(table->peer_capacity, sizeof(*table->peers));
	list_init(&table->mapping_unused);
	list_init(&table->mapping_idle);
	list_init(&table->peer_unused);
	if (!table->mappings || !table->peers ||
	    index_init(&table->by_guest, table->mapping_capacity, random) < 0 ||
	    index_init(&table->by_seen, table->peer_capacity, random) < 0 ||
	    index_init(&table->by_real, table->peer_capacity, random) < 0) {
		udp_table_free(table);
		return -ENOMEM;
	}
	*ret_table = table;
	return 0;
}

struct udp_table *udp_table_free(struct udp_table *table)
{
	if (!table)
		return NULL;
	list_for_each_safe(node, next, &table->mapping_idle)
		udp_mapping_free(container_of(node, struct udp_mapping, idle));
	index_done(&table->by_guest);
	index_done(&table->by_seen);
	index_done(&table->by_real);
	free(table->mappings);
	free(table->peers);
	free(table);
	return NULL;
}

uint32_t udp_flow_count(const struct nat *nat)
{
	return nat->shard.udp->mapping_count;
}

void udp_port_gone(struct nat *nat, uint32_t port)
{
	list_for_each_safe(node, next, &nat->shard.udp->mapping_idle)
	{
		struct udp_mapping *mapping = container_of(node, struct udp_mapping, idle);

		if (mapping->port == port)
			udp_mapping_free(mapping);
	}
}

void udp_forward_gone(struct nat *nat, struct host_socket *socket)
{
	list_for_each_safe(node, next, &nat->shard.udp->mapping_idle)
	{
		struct udp_mapping *mapping = container_of(node, struct udp_mapping, idle);

		list_for_each_safe(peer_node, peer_next, &mapping->peers)
		{
			struct udp_peer *peer = container_of(peer_node, struct udp_peer, node);

			if (peer->via == socket)
				udp_peer_free(peer);
		}
	}
}
