#include "nat/forward_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t forward_hash_external(const struct forward_index *index, uint8_t protocol,
				      uint16_t port)
{
	const uint8_t key[3] = { protocol, (uint8_t)(port >> 8), (uint8_t)port };

	return index_hash(&index->by_external, key, sizeof(key));
}

static uint32_t forward_hash_internal(const struct forward_index *index, uint8_t protocol,
				      const struct ip_endpoint *internal)
{
	uint8_t key[sizeof(internal->addr) + 3];
	size_t size = sizeof(internal->addr);

	memcpy(key, &internal->addr, size);
	key[size++] = (uint8_t)(internal->port >> 8);
	key[size++] = (uint8_t)internal->port;
	key[size++] = protocol;
	return index_hash(&index->by_internal, key, size);
}

int forward_index_init(struct forward_index *index, struct random *random)
{
	*index = (struct forward_index){};
	index->rules = calloc(FORWARD_INDEX_MOST, sizeof(*index->rules));
	if (!index->rules || index_init(&index->by_external, FORWARD_INDEX_MOST, random) < 0 ||
	    index_init(&index->by_internal, FORWARD_INDEX_MOST, random) < 0) {
		forward_index_done(index);
		return -ENOMEM;
	}
	return 0;
}

void forward_index_done(struct forward_index *index)
{
	index_done(&index->by_external);
	index_done(&index->by_internal);
	free(index->rules);
	*index = (struct forward_index){};
}

void forward_index_add(struct forward_index *index, const struct nat_forward *rule)
{
	uint32_t number = index->last;

	assert(index->count < FORWARD_INDEX_MOST);
	do
		number = (number + 1) % FORWARD_INDEX_MOST;
	while (index->rules[number]);
	bool inserted =
		index_insert(&index->by_external,
			     forward_hash_external(index, rule->protocol, rule->external.port),
			     number) &&
		index_insert(&index->by_internal,
			     forward_hash_internal(index, rule->protocol, &rule->internal), number);
	assert(inserted);
	index->rules[number] = rule;
	index->last = number;
	index->count++;
}

/* The key of every look-up: what is compared depends on the question. */
struct forward_question {
	uint8_t protocol;
	uint16_t port;
	const struct ip_addr *addr;
	const struct nat_forward *rule;
};

static bool forward_is_at_port(const struct nat_forward *rule,
			       const struct forward_question *question)
{
	return rule->protocol == question->protocol && rule->external.port == question->port;
}

static bool forward_match_rule(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;
	const struct forward_question *question = key;

	return index->rules[entry] == question->rule;
}

static bool forward_match_exact(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;
	const struct forward_question *question = key;
	const struct nat_forward *rule = index->rules[entry];

	return forward_is_at_port(rule, question) &&
	       ip_addr_equal(&rule->external.addr, question->addr);
}

static bool forward_match_listening(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;
	const struct forward_question *question = key;
	const struct nat_forward *rule = index->rules[entry];

	return forward_is_at_port(rule, question) &&
	       rule->external.addr.family == question->addr->family &&
	       (ip_addr_is_unspecified(&rule->external.addr) ||
		ip_addr_equal(&rule->external.addr, question->addr));
}

static bool forward_match_port(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;

	return forward_is_at_port(index->rules[entry], key);
}

static bool forward_match_port_v4(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;
	const struct nat_forward *rule = index->rules[entry];

	return forward_is_at_port(rule, key) && ip_addr_is_v4(&rule->external.addr);
}

static bool forward_match_leading_to(const void *context, uint32_t entry, const void *key)
{
	const struct forward_index *index = context;
	const struct forward_question *question = key;
	const struct nat_forward *rule = index->rules[entry];

	return rule->protocol == question->protocol && rule->internal.port == question->port &&
	       ip_addr_equal(&rule->internal.addr, question->addr) &&
	       ip_addr_is_v4(&rule->external.addr);
}

static const struct nat_forward *forward_index_ask(const struct forward_index *index,
						   index_match_fn *match,
						   const struct forward_question *question)
{
	uint32_t hash = forward_hash_external(index, question->protocol, question->port);
	uint32_t number = index_find(&index->by_external, hash, match, index, question);

	return number == INDEX_NONE ? NULL : index->rules[number];
}

void forward_index_remove(struct forward_index *index, const struct nat_forward *rule)
{
	const struct forward_question question = { .rule = rule };
	uint32_t hash = forward_hash_external(index, rule->protocol, rule->external.port);
	uint32_t number =
		index_find(&index->by_external, hash, forward_match_rule, index, &question);

	assert(number != INDEX_NONE);
	index_remove(&index->by_external, hash, number);
	index_remove(&index->by_internal,
		     forward_hash_internal(index, rule->protocol, &rule->internal), number);
	index->rules[number] = NULL;
	index->count--;
}

const struct nat_forward *forward_index_exact(const struct forward_index *index, uint8_t protocol,
					      const struct ip_endpoint *external)
{
	const struct forward_question question = { protocol, external->port, &external->addr,
						   NULL };

	return forward_index_ask(index, forward_match_exact, &question);
}

const struct nat_forward *forward_index_listening(const struct forward_index *index,
						  uint8_t protocol, const struct ip_endpoint *at)
{
	const struct forward_question question = { protocol, at->port, &at->addr, NULL };

	return forward_index_ask(index, forward_match_listening, &question);
}

const struct nat_forward *forward_index_port(const struct forward_index *index, uint8_t protocol,
					     uint16_t port)
{
	const struct forward_question question = { protocol, port, NULL, NULL };
	const struct nat_forward *rule = forward_index_ask(index, forward_match_port_v4, &question);

	return rule ? rule : forward_index_ask(index, forward_match_port, &question);
}

const struct nat_forward *forward_index_leading_to(const struct forward_index *index,
						   uint8_t protocol,
						   const struct ip_endpoint *internal)
{
	const struct forward_question question = { protocol, internal->port, &internal->addr,
						   NULL };
	uint32_t number =
		index_find(&index->by_internal, forward_hash_internal(index, protocol, internal),
			   forward_match_leading_to, index, &question);

	return number == INDEX_NONE ? NULL : index->rules[number];
}
