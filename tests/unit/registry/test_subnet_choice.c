#include "registry/subnet_choice.h"

#include "registry_rig.h"

#include <errno.h>

static const struct ip_prefix *tiny_pool(const char *text)
{
	static struct ip_prefix pool;

	pool = prefix_of(text);
	return &pool;
}

static struct registry_request from_pool(const char *key, const char *pool)
{
	return (struct registry_request){
		.key = key,
		.label = key,
		.length = 30,
		.pool = tiny_pool(pool),
		.pool_count = 1,
	};
}

static void holder_words(void **state)
{
	char buffer[SUBNET_CHOICE_HOLDER_SIZE];

	(void)state;
	assert_string_equal(subnet_choice_holder("ci-3", buffer), "VM \"ci-3\"");
	assert_string_equal(subnet_choice_holder("", buffer), "another network");
}

static void nonsense(void **state)
{
	static const struct {
		const char *wanted;
		const char *guest;
		uint8_t length;
		const char *sentence;
	} rows[] = {
		{ NULL, NULL, 0, "a subnet of prefix length 0 cannot be held: it must be 8 to 30" },
		{ NULL, NULL, 31,
		  "a subnet of prefix length 31 cannot be held: it must be 8 to 30" },
		{ NULL, NULL, 255,
		  "a subnet of prefix length 255 cannot be held: it must be 8 to 30" },
		{ "10.0.0.0/7", NULL, 30,
		  "a subnet of prefix length 7 cannot be held: it must be 8 to 30" },
		{ "fd00::/64", NULL, 30, "subnet fd00::/64: only IPv4 subnets can be held" },
		{ NULL, "10.0.0.2", 30, "guest address 10.0.0.2 was asked for without its subnet" },
		{ "10.0.0.0/30", "10.0.0.0", 0,
		  "guest address 10.0.0.0: not one that a guest of 10.0.0.0/30 can have" },
		{ "10.0.0.0/30", "10.0.0.1", 0,
		  "guest address 10.0.0.1: not one that a guest of 10.0.0.0/30 can have" },
		{ "10.0.0.0/30", "10.0.0.3", 0,
		  "guest address 10.0.0.3: not one that a guest of 10.0.0.0/30 can have" },
		{ "10.0.0.1/30", "10.0.0.6", 0,
		  "guest address 10.0.0.6: not one that a guest of 10.0.0.0/30 can have" },
		{ "10.0.0.0/30", "::1", 0,
		  "guest address ::1: not one that a guest of 10.0.0.0/30 can have" },
	};
	struct rig *rig = *state;

	rig_open(rig);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct registry_request request = { .length = rows[i].length };

		if (rows[i].wanted)
			request.wanted = prefix_of(rows[i].wanted);
		if (rows[i].guest)
			request.guest = addr_of(rows[i].guest);
		must_not_hold(rig->registry, &request, -EINVAL, rows[i].sentence);
	}
	char key[REGISTRY_KEY_SIZE + 1];

	memset(key, 'k', sizeof(key));
	key[REGISTRY_KEY_SIZE] = '\0';
	must_not_hold(rig->registry, &(struct registry_request){ .key = key, .length = 30 },
		      -EINVAL, "the key of an assignment must have 1 to 255 bytes");
	must_not_hold(rig->registry, &(struct registry_request){ .key = "", .length = 30 }, -EINVAL,
		      "the key of an assignment must have 1 to 255 bytes");
}

static void addresses(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("a", "10.1.2.77/24");
	struct registry_holding *holding = must_hold(rig_open(rig), &request);

	assert_prefix(&holding->subnet, "10.1.2.0/24");
	assert_addr(&holding->gateway, "10.1.2.1");
	assert_addr(&holding->guest, "10.1.2.2");
	assert_string_equal(holding->warning.text, "");
	holding = registry_holding_release(holding);
	request.guest = addr_of("10.1.2.254");
	holding = must_hold(rig->registry, &request);
	assert_addr(&holding->guest, "10.1.2.254");
	(void)registry_holding_release(holding);
}

/* The seed gives the same subnet again and again, and the next one goes elsewhere. */
static void seeds(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = { .seed = { { 2, 1, 2, 3, 4, 5 } },
					    .has_seed = true,
					    .length = 30 };
	struct registry_holding *first = must_hold(rig_open(rig), &request);
	struct ip_prefix subnet = first->subnet;
	struct registry_holding *second = must_hold(rig->registry, &request);

	assert_false(ip_prefix_overlaps(&subnet, &second->subnet));
	(void)registry_holding_release(first);
	first = must_hold(rig->registry, &request);
	assert_true(ip_addr_equal(&first->subnet.addr, &subnet.addr));
	(void)registry_holding_release(first);
	/* A network of the host elsewhere does not move it; one on it does. */
	struct ip_prefix avoid[] = { prefix_of("192.168.3.0/24") };

	assert_false(ip_prefix_overlaps(&avoid[0], &subnet));
	request.avoid = avoid;
	request.avoid_count = 1;
	first = must_hold(rig->registry, &request);
	assert_true(ip_addr_equal(&first->subnet.addr, &subnet.addr));
	(void)registry_holding_release(first);
	avoid[0] = subnet;
	first = must_hold(rig->registry, &request);
	assert_false(ip_prefix_overlaps(&first->subnet, &subnet));
	(void)registry_holding_release(first);
	(void)registry_holding_release(second);
}

static void wanted_is_taken(void **state)
{
	struct rig *rig = *state;
	struct registry_request small = wanting("ci-3", "10.1.2.0/30");
	struct registry_request large = wanting(NULL, "10.7.0.0/24");
	struct registry_holding *first = must_hold(rig_open(rig), &small);
	struct registry_holding *second = must_hold(rig->registry, &large);
	static const struct {
		const char *subnet;
		const char *sentence;
	} rows[] = {
		{ "10.1.2.0/30", "subnet 10.1.2.0/30 is in use by VM \"ci-3\"" },
		{ "10.1.2.0/24",
		  "subnet 10.1.2.0/24 overlaps 10.1.2.0/30, which is in use by VM \"ci-3\"" },
		{ "10.7.0.252/30",
		  "subnet 10.7.0.252/30 overlaps 10.7.0.0/24, which is in use by another network" },
		{ "10.7.0.0/24", "subnet 10.7.0.0/24 is in use by another network" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct registry_request request = wanting("x", rows[i].subnet);

		must_not_hold(rig->registry, &request, -EADDRINUSE, rows[i].sentence);
	}
	struct registry_request beside = wanting("x", "10.7.1.0/30");
	struct registry_holding *third = must_hold(rig->registry, &beside);

	(void)registry_holding_release(first);
	first = must_hold(rig->registry, &small);
	(void)registry_holding_release(first);
	(void)registry_holding_release(second);
	(void)registry_holding_release(third);
}

static void wanted_is_the_hosts(void **state)
{
	struct rig *rig = *state;
	struct ip_prefix avoid[] = { prefix_of("0.0.0.0/0"), prefix_of("::/0"),
				     prefix_of("10.1.2.3/8"), prefix_of("192.168.5.9/32") };
	struct registry_request request = wanting("x", "10.1.2.0/30");

	request.avoid = avoid;
	request.avoid_count = ARRAY_COUNT(avoid);
	must_not_hold(rig_open(rig), &request, -EADDRINUSE,
		      "subnet 10.1.2.0/30 overlaps the host network 10.0.0.0/8");
	request.wanted = prefix_of("192.168.5.0/24");
	must_not_hold(
		rig->registry, &request, -EADDRINUSE,
		"subnet 192.168.5.0/24 overlaps the address 192.168.5.9, which the host uses");
	request.wanted = prefix_of("192.168.6.0/24");
	(void)registry_holding_release(must_hold(rig->registry, &request));
}

/* Four blocks: one on the host's network, two behind another route. */
static void avoid_and_rank(void **state)
{
	struct rig *rig = *state;
	struct ip_prefix avoid[] = { prefix_of("10.0.0.5/32"), prefix_of("0.0.0.0/0") };
	struct ip_prefix rank[] = { prefix_of("10.0.0.8/29"), prefix_of("0.0.0.0/0") };
	struct registry_request request = from_pool(NULL, "10.0.0.0/28");
	struct registry_holding *holdings[3];

	rig_open(rig);
	request.avoid = avoid;
	request.avoid_count = ARRAY_COUNT(avoid);
	request.rank = rank;
	request.rank_count = ARRAY_COUNT(rank);
	for (unsigned i = 0; i < 20; i++) { /* by choice, not by chance */
		holdings[0] = must_hold(rig->registry, &request);
		assert_prefix(&holdings[0]->subnet, "10.0.0.0/30");
		(void)registry_holding_release(holdings[0]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(holdings); i++)
		holdings[i] = must_hold(rig->registry, &request);
	must_not_hold(rig->registry, &request, -ENOSPC,
		      "no free /30 is left in the pool: all 3 are in use");
	assert_prefix(&holdings[0]->subnet, "10.0.0.0/30");
	for (size_t i = 1; i < ARRAY_COUNT(holdings); i++)
		assert_true(ip_prefix_overlaps(&holdings[i]->subnet, &rank[0]));
	for (size_t i = 0; i < ARRAY_COUNT(holdings); i++)
		(void)registry_holding_release(holdings[i]);
}

static void no_pool_at_all(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = from_pool(NULL, "10.0.0.0/28");
	struct ip_prefix avoid[] = { prefix_of("10.0.0.0/8") };

	request.avoid = avoid;
	request.avoid_count = 1;
	must_not_hold(rig_open(rig), &request, -ENOSPC,
		      "the pool has no /30 beside the networks of the host");
	request = from_pool(NULL, "10.0.0.0/28");
	request.length = 24;
	must_not_hold(rig->registry, &request, -ENOSPC,
		      "the pool has no /24 beside the networks of the host");
}

/*
 * All of 10.0.0.0/12 is held but for one /30, in blocks of every size: 64 random probes among
 * 262,144 blocks do not find it, the sweep does.
 */
static void last_block(void **state)
{
	struct rig *rig = *state;
	struct ip_addr last = addr_of("10.5.11.148");
	struct registry_holding *holdings[30 - 12 + 1];
	struct registry_request request = from_pool(NULL, "10.0.0.0/12");
	size_t count = 0;

	rig_open(rig);
	for (uint8_t length = 13; length <= 30; length++) {
		/* The sibling of the block of that length in which the last one lies. */
		uint32_t bit = UINT32_C(1) << (32 - length);
		struct registry_request sibling = {
			.wanted = { ip_addr_from_v4(ip_addr_to_v4(&last) ^ bit), length },
		};

		holdings[count++] = must_hold(rig->registry, &sibling);
	}
	holdings[count++] = must_hold(rig->registry, &request);
	assert_prefix(&holdings[count - 1]->subnet, "10.5.11.148/30");
	must_not_hold(rig->registry, &request, -ENOSPC,
		      "no free /30 is left in the pool: all 262144 are in use");
	request.length = 24;
	must_not_hold(rig->registry, &request, -ENOSPC,
		      "no free /24 is left in the pool: all 4096 are in use");
	for (size_t i = 0; i < count; i++)
		(void)registry_holding_release(holdings[i]);
}

/* Others' assignments are passed over while there is room, then taken. 63 of 64 blocks are assigned
 * to virtual machines that do not run. */
static void others_assignments(void **state)
{
	struct rig *rig = *state;
	struct registry_holding *holding;
	char subnet[32];
	char key[32];

	rig_open(rig);
	for (unsigned i = 0; i < 64; i++) {
		if (i == 41)
			continue;
		(void)snprintf(subnet, sizeof(subnet), "10.0.0.%u/30", i * 4);
		(void)snprintf(key, sizeof(key), "vm-%u", i);
		struct registry_request request = wanting(key, subnet);

		request.key = key;
		(void)registry_holding_release(must_hold(rig->registry, &request));
	}
	for (int i = 0; i < 3; i++) { /* the same without and with an assignment of its own */
		struct registry_request request = from_pool(i == 0 ? NULL : "new", "10.0.0.0/24");

		holding = must_hold(rig->registry, &request);
		assert_prefix(&holding->subnet, "10.0.0.164/30");
		(void)registry_holding_release(holding);
	}
	struct registry_request late = from_pool("late", "10.0.0.0/24");

	holding = must_hold(rig->registry, &late);
	assert_string_equal(holding->warning.text, "");
	(void)registry_holding_release(holding);
}

/* One block, assigned to a, held by c: a cannot start, then can again. */
static void taken_assignment(void **state)
{
	struct rig *rig = *state;
	struct registry_request a = from_pool("a", "10.0.0.0/30");
	struct registry_request c = from_pool("c", "10.0.0.0/30");

	(void)registry_holding_release(must_hold(rig_open(rig), &a));
	struct registry_holding *holding = must_hold(rig->registry, &c);

	assert_prefix(&holding->subnet, "10.0.0.0/30");
	must_not_hold(rig->registry, &a, -ENOSPC,
		      "no free /30 is left in the pool: all 1 are in use");
	(void)registry_holding_release(holding);
	holding = must_hold(rig->registry, &a);
	assert_prefix(&holding->subnet, "10.0.0.0/30");
	assert_string_equal(holding->warning.text, "");
	(void)registry_holding_release(holding);
}

static void assigned_meets_host(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = from_pool("a", "10.0.0.0/30");
	struct ip_prefix avoid[] = { prefix_of("10.0.0.0/8") };

	(void)registry_holding_release(must_hold(rig_open(rig), &request));
	request.avoid = avoid;
	request.avoid_count = 1;
	struct registry_holding *holding = must_hold(rig->registry, &request);

	assert_prefix(&holding->subnet, "10.0.0.0/30");
	assert_string_equal(holding->warning.text,
			    "assigned subnet 10.0.0.0/30 overlaps the host network 10.0.0.0/8: the "
			    "guest cannot reach what lies in both");
	(void)registry_holding_release(holding);
}

static void assigned_is_held(void **state)
{
	struct rig *rig = *state;
	struct registry_request a = from_pool("a", "10.0.0.0/30");
	struct registry_request thief = wanting("thief", "10.0.0.0/30");
	struct registry_assignment assignment;

	(void)registry_holding_release(must_hold(rig_open(rig), &a));
	struct registry_holding *held = must_hold(rig->registry, &thief);

	assert_string_equal(held->warning.text,
			    "subnet 10.0.0.0/30 is assigned to \"a\" too, which "
			    "cannot have it meanwhile");
	a.pool = tiny_pool("10.0.1.0/30");
	struct registry_holding *holding = must_hold(rig->registry, &a);

	assert_prefix(&holding->subnet, "10.0.1.0/30");
	assert_string_equal(
		holding->warning.text,
		"another subnet, 10.0.1.0/30, is used this time: subnet 10.0.0.0/30 is in "
		"use by VM \"thief\"");
	assert_int_equal(registry_assignment_get(rig->registry, "a", &assignment, NULL), 0);
	assert_prefix(&assignment.subnet, "10.0.0.0/30");
	(void)registry_holding_release(held);
	(void)registry_holding_release(holding);
	holding = must_hold(rig->registry, &a);
	assert_prefix(&holding->subnet, "10.0.0.0/30");
	(void)registry_holding_release(holding);
}

static void wanted_replaces_assignment(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("a", "10.0.4.0/24");
	struct registry_assignment assignment;

	request.key = "a";
	request.guest = addr_of("10.0.4.9");
	(void)registry_holding_release(must_hold(rig_open(rig), &request));
	/* Without a guest address the assigned one stays, also when the subnet is named. */
	request.guest = (struct ip_addr){ .family = IP_FAMILY_NONE };
	struct registry_holding *holding = must_hold(rig->registry, &request);

	assert_addr(&holding->guest, "10.0.4.9");
	(void)registry_holding_release(holding);
	request.wanted = (struct ip_prefix){ .length = 0 };
	request.length = 24;
	holding = must_hold(rig->registry, &request);
	assert_prefix(&holding->subnet, "10.0.4.0/24");
	assert_addr(&holding->guest, "10.0.4.9");
	(void)registry_holding_release(holding);

	request.wanted = prefix_of("10.0.5.0/24");
	(void)registry_holding_release(must_hold(rig->registry, &request));
	assert_int_equal(registry_assignment_get(rig->registry, "a", &assignment, NULL), 0);
	assert_prefix(&assignment.subnet, "10.0.5.0/24");
	assert_addr(&assignment.guest, "10.0.5.2");

	/* Another size is another subnet. */
	request = from_pool("a", "10.0.6.0/30");
	holding = must_hold(rig->registry, &request);
	assert_prefix(&holding->subnet, "10.0.6.0/30");
	(void)registry_holding_release(holding);
	assert_int_equal(registry_assignment_get(rig->registry, "a", &assignment, NULL), 0);
	assert_prefix(&assignment.subnet, "10.0.6.0/30");
}

static void failure_changes_nothing(void **state)
{
	struct rig *rig = *state;
	struct registry_request mine = wanting("a", "10.0.4.0/30");
	struct registry_request other = wanting("b", "10.0.5.0/30");
	struct registry_assignment assignment;

	mine.key = "a";
	(void)registry_holding_release(must_hold(rig_open(rig), &mine));
	struct registry_holding *held = must_hold(rig->registry, &other);

	mine.wanted = other.wanted;
	must_not_hold(rig->registry, &mine, -EADDRINUSE,
		      "subnet 10.0.5.0/30 is in use by VM \"b\"");
	assert_int_equal(registry_assignment_get(rig->registry, "a", &assignment, NULL), 0);
	assert_prefix(&assignment.subnet, "10.0.4.0/30");
	mine.key = "new";
	must_not_hold(rig->registry, &mine, -EADDRINUSE,
		      "subnet 10.0.5.0/30 is in use by VM \"b\"");
	assert_int_equal(registry_assignment_get(rig->registry, "new", &assignment, NULL), -ENOENT);
	(void)registry_holding_release(held);
}

static void same_key_twice(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("ci-3", "10.0.4.0/30");

	request.key = "vm-key";
	struct registry_holding *holding = must_hold(rig_open(rig), &request);

	request.wanted = prefix_of("10.0.5.0/30");
	must_not_hold(rig->registry, &request, -EBUSY,
		      "VM \"ci-3\" runs already: it holds subnet 10.0.4.0/30");
	request.wanted = (struct ip_prefix){ .length = 0 };
	request.length = 30;
	must_not_hold(rig->registry, &request, -EBUSY,
		      "VM \"ci-3\" runs already: it holds subnet 10.0.4.0/30");

	/* The same key of another state directory is another virtual machine. */
	struct registry_paths paths = rig->paths;
	struct registry *other = NULL;
	char elsewhere[128];

	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", rig->folder);
	paths.state_directory = elsewhere;
	assert_int_equal(registry_open(&paths, &other, NULL), 0);
	struct registry_holding *second = must_hold(other, &request);

	assert_false(ip_prefix_overlaps(&second->subnet, &holding->subnet));
	(void)registry_holding_release(second);
	(void)registry_close(other);
	(void)registry_holding_release(holding);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holder_words),
		RIG_TEST(nonsense),
		RIG_TEST(addresses),
		RIG_TEST(seeds),
		RIG_TEST(wanted_is_taken),
		RIG_TEST(wanted_is_the_hosts),
		RIG_TEST(avoid_and_rank),
		RIG_TEST(no_pool_at_all),
		RIG_TEST(last_block),
		RIG_TEST(others_assignments),
		RIG_TEST(taken_assignment),
		RIG_TEST(assigned_meets_host),
		RIG_TEST(assigned_is_held),
		RIG_TEST(wanted_replaces_assignment),
		RIG_TEST(failure_changes_nothing),
		RIG_TEST(same_key_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
