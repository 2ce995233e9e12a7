/* What a key keeps between runs, by the public calls only. */

#include <arpa/inet.h>
#include <string.h>

#include "network_rig.h"

#include "base/compiler.h"

static vmnet_network_configuration_ref keyed(const char *key, uint8_t number)
{
	vmnet_network_configuration_ref config = new_configuration(key);
	const struct ether_addr seed = ether_of(number);

	assert_int_equal(vmnet_network_configuration_set_assignment(config, key, &seed),
			 VMNET_SUCCESS);
	assert_int_equal(vmnet_network_configuration_set_prefix_length(config, 30), VMNET_SUCCESS);
	reserve(config, number);
	return config;
}

struct place {
	struct in_addr subnet;
	struct in_addr mask;
	struct in_addr address;
};

static struct place place_of(vmnet_network_ref network, uint8_t number)
{
	const struct ether_addr client = ether_of(number);
	struct place place;

	vmnet_network_get_ipv4_subnet(network, &place.subnet, &place.mask);
	assert_int_equal(vmnet_network_get_reservation(network, &client, &place.address),
			 VMNET_SUCCESS);
	return place;
}

static struct place run_once(const char *key, uint8_t number)
{
	vmnet_network_ref network = create(keyed(key, number));
	struct place place = place_of(network, number);

	vmnet_network_release(network);
	return place;
}

static void assert_same(const struct place *a, const struct place *b)
{
	assert_int_equal(a->subnet.s_addr, b->subnet.s_addr);
	assert_int_equal(a->mask.s_addr, b->mask.s_addr);
	assert_int_equal(a->address.s_addr, b->address.s_addr);
}

static void assert_assigned(const char *key, const struct place *place)
{
	struct vmnet_assignment assignment;
	struct vmnet_error error = { "" };

	if (vmnet_assignment_get(directory, key, &assignment, &error) != VMNET_SUCCESS)
		fail_msg("%s: %s", key, error.text);
	assert_string_equal(assignment.key, key);
	assert_int_equal(assignment.subnet.s_addr, place->subnet.s_addr);
	assert_int_equal(assignment.mask.s_addr, place->mask.s_addr);
	assert_int_equal(assignment.address.s_addr, place->address.s_addr);
}

static void assert_unassigned(const char *key)
{
	struct vmnet_assignment assignment;
	struct vmnet_error error = { "" };

	assert_int_equal(vmnet_assignment_get(directory, key, &assignment, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_int_not_equal(error.text[0], '\0');
	assert_int_equal(vmnet_assignment_get(directory, key, &assignment, NULL),
			 VMNET_INVALID_ARGUMENT);
}

static void assign_remove(const char *key)
{
	assert_int_equal(vmnet_assignment_remove(directory, key, NULL), VMNET_SUCCESS);
}

static void test_a_key_keeps_its_place(void **state)
{
	struct place first = run_once("ci-1", 0x11);

	(void)state;
	assert_int_equal(first.mask.s_addr, inet_addr("255.255.255.252"));
	assert_int_equal(ntohl(first.address.s_addr), ntohl(first.subnet.s_addr) + 2);
	assert_assigned("ci-1", &first);

	/* another one does not get it while the first is away, even with the same first candidate */
	struct place second = run_once("ci-2", 0x11);
	assert_int_not_equal(second.subnet.s_addr, first.subnet.s_addr);

	/* and the first comes back, though its MAC is another one now */
	struct place again = run_once("ci-1", 0x12);
	assert_same(&again, &first);
	assert_assigned("ci-1", &first);
	assert_assigned("ci-2", &second);
	assign_remove("ci-1");
	assign_remove("ci-2");
}

static void test_both_at_once(void **state)
{
	vmnet_network_ref one = create(keyed("one", 0x21));
	vmnet_network_ref two = create(keyed("two", 0x21));
	struct place at_one = place_of(one, 0x21);
	struct place at_two = place_of(two, 0x21);

	(void)state;
	assert_int_not_equal(at_one.subnet.s_addr, at_two.subnet.s_addr);
	/* visible while they run */
	assert_assigned("one", &at_one);
	assert_assigned("two", &at_two);
	vmnet_network_release(one);
	vmnet_network_release(two);
	assert_assigned("one", &at_one);
	assign_remove("one");
	assign_remove("two");
}

struct seen {
	size_t count;
	char keys[8][256];
};

static void see(void *context, const struct vmnet_assignment *assignment)
{
	struct seen *seen = context;

	assert_true(seen->count < ARRAY_COUNT(seen->keys));
	(void)snprintf(seen->keys[seen->count++], sizeof(seen->keys[0]), "%s", assignment->key);
	assert_int_not_equal(assignment->address.s_addr, 0);
}

static void test_visit_in_the_order_of_the_keys(void **state)
{
	static const char *const keys[] = { "b", "a", "c" };
	static const char *const sorted[] = { "a", "b", "c" };
	struct seen seen = {};

	(void)state;
	assert_int_equal(vmnet_assignment_visit(directory, see, &seen, NULL), VMNET_SUCCESS);
	assert_int_equal(seen.count, 0);
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		(void)run_once(keys[i], (uint8_t)(0x30 + i));
	assert_int_equal(vmnet_assignment_visit(directory, see, &seen, NULL), VMNET_SUCCESS);
	assert_int_equal(seen.count, ARRAY_COUNT(sorted));
	for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
		assert_string_equal(seen.keys[i], sorted[i]);
		assign_remove(sorted[i]);
	}
}

static void test_remove(void **state)
{
	struct place place = run_once("gone", 0x41);
	struct place after;

	(void)state;
	assert_assigned("gone", &place);
	assign_remove("gone");
	assert_unassigned("gone");
	assign_remove("gone"); /* what is not there may be removed */

	/* the place is free again: the same first candidate leads another key to it */
	after = run_once("next", 0x41);
	assert_same(&after, &place);
	assign_remove("next");
}

static void test_rename(void **state)
{
	struct place old = run_once("old", 0x51);
	struct place replaced = run_once("new", 0x52);
	struct vmnet_error error = { "" };
	struct place after;

	(void)state;
	assert_int_not_equal(old.subnet.s_addr, replaced.subnet.s_addr);
	assert_int_equal(vmnet_assignment_rename(directory, "old", "new", &error), VMNET_SUCCESS);
	assert_unassigned("old");
	assert_assigned("new", &old);
	after = run_once("new", 0x53);
	assert_same(&after, &old);

	/* a rename that fails, or changes nothing, costs nobody his place */
	assert_int_equal(vmnet_assignment_rename(directory, "old", "new", &error),
			 VMNET_INVALID_ARGUMENT);
	assert_int_not_equal(error.text[0], '\0');
	assert_assigned("new", &old);
	assert_int_equal(vmnet_assignment_rename(directory, "new", "new", &error), VMNET_SUCCESS);
	assert_assigned("new", &old);
	assign_remove("new");
}

static void assert_taken(const struct place *place, const char *sentence)
{
	vmnet_network_configuration_ref config = keyed("thief", 0x6f);
	vmnet_return_t status;

	assert_int_equal(
		vmnet_network_configuration_set_ipv4_subnet(config, &place->subnet, &place->mask),
		VMNET_SUCCESS);
	assert_null(vmnet_network_create(config, &status));
	assert_int_equal(status, VMNET_SHARING_SERVICE_BUSY);
	assert_non_null(strstr(vmnet_network_configuration_get_error(config), sentence));
	vmnet_network_configuration_release(config);
}

static void must_rename(const char *from, const char *to)
{
	struct vmnet_error error = { "" };
	vmnet_return_t status = vmnet_assignment_rename(directory, from, to, &error);

	assert_string_equal(error.text, "");
	assert_int_equal(status, VMNET_SUCCESS);
}

/* The network goes on under its new name, and nobody gets what is its. */
static void test_rename_while_it_runs(void **state)
{
	vmnet_network_ref network = create(keyed("old", 0x61));
	struct place place = place_of(network, 0x61);
	struct vmnet_error error = { "" };

	(void)state;
	must_rename("old", "new");
	assert_unassigned("old");
	assert_assigned("new", &place);
	assert_taken(&place, "is in use by VM \"new\"");

	/* another machine may have the old name, and each of the two keeps its own */
	vmnet_network_ref other = create(keyed("old", 0x61));
	struct place elsewhere = place_of(other, 0x61);
	assert_int_not_equal(elsewhere.subnet.s_addr, place.subnet.s_addr);
	assert_int_equal(vmnet_assignment_rename(directory, "old", "new", &error),
			 VMNET_SHARING_SERVICE_BUSY);
	assert_non_null(strstr(error.text, "\"old\" cannot be renamed to \"new\""));
	assert_assigned("old", &elsewhere);
	assert_assigned("new", &place);
	vmnet_network_release(other);
	vmnet_network_release(network);

	struct place again = run_once("new", 0x62);
	assert_same(&again, &place);
	assign_remove("old");
	assign_remove("new");
}

/* What people call it: the name that the key is, as it is cut for a label, or one of its own. */
static void test_rename_and_labels(void **state)
{
	static const struct {
		const char *from, *to, *label, *after;
	} cases[] = {
		{ " a ", "b", "a", "VM \"b\"" },
		{ "a", "\t b", "a", "VM \"b\"" },
		{ "a", "b", "build machine", "VM \"build machine\"" },
		{ "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz4567 and more",
		  "b",
		  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz4567",
		  "VM \"b\"" },
		{ "a",
		  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl, and on it goes",
		  "a", "VM \"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl\"" },
		{ "a", "   ", "a", "VM \"a\"" },
		/* Not cut between a letter and its accent. */
		{ "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijke\xcc\x81", "b",
		  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk", "VM \"b\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		vmnet_network_configuration_ref config = keyed(cases[i].from, 0x71);

		assert_int_equal(vmnet_network_configuration_set_label(config, cases[i].label),
				 VMNET_SUCCESS);
		vmnet_network_ref network = create(config);
		struct place place = place_of(network, 0x71);

		must_rename(cases[i].from, cases[i].to);
		assert_taken(&place, cases[i].after);
		vmnet_network_release(network);
		assign_remove(cases[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_keeps_its_place),
		cmocka_unit_test(test_both_at_once),
		cmocka_unit_test(test_visit_in_the_order_of_the_keys),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_while_it_runs),
		cmocka_unit_test(test_rename_and_labels),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
