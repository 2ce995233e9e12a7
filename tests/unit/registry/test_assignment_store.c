#include "registry/assignment_store.h"

#include "registry_rig.h"

#include <errno.h>

struct fixture {
	struct rig rig;
	struct assignment_store store;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	rig_init(&fixture->rig);
	assert_int_equal(assignment_store_open(&fixture->store, fixture->rig.state, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	assignment_store_rollback(&fixture->store);
	assignment_store_close(&fixture->store);
	rig_done(&fixture->rig);
	free(fixture);
	return 0;
}

static void put(struct assignment_store *store, const char *key, const char *subnet,
		const char *guest)
{
	struct ip_prefix prefix = prefix_of(subnet);
	struct ip_addr addr = addr_of(guest);

	assert_int_equal(assignment_store_begin(store, true, NULL), 0);
	assert_int_equal(assignment_store_put(store, key, &prefix, &addr, NULL), 0);
	assert_int_equal(assignment_store_commit(store, NULL), 0);
}

static void put_and_get(void **state)
{
	struct assignment_store *store = &((struct fixture *)*state)->store;
	struct registry_assignment assignment;

	put(store, "vm", "10.1.2.0/24", "10.1.2.9");
	put(store, "vm", "192.168.255.252/30", "192.168.255.254");
	put(store, "it's \"odd\" \xe2\x82\xac", "10.0.0.0/8", "10.255.255.254");
	assert_int_equal(assignment_store_begin(store, false, NULL), 0);
	assert_int_equal(assignment_store_get(store, "vm", &assignment, NULL), 1);
	assert_string_equal(assignment.key, "vm");
	assert_prefix(&assignment.subnet, "192.168.255.252/30");
	assert_addr(&assignment.guest, "192.168.255.254");
	assert_int_equal(
		assignment_store_get(store, "it's \"odd\" \xe2\x82\xac", &assignment, NULL), 1);
	assert_prefix(&assignment.subnet, "10.0.0.0/8");
	assert_int_equal(assignment_store_get(store, "VM", &assignment, NULL), 0);
}

static void find_other(void **state)
{
	struct assignment_store *store = &((struct fixture *)*state)->store;
	static const struct {
		const char *subnet;
		const char *key;
		const char *found;
	} rows[] = {
		{ "10.1.2.0/30", NULL, "small" },   { "10.1.2.0/30", "small", NULL },
		{ "10.1.2.0/30", "x", "small" },    { "10.1.2.4/30", NULL, NULL },
		{ "10.5.5.4/30", NULL, "large" },   { "10.5.5.4/30", "large", "inside" },
		{ "10.5.5.8/30", "large", NULL },   { "10.5.0.0/16", "large", "inside" },
		{ "10.0.0.0/8", "small", "large" }, { "11.0.0.0/8", NULL, NULL },
	};

	put(store, "small", "10.1.2.0/30", "10.1.2.2");
	put(store, "large", "10.5.5.0/24", "10.5.5.2");
	put(store, "inside", "10.5.5.4/30", "10.5.5.6"); /* assignments may overlap */
	assert_int_equal(assignment_store_begin(store, false, NULL), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_prefix prefix = prefix_of(rows[i].subnet);
		struct registry_assignment assignment;

		assert_int_equal(
			assignment_store_find_other(store, &prefix, rows[i].key, &assignment, NULL),
			rows[i].found != NULL);
		if (rows[i].found)
			assert_string_equal(assignment.key, rows[i].found);
	}
}

static void change_and_list(void **state)
{
	struct assignment_store *store = &((struct fixture *)*state)->store;
	struct registry_assignment *list = NULL;
	size_t count = 0;
	char key[16];
	char subnet[32];
	char guest[32];

	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof(key), "vm-%03u", 199 - i);
		(void)snprintf(subnet, sizeof(subnet), "10.1.%u.0/30", 199 - i);
		(void)snprintf(guest, sizeof(guest), "10.1.%u.2", 199 - i);
		put(store, key, subnet, guest);
	}
	assert_int_equal(assignment_store_begin(store, true, NULL), 0);
	assert_int_equal(assignment_store_remove(store, "vm-000", NULL), 0);
	assert_int_equal(assignment_store_rename(store, "vm-001", "zz", NULL), 0);
	assert_int_equal(assignment_store_list(store, &list, &count, NULL), 0);
	assert_int_equal(count, 199);
	assert_string_equal(list[0].key, "vm-002");
	assert_addr(&list[0].guest, "10.1.2.2");
	assert_string_equal(list[198].key, "zz");
	assert_prefix(&list[198].subnet, "10.1.1.0/30");
	free(list);
}

/* Rows that we would never write: somebody edited the file, or it is damaged. */
static void impossible_rows(void **state)
{
	struct assignment_store *store = &((struct fixture *)*state)->store;
	static const char *const rows[] = {
		"167772160, 33, 167772162",
		"167772160, -1, 167772162",
		"167772160, 31, 167772161",
		"167772161, 30, 167772163",
		"-4, 30, -2",
		"4294967296, 30, 4294967298",
		"167772160, 30, 167772161",
		"167772160, 30, 167772163",
		"167772160, 30, 0",
		"'text', 'text', 'text'",
		"167772160, 30, x'00'",
		"9223372036854775804, 30, 9223372036854775806",
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct registry_assignment assignment;
		struct registry_assignment *list = NULL;
		size_t count = 0;
		struct error err = { "" };
		char sql[160];

		(void)snprintf(sql, sizeof(sql),
			       "INSERT OR REPLACE INTO assignment VALUES('k', %s)", rows[i]);
		assert_int_equal(sqlite3_exec(store->database.connection, sql, NULL, NULL, NULL),
				 SQLITE_OK);
		assert_int_equal(assignment_store_begin(store, false, NULL), 0);
		assert_int_equal(assignment_store_get(store, "k", &assignment, &err), -EIO);
		assert_non_null(strstr(err.text, "assignments.db"));
		assert_int_equal(assignment_store_list(store, &list, &count, NULL), -EIO);
		assert_null(list);
		assignment_store_rollback(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_and_get, setup, teardown),
		cmocka_unit_test_setup_teardown(find_other, setup, teardown),
		cmocka_unit_test_setup_teardown(change_and_list, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_rows, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
