#include "registry/assignment_store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/registry_owner.h"
#include "registry/subnet_pool.h"

#define ASSIGNMENT_COLUMNS "a.key, a.first, a.length, a.guest"

enum statement {
	STATEMENT_LENGTHS,
	STATEMENT_GET,
	STATEMENT_FIND_OTHER,
	STATEMENT_PUT,
	STATEMENT_REMOVE,
	STATEMENT_RENAME,
	STATEMENT_LIST,
	STATEMENT_COUNT,
};

static const char *const statements[] = {
	/* The lengths in use, one index look-up each. */
	[STATEMENT_LENGTHS] =
		"WITH RECURSIVE used(length) AS (SELECT min(length) FROM assignment UNION ALL "
		"SELECT (SELECT min(a.length) FROM assignment a WHERE a.length > used.length) "
		"FROM used WHERE used.length IS NOT NULL) "
		"SELECT length FROM used WHERE length IS NOT NULL",
	[STATEMENT_GET] = "SELECT " ASSIGNMENT_COLUMNS " FROM assignment a WHERE a.key = ?1",
	[STATEMENT_FIND_OTHER] = "SELECT " ASSIGNMENT_COLUMNS " FROM assignment a "
				 "WHERE a.length = ?1 AND a.first BETWEEN ?2 AND ?3 "
				 "AND a.key IS NOT ?4 LIMIT 1",
	[STATEMENT_PUT] = "INSERT OR REPLACE INTO assignment(key, first, length, guest) "
			  "VALUES(?1, ?2, ?3, ?4)",
	[STATEMENT_REMOVE] = "DELETE FROM assignment WHERE key = ?1",
	[STATEMENT_RENAME] = "UPDATE OR REPLACE assignment SET key = ?2 WHERE key = ?1",
	[STATEMENT_LIST] = "SELECT " ASSIGNMENT_COLUMNS " FROM assignment a ORDER BY a.key",
};
_Static_assert(ARRAY_COUNT(statements) == STATEMENT_COUNT, "one text for each statement");

static const struct registry_database_kind kind = {
	.application_id = 0x74726c61, /* "trla" */
	.version = 1,
	.journal_mode = "TRUNCATE",
	.schema = "CREATE TABLE assignment(key TEXT PRIMARY KEY NOT NULL, "
		  "first INTEGER NOT NULL, length INTEGER NOT NULL, guest INTEGER NOT NULL);"
		  "CREATE INDEX assignment_subnet ON assignment(length, first);",
	.statements = statements,
	.statement_count = STATEMENT_COUNT,
};

int assignment_store_open(struct assignment_store *store, const char *directory, struct error *err)
{
	char path[PATH_MAX];

	*store = (struct assignment_store){ .directory = NULL };
	int result = registry_directory_make(directory, &store->directory, err);

	if (result < 0)
		return result;
	int length = snprintf(path, sizeof(path), "%s/assignments.db", store->directory);

	if (length < 0 || (size_t)length >= sizeof(path)) {
		error_set(err, "directory %s: the path is too long", directory);
		result = -ENAMETOOLONG;
	} else {
		result = registry_database_open(&store->database, &kind, path, err);
	}
	if (result < 0) {
		free(store->directory);
		store->directory = NULL;
	}
	return result;
}

void assignment_store_close(struct assignment_store *store)
{
	registry_database_close(&store->database);
	free(store->directory);
	store->directory = NULL;
}

int assignment_store_begin(struct assignment_store *store, bool write, struct error *err)
{
	struct registry_database *database = &store->database;
	int result = registry_database_begin(database, write, err);

	if (result < 0)
		return result;
	store->lengths = 0;
	sqlite3_stmt *statement = registry_database_ask(database, STATEMENT_LENGTHS, "");

	while ((result = registry_database_step(database, statement, err)) == 1) {
		int64_t length = sqlite3_column_int64(statement, 0);

		if (length >= 0 && length <= 32)
			store->lengths |= UINT64_C(1) << length;
	}
	if (result < 0)
		registry_database_rollback(database);
	return result;
}

int assignment_store_commit(struct assignment_store *store, struct error *err)
{
	return registry_database_commit(&store->database, err);
}

void assignment_store_rollback(struct assignment_store *store)
{
	registry_database_rollback(&store->database);
}

/* Takes the row out of the statement's columns. Rows that we would not have written (the file may
 * have been edited) are an error: they would misguide arithmetic further on. */
static int read_row(const struct assignment_store *store, sqlite3_stmt *statement,
		    struct registry_assignment *ret_assignment, struct error *err)
{
	const char *key = (const char *)sqlite3_column_text(statement, 0);
	int64_t first = sqlite3_column_int64(statement, 1);
	int64_t length = sqlite3_column_int64(statement, 2);
	int64_t guest = sqlite3_column_int64(statement, 3);
	bool is_good = key && strlen(key) < REGISTRY_KEY_SIZE && length >= 8 && length <= 30 &&
		       first >= 0 && first <= UINT32_MAX && guest > first + 1 &&
		       guest < first + (INT64_C(1) << (32 - length)) - 1 &&
		       (first & ((INT64_C(1) << (32 - length)) - 1)) == 0;

	if (!is_good) {
		error_set(err,
			  "%s: the assignment of \"%.64s\" makes no sense (the file is "
			  "damaged). It was left as it is",
			  store->database.path, key ? key : "");
		return -EIO;
	}
	*ret_assignment = (struct registry_assignment){
		.subnet = { .addr = ip_addr_from_v4((uint32_t)first), .length = (uint8_t)length },
		.guest = ip_addr_from_v4((uint32_t)guest),
	};
	memcpy(ret_assignment->key, key, strlen(key) + 1);
	return 0;
}

static int find_one(struct assignment_store *store, sqlite3_stmt *statement,
		    struct registry_assignment *ret_assignment, struct error *err)
{
	int result = registry_database_step(&store->database, statement, err);

	if (result <= 0)
		return result;
	result = read_row(store, statement, ret_assignment, err);
	(void)sqlite3_reset(statement); /* it gave a row: no error to repeat */
	return result < 0 ? result : 1;
}

int assignment_store_get(struct assignment_store *store, const char *key,
			 struct registry_assignment *ret_assignment, struct error *err)
{
	return find_one(store, registry_database_ask(&store->database, STATEMENT_GET, "s", key),
			ret_assignment, err);
}

int assignment_store_find_other(struct assignment_store *store, const struct ip_prefix *prefix,
				const char *key, struct registry_assignment *ret_assignment,
				struct error *err)
{
	for (uint8_t length = 0; length <= 32; length++) {
		uint32_t low;
		uint32_t high;

		if (!(store->lengths & (UINT64_C(1) << length)))
			continue;
		subnet_overlap_bounds(prefix, length, &low, &high);
		sqlite3_stmt *statement =
			registry_database_ask(&store->database, STATEMENT_FIND_OTHER, "iiis",
					      (int64_t)length, (int64_t)low, (int64_t)high, key);
		int result = find_one(store, statement, ret_assignment, err);

		if (result != 0)
			return result;
	}
	return 0;
}

int assignment_store_put(struct assignment_store *store, const char *key,
			 const struct ip_prefix *subnet, const struct ip_addr *guest,
			 struct error *err)
{
	sqlite3_stmt *statement = registry_database_ask(
		&store->database, STATEMENT_PUT, "siii", key, (int64_t)ip_prefix_first_v4(subnet),
		(int64_t)subnet->length, (int64_t)ip_addr_to_v4(guest));

	return registry_database_run(&store->database, statement, err);
}

int assignment_store_remove(struct assignment_store *store, const char *key, struct error *err)
{
	struct registry_database *database = &store->database;

	return registry_database_run(
		database, registry_database_ask(database, STATEMENT_REMOVE, "s", key), err);
}

int assignment_store_rename(struct assignment_store *store, const char *from, const char *to,
			    struct error *err)
{
	struct registry_database *database = &store->database;

	return registry_database_run(
		database, registry_database_ask(database, STATEMENT_RENAME, "ss", from, to), err);
}

int assignment_store_list(struct assignment_store *store,
			  struct registry_assignment **ret_assignments, size_t *ret_count,
			  struct error *err)
{
	struct registry_assignment *assignments = NULL;
	size_t count = 0;
	size_t room = 0;
	int result;
	sqlite3_stmt *statement = registry_database_ask(&store->database, STATEMENT_LIST, "");

	while ((result = registry_database_step(&store->database, statement, err)) == 1) {
		if (count == room) {
			room = room ? room * 2 : 64;
			struct registry_assignment *more =
				reallocarray(assignments, room, sizeof(*assignments));

			if (!more) {
				error_set(err, "out of memory");
				result = -ENOMEM;
				break;
			}
			assignments = more;
		}
		result = read_row(store, statement, &assignments[count], err);
		if (result < 0)
			break;
		count++;
	}
	if (result < 0) {
		(void)sqlite3_reset(statement); /* may have stopped in the middle */
		free(assignments);
		return result;
	}
	*ret_assignments = assignments;
	*ret_count = count;
	return 0;
}
