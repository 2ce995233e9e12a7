/* The stage: who is bound to a port, and that another policy holds from one frame to the next. */
#include "filter/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "wire/frame.h"

struct fixture {
	struct frame_sink bridge; /* counts what comes */
	unsigned pushed;
	unsigned flushed;
	struct drop_counters drops;
	struct filter *filter;
	struct frame_sink *ingress;
	uint8_t leased; /* the last byte of the address of MAC ...:02; 0 = none */
	uint64_t until_ns;
	uint32_t changes;
	unsigned asked;
	uint64_t now_ns;
	struct clock clock;
	struct loop *loop;
};

static void bridge_push(struct frame_sink *sink, struct frame *frame)
{
	(void)frame;
	container_of(sink, struct fixture, bridge)->pushed++;
}

static void bridge_flush(struct frame_sink *sink)
{
	container_of(sink, struct fixture, bridge)->flushed++;
}

static size_t bridge_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	return port + 7;
}

static const struct frame_sink_ops bridge_ops = { .push = bridge_push,
						  .flush = bridge_flush,
						  .room = bridge_room };

/* 02:..:02 and 02:..:03 may be here. */
static bool address_of(void *context, const struct mac_addr *mac, struct ip_addr *ret_addr,
		       uint64_t *ret_until_ns)
{
	struct fixture *fixture = context;

	fixture->asked++;
	*ret_until_ns = fixture->until_ns;
	if (mac->octet[5] != 2 && mac->octet[5] != 3)
		return false;
	*ret_addr = (struct ip_addr){ .family = IP_FAMILY_NONE };
	if (fixture->leased != 0)
		*ret_addr = ip_addr_from_v4(UINT32_C(0x0a000000) | fixture->leased);
	return true;
}

static uint32_t address_changes(void *context)
{
	return ((struct fixture *)context)->changes;
}

static void lease(struct fixture *fixture, uint8_t last)
{
	fixture->leased = last;
	fixture->changes++;
}

static uint64_t clock_says(const struct clock *clock)
{
	return container_of((void *)(uintptr_t)clock, struct fixture, clock)->now_ns;
}

static void pass(struct fixture *fixture, uint64_t ns)
{
	fixture->now_ns += ns;
	assert_int_equal(loop_run_once(fixture->loop, 0), 0);
}

static struct filter_policy *policy_of(const char *allow, const char *block)
{
	const struct ip_addr host = ip_addr_from_v4(0x0a000001);
	struct filter_policy *policy;
	struct filter_rule rules[2];

	if (allow)
		assert_true(filter_rule_parse(text_view_of(allow), &rules[0], NULL));
	if (block)
		assert_true(filter_rule_parse(text_view_of(block), &rules[1], NULL));
	assert_int_equal(filter_policy_new(&host, &rules[0], allow ? 1 : 0, &rules[1],
					   block ? 1 : 0, &policy, NULL),
			 0);
	return policy;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct filter_config config = { .gateway = ip_addr_from_v4(0x0a000001),
					.port_capacity = 2,
					.address_of = address_of,
					.address_changes = address_changes,
					.context = &fixture };

	fixture = (struct fixture){ .bridge.ops = &bridge_ops,
				    .leased = 2,
				    .until_ns = UINT64_MAX,
				    .now_ns = 1000,
				    .clock.now_ns = clock_says };
	assert_int_equal(loop_new(&fixture.clock, &fixture.loop), 0);
	config.loop = fixture.loop;
	assert_int_equal(
		filter_new(&config, policy_of(NULL, NULL), &fixture.drops, &fixture.filter), 0);
	fixture.ingress = filter_port_add(fixture.filter, 1, &fixture.bridge);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	filter_free(fixture->filter);
	loop_free(fixture->loop);
	return 0;
}

/* An ARP request under that MAC and address 10.0.0.LAST. */
static void send_arp(struct fixture *fixture, uint8_t mac, uint8_t last)
{
	uint8_t bytes[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8, 6,
			      0,    1,	  8,	0,    6,    4,	  0, 1, 2, 0, 0, 0,   0, mac };
	struct frame frame;
	enum drop_reason reason;

	if (last != 0) {
		bytes[28] = 10;
		bytes[31] = last;
	}
	assert_true(frame_from_bytes(&frame, bytes, sizeof(bytes), 1, &reason));
	frame_sink_push(fixture->ingress, &frame);
}

static void test_first_mac_is_the_ports(void **state)
{
	struct fixture *fixture = *state;

	send_arp(fixture, 9, 2); /* nobody of the network */
	assert_int_equal(fixture->drops.count[DROP_BAD_SOURCE_MAC], 1);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->pushed, 1);
	send_arp(fixture, 3, 2);
	send_arp(fixture, 9, 2);
	assert_int_equal(fixture->pushed, 1);
	assert_int_equal(fixture->drops.count[DROP_BAD_SOURCE_MAC], 3);
	/* The port is another guest's from now on. */
	filter_port_remove(fixture->filter, 1);
	fixture->ingress = filter_port_add(fixture->filter, 1, &fixture->bridge);
	send_arp(fixture, 3, 2);
	assert_int_equal(fixture->pushed, 2);
}

static void test_the_address_comes_later(void **state)
{
	struct fixture *fixture = *state;

	lease(fixture, 0);
	send_arp(fixture, 2, 0);
	assert_int_equal(fixture->pushed, 1);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 1);
	lease(fixture, 2);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->pushed, 2);
	send_arp(fixture, 2, 3);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 2);
	/* Another lease, and the end of it: what was its own is not any more, perhaps it is another's. */
	lease(fixture, 4);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 3);
	send_arp(fixture, 2, 4);
	assert_int_equal(fixture->pushed, 3);
	lease(fixture, 0);
	send_arp(fixture, 2, 4);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 4);
}

/* Asked once for as long as nothing changes, and again when its time is over. */
static void test_asks_when_something_changed(void **state)
{
	struct fixture *fixture = *state;

	fixture->until_ns = fixture->now_ns + 10;
	for (unsigned i = 0; i < 5; i++)
		send_arp(fixture, 2, 2);
	assert_int_equal(fixture->asked, 1);
	send_arp(fixture, 3, 2); /* the port is another's: no question */
	assert_int_equal(fixture->asked, 1);
	assert_int_equal(fixture->drops.count[DROP_BAD_SOURCE_MAC], 1);
	pass(fixture, 9);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->asked, 1);
	fixture->leased = 0; /* the time is over */
	fixture->until_ns = UINT64_MAX;
	pass(fixture, 1);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->asked, 2);
	assert_int_equal(fixture->drops.count[DROP_BAD_ARP], 1);
	lease(fixture, 2);
	send_arp(fixture, 2, 2);
	send_arp(fixture, 2, 2);
	assert_int_equal(fixture->asked, 3);
	assert_int_equal(fixture->pushed, 8);
}

static void test_flush_and_room_go_through(void **state)
{
	struct fixture *fixture = *state;

	frame_sink_flush(fixture->ingress);
	assert_int_equal(fixture->flushed, 1);
	assert_int_equal(frame_sink_room(fixture->ingress, 1), 8);
}

static bool admits(struct fixture *fixture, enum filter_direction direction, uint32_t addr,
		   uint8_t protocol, uint16_t port)
{
	const struct filter_question question = { .direction = direction,
						  .protocol = protocol,
						  .remote = ip_addr_from_v4(addr),
						  .port = port };

	return filter_admits(fixture->filter, &question);
}

static void test_another_policy(void **state)
{
	struct fixture *fixture = *state;

	assert_true(admits(fixture, FILTER_OUT, 0x08080808, 6, 443));
	assert_true(admits(fixture, FILTER_IN, 0x08080808, 6, 443));
	filter_set_policy(fixture->filter, policy_of("in 10.0.0.0/8", "0.0.0.0/0"));
	assert_false(admits(fixture, FILTER_OUT, 0x08080808, 6, 443));
	assert_false(admits(fixture, FILTER_IN, 0x08080808, 6, 443));
	assert_true(admits(fixture, FILTER_IN, 0x0a010203, 6, 443));
	filter_set_policy(fixture->filter, policy_of(NULL, NULL));
	assert_true(admits(fixture, FILTER_OUT, 0x08080808, 6, 443));
}

/* The offered name server is TCP and UDP 53 of the gateway, and nothing beside it. */
static void test_name_server_only(void **state)
{
	struct fixture *fixture = *state;

	filter_set_policy(fixture->filter, policy_of(NULL, "0.0.0.0/0"));
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 17, 53));
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 6, 53));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 1, 53));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 6, 54));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 1, 0));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000002, 17, 53));
}

/* No rule opens another DHCP server, nor that of the host behind the gateway. */
static void test_dhcp_stays_at_home(void **state)
{
	struct fixture *fixture = *state;

	filter_set_policy(fixture->filter, policy_of("0.0.0.0/1", NULL));
	assert_true(admits(fixture, FILTER_OUT, 0x08080808, 17, 68));
	assert_true(admits(fixture, FILTER_OUT, 0x08080808, 6, 67));
	assert_false(admits(fixture, FILTER_OUT, 0x08080808, 17, 67));
	filter_set_policy(fixture->filter, policy_of("@host", NULL));
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 17, 68));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 17, 67));
	/* Who calls the guest may have any port. */
	assert_true(admits(fixture, FILTER_IN, 0x08080808, 17, 67));
}

/* Documents are offered as the name server is, where there are some. */
static void test_documents(void **state)
{
	struct fixture *fixture = *state;
	const struct filter_config config = { .gateway = ip_addr_from_v4(0x0a000001),
					      .port_capacity = 2,
					      .has_documents = true,
					      .address_of = address_of,
					      .address_changes = address_changes,
					      .context = fixture,
					      .loop = fixture->loop };

	filter_set_policy(fixture->filter, policy_of(NULL, "0.0.0.0/0"));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 6, 80));
	filter_free(fixture->filter);
	assert_int_equal(filter_new(&config, policy_of(NULL, "0.0.0.0/0"), &fixture->drops,
				    &fixture->filter),
			 0);
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 6, 80));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 17, 80));
	filter_set_policy(fixture->filter, policy_of(NULL, "@host"));
	assert_false(admits(fixture, FILTER_OUT, 0x0a000001, 6, 80));
}

/* What listens on the host, behind the gateway's address. */
static bool admits_host(struct fixture *fixture, uint8_t protocol, uint16_t port)
{
	const struct filter_question question = { .direction = FILTER_OUT,
						  .protocol = protocol,
						  .remote = ip_addr_from_v4(0x0a000001),
						  .port = port,
						  .to_host = true };

	return filter_admits(fixture->filter, &question);
}

/* A rule opens what it says; the gateway's own services are another matter. */
static void test_host_by_rules(void **state)
{
	struct fixture *fixture = *state;

	assert_false(admits_host(fixture, 6, 22));
	filter_set_policy(fixture->filter, policy_of("@host:8080", NULL));
	assert_true(admits_host(fixture, 6, 8080));
	assert_true(admits_host(fixture, 17, 8080));
	assert_false(admits_host(fixture, 6, 22));
	assert_false(admits_host(fixture, 17, 53));
	assert_false(admits_host(fixture, 1, 0));
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 17, 53));
	assert_true(admits(fixture, FILTER_OUT, 0x0a000001, 1, 0));
	filter_set_policy(fixture->filter, policy_of("@host", "@host:22"));
	assert_true(admits_host(fixture, 6, 8080));
	assert_true(admits_host(fixture, 1, 0));
	assert_false(admits_host(fixture, 6, 22));
	assert_false(admits_host(fixture, 17, 67)); /* DHCP stays at home */
	filter_set_policy(fixture->filter, policy_of("@host:8080", "0.0.0.0/0"));
	assert_true(admits_host(fixture, 6, 8080));
	assert_false(admits_host(fixture, 6, 53)); /* the gateway's is offered, not the host's */
}

/* Open by itself, so that rules only take away. */
static void test_host_that_is_open(void **state)
{
	struct fixture *fixture = *state;
	const struct filter_config config = { .gateway = ip_addr_from_v4(0x0a000001),
					      .port_capacity = 2,
					      .host_is_open = true,
					      .address_of = address_of,
					      .address_changes = address_changes,
					      .context = fixture,
					      .loop = fixture->loop };

	filter_free(fixture->filter);
	assert_int_equal(
		filter_new(&config, policy_of(NULL, NULL), &fixture->drops, &fixture->filter), 0);
	assert_true(admits_host(fixture, 6, 22));
	filter_set_policy(fixture->filter, policy_of("@host:8080", NULL));
	assert_true(admits_host(fixture, 6, 22));
	filter_set_policy(fixture->filter, policy_of(NULL, "@host:22"));
	assert_false(admits_host(fixture, 6, 22));
	assert_true(admits_host(fixture, 6, 23));
	filter_set_policy(fixture->filter, policy_of(NULL, "0.0.0.0/0"));
	assert_false(admits_host(fixture, 6, 53));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_mac_is_the_ports),
		TEST(test_the_address_comes_later),
		TEST(test_flush_and_room_go_through),
		TEST(test_another_policy),
		TEST(test_name_server_only),
		TEST(test_dhcp_stays_at_home),
		TEST(test_documents),
		TEST(test_host_by_rules),
		TEST(test_host_that_is_open),
		TEST(test_asks_when_something_changed),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
