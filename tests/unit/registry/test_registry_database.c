#include "registry/registry_database.h"

#include "registry_rig.h"

#include <errno.h>
#include <time.h>

enum {
	STATEMENT_PUT,
	STATEMENT_GET,
	STATEMENT_ALL,
};

static const char *const statements[] = {
	[STATEMENT_PUT] = "INSERT INTO thing(name, number, bytes) VALUES(?1, ?2, ?3)",
	[STATEMENT_GET] = "SELECT number FROM thing WHERE name IS ?1 AND bytes = ?2",
	[STATEMENT_ALL] = "SELECT number FROM thing ORDER BY number",
};

static const struct registry_database_kind kind = {
	.application_id = 0x1234567,
	.version = 3,
	.journal_mode = "TRUNCATE",
	.schema = "CREATE TABLE thing(name TEXT, number INTEGER, bytes BLOB, UNIQUE(number))",
	.statements = statements,
	.statement_count = ARRAY_COUNT(statements),
};

static void path_in(const struct rig *rig, const char *name, char path[160])
{
	(void)snprintf(path, 160, "%s/%s", rig->folder, name);
}

static int put(struct registry_database *database, const char *name, int64_t number,
	       const void *bytes, int size, struct error *err)
{
	return registry_database_run(
		database,
		registry_database_ask(database, STATEMENT_PUT, "sib", name, number, bytes, size),
		err);
}

static int get(struct registry_database *database, const char *name, const void *bytes, int size,
	       int64_t *ret_number)
{
	return registry_database_number(
		database, registry_database_ask(database, STATEMENT_GET, "sb", name, bytes, size),
		ret_number, NULL);
}

static void round_trip(void **state)
{
	struct registry_database database;
	char path[160];
	int64_t number = 0;
	struct error err = { "" };

	path_in(*state, "round.db", path);
	assert_int_equal(registry_database_open(&database, &kind, path, NULL), 0);
	assert_int_equal(registry_database_begin(&database, true, NULL), 0);
	assert_int_equal(put(&database, "a", INT64_MAX, "\0x", 2, NULL), 0);
	assert_int_equal(put(&database, NULL, -5, "", 0, NULL), 0);
	assert_int_equal(registry_database_commit(&database, NULL), 0);

	assert_int_equal(registry_database_begin(&database, true, NULL), 0);
	assert_int_equal(put(&database, "gone", 7, "g", 1, NULL), 0);
	assert_int_equal(put(&database, "twice", 7, "g", 1, &err), -EIO);
	assert_non_null(strstr(err.text, path));
	registry_database_rollback(&database);
	registry_database_rollback(&database);
	registry_database_close(&database);
	registry_database_close(&database);

	assert_int_equal(registry_database_open(&database, &kind, path, NULL), 0);
	assert_int_equal(get(&database, "a", "\0x", 2, &number), 1);
	assert_true(number == INT64_MAX);
	assert_int_equal(get(&database, "a", "\0y", 2, &number), 0);
	assert_int_equal(get(&database, NULL, "", 0, &number), 1);
	assert_int_equal(number, -5);
	assert_int_equal(get(&database, "gone", "g", 1, &number), 0);
	registry_database_close(&database);
}

static void readers_only_read(void **state)
{
	struct registry_database database;
	struct registry_database reader;
	char path[160];
	struct error err = { "" };
	int64_t number = 0;

	path_in(*state, "read.db", path);
	assert_int_equal(registry_database_open(&database, &kind, path, NULL), 0);
	assert_int_equal(registry_database_open_reader(&reader, &kind, path, NULL), 0);
	assert_int_equal(put(&reader, "a", 1, "", 0, &err), -EACCES);
	assert_non_null(strstr(err.text, "cannot be opened for writing"));
	assert_int_equal(put(&database, "a", 1, "", 0, NULL), 0);
	assert_int_equal(get(&reader, "a", "", 0, &number), 1);
	assert_int_equal(number, 1);

	/* it does not wait: this journal keeps readers out while somebody commits */
	assert_int_equal(sqlite3_exec(database.connection, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(get(&reader, "a", "", 0, &number), -EBUSY);
	registry_database_rollback(&database);
	assert_int_equal(get(&reader, "a", "", 0, &number), 1);
	registry_database_close(&reader);
	registry_database_close(&database);
}

/* Fills a file, opens it as a registry file, and expects a sentence and the very same bytes. */
static void assert_left_alone(const char *path, const char *reason)
{
	struct registry_database database;
	struct error err = { "" };
	static char before[65536];
	static char after[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t before_size = read(fd, before, sizeof(before));

	(void)close(fd);
	assert_int_equal(registry_database_open(&database, &kind, path, &err), -EIO);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, reason));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t after_size = read(fd, after, sizeof(after));

	(void)close(fd);
	assert_true(before_size > 0);
	assert_int_equal(before_size, after_size);
	assert_memory_equal(before, after, (size_t)before_size);
}

static void write_file(const char *path, off_t at, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
	(void)close(fd);
}

static void make_good(const char *path, const struct registry_database_kind *of)
{
	struct registry_database database;

	assert_int_equal(registry_database_open(&database, of, path, NULL), 0);
	registry_database_close(&database);
}

static void execute(const char *path, const char *sql)
{
	sqlite3 *connection = NULL;

	assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
	assert_int_equal(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(connection), SQLITE_OK);
}

static void foreign_files(void **state)
{
	char path[160];
	struct registry_database_kind newer = kind;

	path_in(*state, "text.db", path);
	write_file(path, 0,
		   "This is a letter, and not a database at all. It is long enough to be "
		   "read as a header, which has one hundred bytes in it.");
	assert_left_alone(path, "not a registry file");

	path_in(*state, "other.db", path);
	execute(path, "CREATE TABLE bookmark(url TEXT)");
	assert_left_alone(path, "another program");

	path_in(*state, "id.db", path);
	execute(path, "PRAGMA application_id = 99");
	assert_left_alone(path, "another program");

	newer.version = kind.version + 1;
	path_in(*state, "newer.db", path);
	make_good(path, &newer);
	assert_left_alone(path, "use the newer version");

	newer.version = kind.version - 1;
	path_in(*state, "older.db", path);
	make_good(path, &newer);
	assert_left_alone(path, "too old");
}

static void damaged_files(void **state)
{
	char path[160];

	path_in(*state, "header.db", path);
	make_good(path, &kind);
	write_file(path, 3, "garbage");
	assert_left_alone(path, "damaged");

	path_in(*state, "schema.db", path);
	make_good(path, &kind);
	write_file(path, 100, "garbage in the page of the schema");
	assert_left_alone(path, "damaged");

	path_in(*state, "cut.db", path);
	make_good(path, &kind);
	assert_int_equal(truncate(path, 4096), 0);
	assert_left_alone(path, "damaged");

	path_in(*state, "tables.db", path);
	make_good(path, &kind);
	execute(path, "DROP TABLE thing");
	assert_left_alone(path, "damaged");
}

static void empty_file_is_filled(void **state)
{
	char path[160];

	path_in(*state, "empty.db", path);
	assert_int_equal(close(creat(path, 0600)), 0);
	make_good(path, &kind);
	make_good(path, &kind);
}

static void unusable_paths(void **state)
{
	struct registry_database database;
	struct error err = { "" };
	char path[160];

	path_in(*state, "no/such/folder.db", path);
	assert_int_equal(registry_database_open(&database, &kind, path, &err), -EACCES);
	assert_non_null(strstr(err.text, path));
	path_in(*state, "", path); /* a directory */
	assert_int_equal(registry_database_open(&database, &kind, path, &err), -EACCES);
}

/* A second writer waits for the first, for as long as the first needs and not much longer. */
static void writers_take_turns(void **state)
{
	struct registry_database database;
	char path[160];
	int ready[2];
	char byte = 0;

	path_in(*state, "turns.db", path);
	make_good(path, &kind);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	(void)fflush(NULL);
	pid_t pid = fork();

	if (pid == 0) {
		struct timespec pause = { .tv_nsec = 50000000 };

		if (registry_database_open(&database, &kind, path, NULL) < 0 ||
		    registry_database_begin(&database, true, NULL) < 0 ||
		    put(&database, "child", 1, "", 0, NULL) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		(void)nanosleep(&pause, NULL); /* a slow writer: the time is what is tested */
		_exit(registry_database_commit(&database, NULL) < 0);
	}
	assert_int_equal(registry_database_open(&database, &kind, path, NULL), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(registry_database_begin(&database, true, NULL), 0);
	int64_t number = 0;

	assert_int_equal(get(&database, "child", "", 0, &number), 1);
	registry_database_rollback(&database);
	registry_database_close(&database);
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* A writer that dies in its transaction leaves nothing of it, and nothing locked. */
static void killed_writer(void **state)
{
	struct registry_database_kind kinds[] = { kind, kind };

	kinds[1].journal_mode = "WAL";
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		struct registry_database database;
		char path[160];
		int64_t number;

		path_in(*state, kinds[i].journal_mode, path);
		make_good(path, &kinds[i]);
		(void)fflush(NULL);
		pid_t pid = fork();

		if (pid == 0) {
			if (registry_database_open(&database, &kinds[i], path, NULL) < 0 ||
			    registry_database_begin(&database, true, NULL) < 0 ||
			    put(&database, "lost", 1, "", 0, NULL) < 0)
				_exit(1);
			(void)raise(SIGKILL);
		}
		int status = 0;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(registry_database_open(&database, &kinds[i], path, NULL), 0);
		assert_int_equal(registry_database_begin(&database, true, NULL), 0);
		assert_int_equal(get(&database, "lost", "", 0, &number), 0);
		registry_database_rollback(&database);
		registry_database_close(&database);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(readers_only_read, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(foreign_files, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(damaged_files, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(empty_file_is_filled, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(unusable_paths, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(writers_take_turns, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(killed_writer, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
