#include "registry/holding_watch.h"

#include "registry_rig.h"

#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"

static int64_t owner_of_child(const struct rig *rig)
{
	DIR *list = opendir(rig->runtime);
	int64_t owner = 0;

	assert_non_null(list);
	for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
		if (strncmp(entry->d_name, "owner-", 6) == 0)
			owner = (int64_t)strtoull(entry->d_name + 6, NULL, 16);
	}
	(void)closedir(list);
	assert_true(owner != 0);
	return owner;
}

static int leave(struct registry_holding *holding)
{
	registry_leave(holding->registry);
	return 0;
}

static bool is_held(struct holding_watch *watch, const char *text, uint64_t now_ns)
{
	struct ip_addr addr = addr_of(text);
	struct held_answer answer;

	holding_watch_ask(watch, &addr, 0, now_ns, &answer);
	return answer.held;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Without a file of the records it holds on to what it has, and what it leaves another one removes. */
static void one_that_has_left(struct rig *rig, bool is_killed)
{
	struct registry_request request = wanting("ci-3", "10.1.2.0/30");
	struct rig_child child = rig_child_start(rig, &request, leave);
	struct holding_watch watch;
	struct error err = { "" };
	uint64_t now_ns = NS_PER_S;

	assert_int_equal(child.result, 0);
	int64_t owner = owner_of_child(rig);
	assert_int_equal(holding_watch_open(&watch, rig->runtime, NULL), 0);
	assert_true(is_held(&watch, "10.1.2.1", now_ns));
	assert_false(is_held(&watch, "10.1.2.5", now_ns));
	assert_int_equal(holding_watch_bury(&watch, owner, &err), -EBUSY);
	assert_string_equal(err.text, "the owner lives");
	assert_true(is_held(&watch, "10.1.2.1", now_ns += HELD_SNAPSHOT_MOST_NS));
	rig_open(rig);
	must_not_hold(rig->registry, &request, -EADDRINUSE,
		      "subnet 10.1.2.0/30 is in use by VM \"ci-3\"");

	rig_child_end(&child, is_killed);
	assert_int_equal(rig_owner_files(rig), 1); /* also after an orderly end */
	assert_int_equal(holding_watch_bury(&watch, owner, NULL), 0);
	assert_int_equal(rig_owner_files(rig), 0);
	assert_false(is_held(&watch, "10.1.2.1", now_ns += HELD_SNAPSHOT_MOST_NS));
	int64_t rows;
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_prepare_v2(watch.store.database.connection,
					    "SELECT count(*) FROM holding", -1, &statement, NULL),
			 SQLITE_OK);
	assert_int_equal(registry_database_number(&watch.store.database, statement, &rows, NULL),
			 1);
	(void)sqlite3_finalize(statement);
	assert_int_equal(rows, 0);
	/* twice does no harm, nor does one that never was */
	assert_int_equal(holding_watch_bury(&watch, owner, NULL), 0);
	assert_int_equal(holding_watch_bury(&watch, -1, NULL), 0);
	holding_watch_close(&watch);
	(void)registry_holding_release(must_hold(rig->registry, &request));
}

static void killed(void **state)
{
	one_that_has_left(*state, true);
}

static void ended(void **state)
{
	one_that_has_left(*state, false);
}

static void nothing_but_the_lock_is_open(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("ci-3", "10.1.2.0/30");

	unsigned before = open_descriptors();
	rig_open(rig);
	struct registry_holding *holding = must_hold(rig->registry, &request);
	assert_int_equal(holding->owner, owner_of_child(rig));
	assert_true(open_descriptors() > before + 1);
	registry_leave(rig->registry);
	assert_int_equal(open_descriptors(), before + 1);
	assert_null(registry_holding_release(holding));
	rig->registry = registry_close(rig->registry);
	assert_int_equal(open_descriptors(), before);
}

static void bad_directory(void **state)
{
	struct holding_watch watch;
	struct error err = { "" };

	(void)state;
	assert_int_equal(holding_watch_open(&watch, "/dev/null", &err), -EPERM);
	assert_non_null(strstr(err.text, "/dev/null"));
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(killed),
		RIG_TEST(ended),
		RIG_TEST(nothing_but_the_lock_is_open),
		RIG_TEST(bad_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
