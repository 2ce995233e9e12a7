#include "registry/holding_store.h"

#include "registry_rig.h"

#include <netinet/in.h>

#include "base/fd.h"

struct fixture {
	struct rig rig;
	struct holding_store store;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	rig_init(&fixture->rig);
	assert_int_equal(holding_store_open(&fixture->store, fixture->rig.runtime, NULL), 0);
	assert_int_equal(holding_store_begin(&fixture->store, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	holding_store_rollback(&fixture->store);
	holding_store_close(&fixture->store);
	rig_done(&fixture->rig);
	free(fixture);
	return 0;
}

/* Each change begins a new transaction, as the registry does. */
static int64_t insert(struct holding_store *store, const char *subnet, const char *label,
		      const char *state, const char *key)
{
	struct ip_prefix prefix = prefix_of(subnet);
	struct ip_addr guest = ip_addr_from_v4(ip_prefix_first_v4(&prefix) + 2);
	int64_t id = 0;

	assert_int_equal(holding_store_insert(store, &prefix, &guest, label, state, key, &id, NULL),
			 0);
	assert_int_equal(holding_store_commit(store, NULL), 0);
	assert_int_equal(holding_store_begin(store, NULL), 0);
	return id;
}

static const char *find(struct holding_store *store, const char *subnet)
{
	static struct holding_row row;
	struct ip_prefix prefix = prefix_of(subnet);
	int result = holding_store_find(store, &prefix, &row, NULL);

	assert_true(result >= 0);
	return result == 1 ? row.label : "-";
}

static void overlaps(void **state)
{
	struct holding_store *store = &((struct fixture *)*state)->store;
	static const struct {
		const char *subnet;
		const char *holder;
	} rows[] = {
		{ "10.1.2.0/30", "small" },   { "10.1.2.4/30", "-" },
		{ "10.1.2.0/24", "small" },   { "10.1.0.0/16", "small" },
		{ "10.1.1.252/30", "-" },     { "10.9.0.0/24", "large" },
		{ "10.9.0.252/30", "large" }, { "10.9.1.0/30", "-" },
		{ "10.8.255.252/30", "-" },   { "10.0.0.0/9", "large" },
		{ "192.168.7.0/24", "-" },    { "192.168.9.4/30", "-" },
		{ "10.200.3.0/24", "huge" },  { "10.128.0.0/9", "huge" },
		{ "10.192.0.0/10", "huge" },  { "10.128.0.0/10", "-" },
		{ "172.16.0.0/12", "-" },     { "10.255.255.252/30", "huge" },
	};

	assert_string_equal(find(store, "10.0.0.0/8"), "-");
	(void)insert(store, "10.1.2.0/30", "small", "s", NULL);
	(void)insert(store, "10.9.0.0/24", "large", "s", NULL);
	(void)insert(store, "10.192.0.0/10", "huge", "s", NULL);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_string_equal(find(store, rows[i].subnet), rows[i].holder);
}

static void remove_row(void **state)
{
	struct holding_store *store = &((struct fixture *)*state)->store;
	struct ip_endpoint at = endpoint_of("0.0.0.0", 22);
	struct holding_row row;
	int64_t id = insert(store, "10.1.2.0/30", "a", "s", NULL);

	assert_int_equal(holding_store_add_port(store, id, IPPROTO_TCP, &at, NULL), 0);
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &at, &row, NULL), 1);
	assert_int_equal(holding_store_remove(store, id, NULL), 0);
	assert_string_equal(find(store, "10.1.2.0/30"), "-");
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &at, &row, NULL), 0);
	assert_int_equal(holding_store_remove(store, id, NULL), 0);
}

static void keys(void **state)
{
	struct holding_store *store = &((struct fixture *)*state)->store;
	struct holding_row row;

	(void)insert(store, "10.1.2.0/30", "a", "/one", "vm");
	(void)insert(store, "10.1.2.4/30", "b", "/two", "vm");
	(void)insert(store, "10.1.2.8/30", "c", "/one", NULL);
	assert_int_equal(holding_store_find_key(store, "/one", "vm", &row, NULL), 1);
	assert_string_equal(row.label, "a");
	assert_addr(&row.guest, "10.1.2.2");
	assert_int_equal(holding_store_find_key(store, "/two", "vm", &row, NULL), 1);
	assert_string_equal(row.label, "b");
	assert_int_equal(holding_store_find_key(store, "/three", "vm", &row, NULL), 0);
	assert_int_equal(holding_store_find_key(store, "/one", "other", &row, NULL), 0);
}

static void ports(void **state)
{
	struct holding_store *store = &((struct fixture *)*state)->store;
	static const struct {
		uint8_t protocol;
		const char *addr;
		uint16_t port;
		bool is_found;
	} rows[] = {
		{ IPPROTO_TCP, "127.0.0.1", 2222, true },
		{ IPPROTO_TCP, "0.0.0.0", 2222, true },
		{ IPPROTO_TCP, "127.0.0.2", 2222, false },
		{ IPPROTO_TCP, "127.0.0.1", 2223, false },
		{ IPPROTO_UDP, "127.0.0.1", 2222, false },
		{ IPPROTO_TCP, "::", 2222, false },
		{ IPPROTO_UDP, "10.0.0.1", 53, true },
		{ IPPROTO_UDP, "0.0.0.0", 53, true },
		{ IPPROTO_UDP, "::1", 53, false },
		{ IPPROTO_TCP, "::1", 80, true },
		{ IPPROTO_TCP, "::", 80, true },
		{ IPPROTO_TCP, "127.0.0.1", 80, false },
	};
	struct ip_endpoint specific = endpoint_of("127.0.0.1", 2222);
	struct ip_endpoint wildcard = endpoint_of("0.0.0.0", 53);
	struct ip_endpoint six = endpoint_of("::", 80);
	struct holding_row row;
	int64_t id = insert(store, "10.1.2.0/30", "a", "s", NULL);

	assert_int_equal(holding_store_add_port(store, id, IPPROTO_TCP, &specific, NULL), 0);
	assert_int_equal(holding_store_add_port(store, id, IPPROTO_TCP, &specific, NULL), 0);
	assert_int_equal(holding_store_add_port(store, id, IPPROTO_UDP, &wildcard, NULL), 0);
	assert_int_equal(holding_store_add_port(store, id, IPPROTO_TCP, &six, NULL), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_endpoint at = endpoint_of(rows[i].addr, rows[i].port);

		assert_int_equal(holding_store_find_port(store, rows[i].protocol, &at, &row, NULL),
				 rows[i].is_found);
	}
	assert_int_equal(holding_store_remove_port(store, id, IPPROTO_TCP, &specific, NULL), 0);
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &specific, &row, NULL), 0);
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &six, &row, NULL), 1);
}

/* What a dead owner left, in many rows, goes at the first meeting; a living one's stays. */
static void dead_owner(void **state)
{
	struct fixture *fixture = *state;
	struct holding_store *store = &fixture->store;
	struct holding_store other;
	struct ip_endpoint at = endpoint_of("0.0.0.0", 22);
	struct holding_row row;

	holding_store_rollback(store);
	assert_int_equal(holding_store_open(&other, fixture->rig.runtime, NULL), 0);
	assert_int_equal(holding_store_begin(&other, NULL), 0);
	int64_t id = insert(&other, "10.1.2.0/30", "dead", "s", "k");

	(void)insert(&other, "10.1.2.4/30", "dead", "s", NULL);
	assert_int_equal(holding_store_add_port(&other, id, IPPROTO_TCP, &at, NULL), 0);
	assert_int_equal(holding_store_commit(&other, NULL), 0);

	assert_int_equal(holding_store_begin(store, NULL), 0);
	assert_string_equal(find(store, "10.1.2.0/30"), "dead");
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &at, &row, NULL), 1);
	assert_int_equal(holding_store_find_key(store, "s", "k", &row, NULL), 1);
	/* As the kernel does at the owner's death. */
	other.lock_fd = fd_close(other.lock_fd);
	assert_int_equal(rig_owner_files(&fixture->rig), 1);
	assert_int_equal(holding_store_find_port(store, IPPROTO_TCP, &at, &row, NULL), 0);
	assert_int_equal(rig_owner_files(&fixture->rig), 0);
	assert_int_equal(holding_store_find_key(store, "s", "k", &row, NULL), 0);
	assert_string_equal(find(store, "10.0.0.0/8"), "-");
	assert_int_equal(holding_store_commit(store, NULL), 0);
	holding_store_close(&other);
}

static void long_label(void **state)
{
	struct holding_store *store = &((struct fixture *)*state)->store;
	char label[REGISTRY_LABEL_SIZE + 10];

	memset(label, 'a', sizeof(label));
	(void)snprintf(label + REGISTRY_LABEL_SIZE - 2, 12,
		       "\xc3\xa9zzz"); /* e acute over the end */
	(void)insert(store, "10.1.2.0/30", label, "s", NULL);
	label[REGISTRY_LABEL_SIZE - 2] = '\0';
	assert_string_equal(find(store, "10.1.2.0/30"), label);
	(void)insert(store, "10.1.2.4/30", NULL, "s", NULL);
	assert_string_equal(find(store, "10.1.2.4/30"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(overlaps, setup, teardown),
		cmocka_unit_test_setup_teardown(remove_row, setup, teardown),
		cmocka_unit_test_setup_teardown(keys, setup, teardown),
		cmocka_unit_test_setup_teardown(ports, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(long_label, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
