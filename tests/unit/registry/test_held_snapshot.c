#include "registry/held_snapshot.h"

#include "registry_rig.h"

#include "base/fd.h"
#include "registry/holding_store.h"

#define START_NS (100 * NS_PER_S)

struct fixture {
	struct rig rig;
	struct holding_store store; /* of whoever asks */
	struct holding_store other; /* of another process, as far as anybody can see */
	struct held_snapshot snapshot;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	rig_init(&fixture->rig);
	assert_int_equal(holding_store_open(&fixture->store, fixture->rig.runtime, NULL), 0);
	assert_int_equal(holding_store_open(&fixture->other, fixture->rig.runtime, NULL), 0);
	assert_int_equal(held_snapshot_open(&fixture->snapshot, fixture->store.database.path,
					    fixture->store.directory_fd, NULL),
			 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	held_snapshot_close(&fixture->snapshot);
	holding_store_close(&fixture->other);
	holding_store_close(&fixture->store);
	rig_done(&fixture->rig);
	free(fixture);
	return 0;
}

static int64_t take(struct holding_store *store, const char *subnet)
{
	struct ip_prefix prefix = prefix_of(subnet);
	struct ip_addr guest = ip_addr_from_v4(ip_prefix_first_v4(&prefix) + 2);
	int64_t id = 0;

	assert_int_equal(holding_store_begin(store, NULL), 0);
	assert_int_equal(holding_store_insert(store, &prefix, &guest, "x", "s", NULL, &id, NULL),
			 0);
	assert_int_equal(holding_store_commit(store, NULL), 0);
	return id;
}

static void give(struct holding_store *store, int64_t id)
{
	assert_int_equal(holding_store_begin(store, NULL), 0);
	assert_int_equal(holding_store_remove(store, id, NULL), 0);
	assert_int_equal(holding_store_commit(store, NULL), 0);
}

/* As the kernel does at the owner's death. */
static void die(struct holding_store *store)
{
	store->lock_fd = fd_close(store->lock_fd);
}

static void execute(struct holding_store *store, const char *sql)
{
	assert_int_equal(sqlite3_exec(store->database.connection, sql, NULL, NULL, NULL),
			 SQLITE_OK);
}

/* Seen by the holder of row `mine` (0 = by one who holds nothing). */
static bool find_as(struct fixture *fixture, int64_t mine, const char *text, uint64_t now_ns)
{
	struct ip_addr addr = addr_of(text);

	return held_snapshot_find(&fixture->snapshot, &addr, mine, now_ns);
}

static bool find(struct fixture *fixture, const char *text, uint64_t now_ns)
{
	return find_as(fixture, 0, text, now_ns);
}

static void bounds(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *addr;
		bool is_held;
	} rows[] = {
		{ "0.0.0.0", false },	    { "9.255.255.255", false },
		{ "10.0.0.0", true },	    { "10.0.0.3", true },
		{ "10.0.0.4", false },	    { "10.1.1.255", false },
		{ "10.1.2.0", true },	    { "10.1.2.255", true },
		{ "10.1.3.0", false },	    { "10.127.255.255", false },
		{ "10.128.0.0", true },	    { "10.200.1.1", true },
		{ "10.255.255.255", true }, { "11.0.0.0", false },
		{ "192.168.7.251", false }, { "192.168.7.252", true },
		{ "192.168.7.255", true },  { "255.255.255.255", false },
	};
	uint64_t now_ns = START_NS;

	assert_false(find(fixture, "10.0.0.1", now_ns));
	(void)take(&fixture->other, "192.168.7.252/30");
	(void)take(&fixture->other, "10.0.0.0/30");
	(void)take(&fixture->other, "10.128.0.0/9");
	int64_t mine = take(&fixture->store, "10.1.2.0/24");

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		now_ns += HELD_SNAPSHOT_LEAST_NS;
		assert_int_equal(find(fixture, rows[i].addr, now_ns), rows[i].is_held);
	}
	assert_false(find_as(fixture, mine, "10.1.2.7", now_ns));
	assert_true(find_as(fixture, mine, "10.0.0.2", now_ns));
}

/* What another process takes is refused 10 ms later; until then it may be unknown. */
static void taken_by_another(void **state)
{
	struct fixture *fixture = *state;

	assert_false(find(fixture, "10.1.2.1", START_NS));
	(void)take(&fixture->other, "10.1.2.0/30");
	assert_false(find(fixture, "10.1.2.1", START_NS + HELD_SNAPSHOT_LEAST_NS - 1));
	assert_true(find(fixture, "10.1.2.1", START_NS + HELD_SNAPSHOT_LEAST_NS));
	/* as soon as it is known it is known to all questions */
	assert_true(find(fixture, "10.1.2.2", START_NS + HELD_SNAPSHOT_LEAST_NS));

	/* the very first question is answered from the table */
	struct held_snapshot fresh;

	assert_int_equal(held_snapshot_open(&fresh, fixture->store.database.path,
					    fixture->store.directory_fd, NULL),
			 0);
	struct ip_addr addr = addr_of("10.1.2.1");

	assert_true(held_snapshot_find(&fresh, &addr, 0, 0));
	held_snapshot_close(&fresh);
}

static void given_back(void **state)
{
	struct fixture *fixture = *state;
	int64_t id = take(&fixture->other, "10.1.2.0/30");

	assert_true(find(fixture, "10.1.2.1", START_NS));
	give(&fixture->other, id);
	assert_true(find(fixture, "10.1.2.1", START_NS + HELD_SNAPSHOT_MOST_NS - 1));
	assert_false(find(fixture, "10.1.2.1", START_NS + HELD_SNAPSHOT_MOST_NS));
}

/* A dead owner's subnet is nobody's, and the next one who takes it is known as soon as any. */
static void killed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t dead_ns = START_NS + HELD_SNAPSHOT_MOST_NS;

	(void)take(&fixture->other, "10.1.2.0/30");
	assert_true(find(fixture, "10.1.2.1", START_NS));
	die(&fixture->other);
	assert_true(find(fixture, "10.1.2.1", dead_ns - 1));
	assert_false(find(fixture, "10.1.2.1", dead_ns));
	assert_false(find(fixture, "10.1.2.1", dead_ns + 1));

	struct ip_prefix prefix = prefix_of("10.1.2.0/30");
	struct holding_row row;

	assert_int_equal(holding_store_begin(&fixture->store, NULL), 0);
	assert_int_equal(holding_store_find(&fixture->store, &prefix, &row, NULL), 0);
	assert_int_equal(holding_store_commit(&fixture->store, NULL), 0);
	(void)take(&fixture->store, "10.1.2.0/30");
	assert_true(find(fixture, "10.1.2.1", dead_ns + 1 + HELD_SNAPSHOT_LEAST_NS));
}

/* Who hits many subnets at once does not make us ask for as many signs of life. */
static void signs_of_life(void **state)
{
	struct fixture *fixture = *state;

	(void)take(&fixture->other, "10.1.2.0/30");
	(void)take(&fixture->other, "10.1.2.4/30");
	(void)take(&fixture->other, "10.1.2.8/30");
	die(&fixture->other);
	assert_false(find(fixture, "10.1.2.1", START_NS));
	assert_true(find(fixture, "10.1.2.5", START_NS));
	assert_true(find(fixture, "10.1.2.5", START_NS + HELD_SNAPSHOT_JUDGE_NS - 1));
	assert_false(find(fixture, "10.1.2.5", START_NS + HELD_SNAPSHOT_JUDGE_NS));
	assert_true(find(fixture, "10.1.2.9", START_NS + HELD_SNAPSHOT_JUDGE_NS));
	assert_false(find(fixture, "10.1.2.9", START_NS + 2 * HELD_SNAPSHOT_JUDGE_NS));
	assert_false(find(fixture, "10.1.2.1", START_NS + 2 * HELD_SNAPSHOT_JUDGE_NS));
}

/* `count` /30s from 10.0.0.0 on, all of `other`. */
static void take_many(struct fixture *fixture, unsigned count)
{
	char sql[320];

	(void)snprintf(sql, sizeof(sql),
		       "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
		       "WHERE i < %u - 1) INSERT INTO holding(owner, first, length, guest, label) "
		       "SELECT %lld, 167772160 + 4 * i, 30, 167772162 + 4 * i, 'many' FROM n",
		       count, (long long)fixture->other.owner);
	execute(&fixture->other, sql);
}

/* The more there is to read, the rarer: 20 us a row, 1 s at the most. */
static void many_rows(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		unsigned count;
		uint64_t validity_ns;
	} rows[] = {
		{ 500, HELD_SNAPSHOT_LEAST_NS },
		{ 1000, 20 * NS_PER_MS },
		{ 10000, 200 * NS_PER_MS },
		{ 60000, NS_PER_S },
	};
	uint64_t now_ns = START_NS;
	int64_t id = take(&fixture->other, "192.168.7.0/30");

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		execute(&fixture->other, "DELETE FROM holding");
		take_many(fixture, rows[i].count);
		now_ns += 2 * HELD_SNAPSHOT_MOST_NS;
		assert_false(find(fixture, "192.168.7.1", now_ns));
		assert_true(find(fixture, "10.0.0.0", now_ns));
		assert_true(find(fixture, "10.0.7.207", now_ns)); /* the last of 500 */
		id = take(&fixture->other, "192.168.7.0/30");
		now_ns += rows[i].validity_ns;
		assert_false(find(fixture, "192.168.7.1", now_ns - 1));
		assert_true(find(fixture, "192.168.7.1", now_ns));
	}
	give(&fixture->other, id);
}

static void more_rows_than_are_looked_at(void **state)
{
	struct fixture *fixture = *state;
	struct ip_addr last = ip_addr_from_v4(0x0a000000 + 4 * (HELD_SNAPSHOT_ROWS_MOST - 1));
	struct ip_addr beyond = ip_addr_from_v4(0x0a000000 + 4 * HELD_SNAPSHOT_ROWS_MOST);

	give(&fixture->other, take(&fixture->other, "192.168.7.0/30"));
	take_many(fixture, HELD_SNAPSHOT_ROWS_MOST + 1);
	assert_true(held_snapshot_find(&fixture->snapshot, &last, 0, START_NS));
	assert_false(held_snapshot_find(&fixture->snapshot, &beyond, 0, START_NS));
}

/* What was known stays known while the table cannot be read, and the table is found again. */
static void unreadable(void **state)
{
	struct fixture *fixture = *state;
	uint64_t now_ns = START_NS;

	(void)take(&fixture->other, "10.1.2.0/30");
	assert_true(find(fixture, "10.1.2.1", now_ns));
	execute(&fixture->other, "ALTER TABLE holding RENAME TO away");
	now_ns += HELD_SNAPSHOT_MOST_NS;
	assert_true(find(fixture, "10.1.2.1", now_ns));
	assert_false(find(fixture, "10.1.2.5", now_ns));
	execute(&fixture->other, "ALTER TABLE away RENAME TO holding");
	(void)take(&fixture->other, "10.1.2.4/30");
	now_ns += HELD_SNAPSHOT_LEAST_NS;
	assert_true(find(fixture, "10.1.2.5", now_ns));
}

/* Rows that we would never write: somebody edited the file, or it is damaged. */
static void impossible_rows(void **state)
{
	struct fixture *fixture = *state;
	uint64_t now_ns = START_NS;

	(void)take(&fixture->other, "10.1.2.0/30");
	execute(&fixture->other,
		"INSERT INTO holding(owner, first, length, guest, label) VALUES"
		"(1, -1, 30, 0, 'a'), (1, 4294967296, 30, 0, 'b'), (1, 167772160, 33, 0, 'c'),"
		"(1, 167772160, 0, 0, 'd'), (1, 167772160, -1, 0, 'e'), (1, 'x', 'y', 0, 'f'),"
		"(-1, 3232235520, 16, 0, 'g'), (1, 4294967295, 32, 0, 'h')");
	assert_true(find(fixture, "10.1.2.3", now_ns));
	static const char *const others[] = { "10.0.0.1", "0.0.0.0", "255.255.255.254",
					      "255.255.255.255", "192.168.1.1" };

	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		assert_false(find(fixture, others[i], now_ns += HELD_SNAPSHOT_JUDGE_NS));
	assert_true(find(fixture, "10.1.2.3", now_ns));
}

static void no_file(void **state)
{
	struct fixture *fixture = *state;
	struct held_snapshot snapshot;
	struct error err = { "" };
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/none.db", fixture->rig.runtime);
	assert_true(held_snapshot_open(&snapshot, path, fixture->store.directory_fd, &err) < 0);
	assert_non_null(strstr(err.text, path));
	held_snapshot_close(&snapshot);
}

static struct held_answer ask(struct fixture *fixture, int64_t mine, const char *text,
			      uint64_t now_ns)
{
	struct ip_addr addr = addr_of(text);
	struct held_answer answer;

	held_snapshot_ask(&fixture->snapshot, &addr, mine, now_ns, &answer);
	return answer;
}

static void assert_answer(struct held_answer answer, bool held, const char *first, const char *last,
			  uint64_t for_ns)
{
	struct ip_addr first_addr = addr_of(first);
	struct ip_addr last_addr = addr_of(last);

	assert_int_equal(answer.held, held);
	assert_int_equal(answer.first, ip_addr_to_v4(&first_addr));
	assert_int_equal(answer.last, ip_addr_to_v4(&last_addr));
	assert_int_equal(answer.for_ns, for_ns);
}

/* Whoever remembers an answer believes it no longer than we would. */
static void ranges(void **state)
{
	struct fixture *fixture = *state;
	uint64_t now_ns = START_NS;

	assert_answer(ask(fixture, 0, "10.0.0.1", now_ns), false, "0.0.0.0", "255.255.255.255",
		      HELD_SNAPSHOT_LEAST_NS);
	int64_t mine = take(&fixture->store, "10.1.2.0/24");
	(void)take(&fixture->other, "10.0.0.0/30");
	(void)take(&fixture->other, "255.255.255.252/30");
	now_ns += HELD_SNAPSHOT_LEAST_NS;
	assert_answer(ask(fixture, mine, "9.9.9.9", now_ns), false, "0.0.0.0", "9.255.255.255",
		      HELD_SNAPSHOT_LEAST_NS);
	assert_answer(ask(fixture, mine, "10.0.0.4", now_ns + 1), false, "10.0.0.4", "10.1.1.255",
		      HELD_SNAPSHOT_LEAST_NS - 1);
	assert_answer(ask(fixture, mine, "10.1.2.9", now_ns), false, "10.1.2.0", "10.1.2.255",
		      HELD_SNAPSHOT_LEAST_NS);
	assert_answer(ask(fixture, mine, "200.0.0.1", now_ns), false, "10.1.3.0", "255.255.255.251",
		      HELD_SNAPSHOT_LEAST_NS);
	assert_answer(ask(fixture, mine, "10.0.0.3", now_ns), true, "10.0.0.0", "10.0.0.3",
		      HELD_SNAPSHOT_MOST_NS);
	/* that its owner lives was not asked: another's life was, just now */
	assert_answer(ask(fixture, mine, "255.255.255.255", now_ns), true, "255.255.255.252",
		      "255.255.255.255", HELD_SNAPSHOT_JUDGE_NS);
	assert_answer(ask(fixture, mine, "10.0.0.0", now_ns + 300), true, "10.0.0.0", "10.0.0.3",
		      HELD_SNAPSHOT_MOST_NS - 300);

	/* a dead owner's subnet is nobody's */
	die(&fixture->other);
	now_ns += HELD_SNAPSHOT_MOST_NS;
	assert_answer(ask(fixture, mine, "10.0.0.0", now_ns), false, "10.0.0.0", "10.0.0.3",
		      HELD_SNAPSHOT_LEAST_NS);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(bounds),
		FIXTURE_TEST(taken_by_another),
		FIXTURE_TEST(given_back),
		FIXTURE_TEST(killed),
		FIXTURE_TEST(signs_of_life),
		FIXTURE_TEST(many_rows),
		FIXTURE_TEST(more_rows_than_are_looked_at),
		FIXTURE_TEST(unreadable),
		FIXTURE_TEST(impossible_rows),
		FIXTURE_TEST(no_file),
		FIXTURE_TEST(ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
