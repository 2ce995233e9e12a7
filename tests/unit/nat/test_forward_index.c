/* Look-ups of forwards against a plain walk of a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "nat/forward_index.h"

#define TCP NAT_PROTOCOL_TCP
#define UDP NAT_PROTOCOL_UDP

static struct forward_index forwards;
static struct random_seeded random_source;
static struct nat_forward pool[FORWARD_INDEX_MOST];
static const struct nat_forward *added[FORWARD_INDEX_MOST]; /* in that order */
static size_t count;

static void start(uint64_t seed)
{
	random_seeded_init(&random_source, seed);
	count = 0;
	assert_int_equal(forward_index_init(&forwards, &random_source.random), 0);
}

static uint32_t below(uint32_t limit)
{
	return random_below(&random_source.random, limit);
}

/* --- the oracle --------------------------------------------------------------------------- */

static const struct nat_forward *walk_exact(uint8_t protocol, const struct ip_endpoint *external)
{
	for (size_t i = 0; i < count; i++) {
		if (added[i]->protocol == protocol &&
		    ip_endpoint_equal(&added[i]->external, external))
			return added[i];
	}
	return NULL;
}

static const struct nat_forward *walk_listening(uint8_t protocol, const struct ip_endpoint *at)
{
	for (size_t i = 0; i < count; i++) {
		const struct ip_endpoint *external = &added[i]->external;

		if (added[i]->protocol == protocol && external->port == at->port &&
		    external->addr.family == at->addr.family &&
		    (ip_addr_is_unspecified(&external->addr) ||
		     ip_addr_equal(&external->addr, &at->addr)))
			return added[i];
	}
	return NULL;
}

static const struct nat_forward *walk_port(uint8_t protocol, uint16_t port)
{
	const struct nat_forward *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (added[i]->protocol != protocol || added[i]->external.port != port)
			continue;
		if (ip_addr_is_v4(&added[i]->external.addr))
			return added[i];
		if (!found)
			found = added[i];
	}
	return found;
}

static const struct nat_forward *walk_leading_to(uint8_t protocol, const struct ip_endpoint *guest)
{
	for (size_t i = 0; i < count; i++) {
		if (added[i]->protocol == protocol && ip_addr_is_v4(&added[i]->external.addr) &&
		    ip_endpoint_equal(&added[i]->internal, guest))
			return added[i];
	}
	return NULL;
}

/* --- */

static struct ip_addr any_addr(void)
{
	const uint8_t octet[16] = { 0xfd, [15] = (uint8_t)below(4) };
	const uint8_t unspecified[16] = { 0 };

	switch (below(4)) {
	case 0:
		return ip_addr_from_v4(0);
	case 1:
		return ip_addr_from_v6(unspecified);
	case 2:
		return ip_addr_from_v6(octet);
	default:
		return ip_addr_from_v4(UINT32_C(0x7f000001) + below(20));
	}
}

static struct ip_endpoint any_external(uint32_t ports)
{
	return (struct ip_endpoint){ any_addr(), (uint16_t)(1 + below(ports)) };
}

static struct ip_endpoint any_internal(uint32_t ports)
{
	return (struct ip_endpoint){ ip_addr_from_v4(UINT32_C(0x0a000002) + below(3)),
				     (uint16_t)(1 + below(ports)) };
}

static void add(struct nat_forward *rule)
{
	forward_index_add(&forwards, rule);
	added[count++] = rule;
}

static void take_out(size_t at)
{
	forward_index_remove(&forwards, added[at]);
	count--;
	for (size_t i = at; i < count; i++)
		added[i] = added[i + 1];
}

static void compare(uint32_t ports)
{
	uint8_t protocol = below(2) ? TCP : UDP;
	struct ip_endpoint external = any_external(ports);
	struct ip_endpoint internal = any_internal(ports);

	assert_ptr_equal(forward_index_exact(&forwards, protocol, &external),
			 walk_exact(protocol, &external));
	assert_ptr_equal(forward_index_listening(&forwards, protocol, &external),
			 walk_listening(protocol, &external));
	assert_ptr_equal(forward_index_port(&forwards, protocol, external.port),
			 walk_port(protocol, external.port));
	assert_ptr_equal(forward_index_leading_to(&forwards, protocol, &internal),
			 walk_leading_to(protocol, &internal));
	assert_int_equal(forwards.count, count);
}

/* Few ports, so that many addresses share each; then many. */
static void random_operations(void **state)
{
	static const uint32_t ports[] = { 1, 8, 400 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(ports); i++) {
		size_t fresh = 0;

		start(1 + i);
		while (fresh < 4000) {
			struct nat_forward *rule = &pool[fresh];

			*rule = (struct nat_forward){ below(2) ? TCP : UDP, any_external(ports[i]),
						      any_internal(ports[i]) };
			if (count > 0 && below(5) < 2)
				take_out(below((uint32_t)count));
			else if (walk_exact(rule->protocol, &rule->external))
				take_out(below((uint32_t)count)); /* the place is taken */
			else
				add(rule);
			fresh++;
			compare(ports[i]);
		}
		forward_index_done(&forwards);
	}
}

static void as_many_as_there_may_be(void **state)
{
	(void)state;
	start(1);
	for (uint32_t i = 0; i < FORWARD_INDEX_MOST; i++) {
		pool[i] = (struct nat_forward){
			.protocol = i % 2 ? TCP : UDP,
			.external = { ip_addr_from_v4(0), (uint16_t)(1 + i / 2) },
			.internal = any_internal(1000),
		};
		add(&pool[i]);
	}
	for (uint32_t i = 0; i < FORWARD_INDEX_MOST; i++) {
		assert_ptr_equal(
			forward_index_exact(&forwards, pool[i].protocol, &pool[i].external),
			&pool[i]);
		assert_ptr_equal(
			forward_index_port(&forwards, pool[i].protocol, pool[i].external.port),
			&pool[i]);
	}
	for (uint32_t i = 0; i < 1000; i++)
		compare(FORWARD_INDEX_MOST / 2);
	while (count > 0)
		take_out(count - 1);
	assert_null(forward_index_port(&forwards, TCP, 1));
	assert_int_equal(forwards.by_internal.used, 0);
	forward_index_done(&forwards);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(as_many_as_there_may_be),
	};

	return cmocka_run_group_tests_name("forward_index", tests, NULL, NULL);
}
