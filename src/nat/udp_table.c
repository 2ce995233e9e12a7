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
	const struct ip_addr *local; /* NULL = any */
};

/* Without `local`, which an error does not name. */
static uint32_t udp_hash_real(const struct udp_table *table, const struct udp_real_key *of)
{
	uint8_t key[sizeof(of->via) + UDP_ENDPOINT_SIZE];
	size_t size = sizeof(of->via);

	memcpy(key, &of->via, sizeof(of->via));
	size += udp_key_endpoint(key + size, of->real);
	return index_hash(&table->by_real, key, size);
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
	       (!of->local || ip_addr_equal(&peer->local, of->local));
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

bool udp_peer_is_stale(const struct udp_peer *peer)
{
	return nat_now(peer->mapping->nat) - peer->last_ns >= UDP_IDLE_NS;
}

struct udp_peer *udp_peer_by_addr(struct udp_mapping *mapping, const struct ip_addr *addr)
{
	list_for_each_safe(node, next, &mapping->own.list)
	{
		struct udp_peer *peer = container_of(node, struct udp_peer, node);

		if (ip_addr_equal(&peer->real.addr, addr) && !udp_peer_is_stale(peer) &&
		    udp_peer_passes(peer))
			return peer;
	}
	return NULL;
}

static struct udp_peers *udp_peers_by(struct udp_mapping *mapping, const struct host_socket *via)
{
	return via == &mapping->socket ? &mapping->own : &mapping->forwarded;
}

static uint32_t udp_peer_count(const struct udp_mapping *mapping)
{
	return mapping->own.count + mapping->forwarded.count;
}

static struct udp_peer *udp_peer_oldest(const struct udp_peers *peers)
{
	struct list *first = list_first(&peers->list);

	return first ? container_of(first, struct udp_peer, node) : NULL;
}

/* There is one: the budget of extra peers and one for each mapping are what the table holds. */
static struct udp_peer *udp_peer_take(struct udp_table *table)
{
	struct list *node = list_first(&table->peer_unused);

	if (!node) {
		assert(table->peer_fresh < table->peer_capacity);
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
	peer->in_use = false;
	udp_peers_by(mapping, peer->via)->count--;
	if (udp_peer_count(mapping) > 0)
		budget_give(&table->peer_extra, mapping->budget_port);
}

void udp_peer_touch(struct udp_peer *peer, uint64_t now_ns)
{
	peer->last_ns = now_ns;
	list_remove(&peer->node);
	list_append(&udp_peers_by(peer->mapping, peer->via)->list, &peer->node);
}

static bool udp_peer_charge(struct udp_mapping *mapping)
{
	return udp_peer_count(mapping) == 0 ||
	       budget_take(&mapping->nat->shard.udp->peer_extra, mapping->budget_port);
}

/* Makes room for one more among `peers`, and charges for it. */
static bool udp_peer_make_room(struct udp_mapping *mapping, struct udp_peers *peers)
{
	uint32_t most = peers == &mapping->own ? UDP_PEERS_OWN : UDP_PEERS_FORWARD;
	struct udp_peer *oldest = udp_peer_oldest(peers);

	while (oldest && udp_peer_is_stale(oldest)) {
		udp_peer_free(oldest);
		oldest = udp_peer_oldest(peers);
	}
	if (peers->count < most && udp_peer_charge(mapping))
		return true;
	if (!oldest) /* it has peers, but only of the other kind */
		oldest = udp_peer_oldest(peers == &mapping->own ? &mapping->forwarded
								: &mapping->own);
	nat_drop(mapping->nat, DROP_UDP_PEER_LIMIT);
	udp_peer_free(oldest);
	/* Fails where the port has more than its share, which others want now. */
	return udp_peer_charge(mapping);
}

struct udp_peer *udp_peer_new(struct udp_mapping *mapping, struct host_socket *via,
			      const struct ip_endpoint *seen, const struct ip_endpoint *real,
			      const struct ip_addr *local)
{
	struct udp_table *table = mapping->nat->shard.udp;
	struct udp_peers *peers = udp_peers_by(mapping, via);

	if (!udp_peer_make_room(mapping, peers)) {
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
	peer->review = mapping->nat->review.number;
	peer->in_use = true;

	const struct udp_seen_key seen_key = { &mapping->guest, &peer->seen };
	const struct udp_real_key real_key = { via, &peer->real, &peer->local };
	uint32_t entry = udp_peer_entry(table, peer);
	/* The indexes are as large as the table of peers. */
	bool ok = index_insert(&table->by_seen, udp_hash_seen(table, &seen_key), entry) &&
		  index_insert(&table->by_real, udp_hash_real(table, &real_key), entry);
	assert(ok);
	list_append(&peers->list, &peer->node);
	peers->count++;
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
	const struct udp_peer *only = udp_peer_oldest(&mapping->own);

	return only && only->seen.port == UDP_PORT_DNS && mapping->own.count == 1 &&
	       mapping->forwarded.count == 0 && mapping->sent <= 1 && mapping->received <= 1;
}

void udp_mapping_touch(struct udp_mapping *mapping, uint64_t now_ns)
{
	struct udp_table *table = mapping->nat->shard.udp;
	uint64_t lasts = udp_mapping_is_question(mapping) ? UDP_QUESTION_NS : UDP_IDLE_NS;

	mapping->last_ns = now_ns;
	list_remove(&mapping->idle);
	list_append(port_lists_of(&table->mapping_idle, mapping->budget_port), &mapping->idle);
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
	struct list *first = list_first(port_lists_of(&table->mapping_idle, port));

	if (!first)
		return false;
	struct udp_mapping *oldest = container_of(first, struct udp_mapping, idle);
	if (nat_now(table->nat) - oldest->last_ns < UDP_QUESTION_NS)
		return false;
	nat_drop(table->nat, DROP_FLOW_LIMIT);
	udp_mapping_free(oldest);
	return true;
}

static void udp_mapping_init(struct udp_table *table, struct udp_mapping *mapping)
{
	mapping->nat = table->nat;
	host_socket_init(&mapping->socket, udp_mapping_ready);
	timer_init(&mapping->expiry, udp_mapping_expired);
	loop_deferred_init(&mapping->more, udp_mapping_more);
	list_init(&mapping->own.list);
	list_init(&mapping->forwarded.list);
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

	if (nat->draining) {
		nat_drop(nat, DROP_NAT_OFF);
		return NULL;
	}
	if (!budget_take(&nat->budget, port) &&
	    (!udp_mapping_evict(table, port) || !budget_take(&nat->budget, port))) {
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

static void udp_peers_free(struct udp_peers *peers)
{
	list_for_each_safe(node, next, &peers->list)
		udp_peer_free(container_of(node, struct udp_peer, node));
}

void udp_mapping_free(struct udp_mapping *mapping)
{
	struct nat *nat = mapping->nat;
	struct udp_table *table = nat->shard.udp;

	udp_send_waiting(nat); /* perhaps by its socket */
	udp_peers_free(&mapping->own);
	udp_peers_free(&mapping->forwarded);
	loop_deferred_cancel(&mapping->more);
	timer_clear(nat_timers(nat), &mapping->expiry);
	udp_mapping_close(mapping);
	index_remove(&table->by_guest, udp_hash_guest(table, &mapping->guest),
		     (uint32_t)(mapping - table->mappings));
	budget_give(&nat->budget, mapping->budget_port);
	list_remove(&mapping->idle);
	list_prepend(&table->mapping_unused, &mapping->idle);
	table->mapping_count--;
}

void udp_mapping_free_bare(struct udp_mapping *mapping)
{
	if (mapping->socket.fd < 0 && udp_peer_count(mapping) == 0)
		udp_mapping_free(mapping);
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
	list_init(&table->peer_unused);
	if (!table->mappings || !table->peers ||
	    udp_memory_init(&table->memory, nat_timers(nat)) < 0 ||
	    port_lists_init(&table->mapping_idle, nat->config.port_capacity) < 0 ||
	    budget_init(&table->peer_extra, table->peer_capacity - table->mapping_capacity,
			nat->config.port_capacity) < 0 ||
	    budget_init(&table->sockets, nat->config.udp_socket_capacity,
			nat->config.port_capacity) < 0 ||
	    index_init(&table->by_guest, table->mapping_capacity, random) < 0 ||
	    index_init(&table->by_seen, table->peer_capacity, random) < 0 ||
	    index_init(&table->by_real, table->peer_capacity, random) < 0) {
		udp_table_free(table);
		return -ENOMEM;
	}
	budget_keep_back(&table->peer_extra);
	budget_keep_back(&table->sockets);
	*ret_table = table;
	return 0;
}

/* The body may free that mapping. */
static void udp_mapping_each(struct udp_table *table,
			     void (*visit)(struct udp_mapping *mapping, const void *context),
			     const void *context)
{
	for (uint32_t i = 0; i < table->mapping_idle.count; i++) {
		list_for_each_safe(node, next, &table->mapping_idle.lists[i])
			visit(container_of(node, struct udp_mapping, idle), context);
	}
}

static void udp_mapping_end(struct udp_mapping *mapping, const void *context)
{
	(void)context;
	udp_mapping_free(mapping);
}

struct udp_table *udp_table_free(struct udp_table *table)
{
	if (!table)
		return NULL;
	udp_mapping_each(table, udp_mapping_end, NULL);
	index_done(&table->by_guest);
	index_done(&table->by_seen);
	index_done(&table->by_real);
	budget_done(&table->peer_extra);
	budget_done(&table->sockets);
	port_lists_done(&table->mapping_idle);
	free(table->mappings);
	free(table->peers);
	udp_memory_done(&table->memory);
	free(table);
	return NULL;
}

uint32_t udp_flow_count(const struct nat *nat)
{
	return nat->shard.udp->mapping_count;
}

static void udp_mapping_port_gone(struct udp_mapping *mapping, const void *context)
{
	const uint32_t *port = context;

	if (mapping->port == *port)
		udp_mapping_free(mapping);
}

void udp_port_gone(struct nat *nat, uint32_t port)
{
	udp_mapping_each(nat->shard.udp, udp_mapping_port_gone, &port);
}

static void udp_mapping_forward_gone(struct udp_mapping *mapping, const void *context)
{
	list_for_each_safe(node, next, &mapping->forwarded.list)
	{
		struct udp_peer *peer = container_of(node, struct udp_peer, node);

		if (peer->via == context)
			udp_peer_free(peer);
	}
	udp_mapping_free_bare(mapping);
}

void udp_forward_gone(struct nat *nat, struct host_socket *socket)
{
	udp_send_waiting(nat); /* perhaps by it */
	udp_mapping_each(nat->shard.udp, udp_mapping_forward_gone, socket);
}

static bool udp_peer_may_go_on(const struct udp_peer *peer)
{
	const struct nat *nat = peer->mapping->nat;

	return peer->local.family == IP_FAMILY_NONE
		       ? policy_may_go_on(nat, NAT_PROTOCOL_UDP, &peer->seen, nat->review.narrower)
		       : policy_admits_client(nat, NAT_PROTOCOL_UDP, &peer->real);
}

bool udp_peer_review(struct udp_peer *peer)
{
	struct udp_mapping *mapping = peer->mapping;

	if (udp_peer_may_go_on(peer)) {
		peer->review = mapping->nat->review.number;
		return true;
	}
	nat_drop(mapping->nat, DROP_FILTERED);
	udp_peer_free(peer);
	udp_mapping_free_bare(mapping);
	return false;
}

/* Nobody is told of an end: there is nothing to wait for. */
bool udp_review_slice(struct nat *nat, uint32_t *next)
{
	struct udp_table *table = nat->shard.udp;

	for (; *next < table->peer_fresh; ++*next) {
		struct udp_peer *peer = &table->peers[*next];

		if (!review_look(&nat->review))
			return false;
		if (peer->in_use)
			(void)udp_peer_passes(peer);
	}
	return true;
}
