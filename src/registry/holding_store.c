#include "registry/holding_store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "registry/registry_owner.h"
#include "registry/subnet_pool.h"

/* Live owners that a new owner looks at in its search for dead ones: some cleaning by each, whatever
 * the number of virtual machines on the host. */
#define SWEEP_LIVE_MOST 128

#define HOLDING_COLUMNS "h.id, h.owner, h.first, h.length, h.guest, h.label"

enum statement {
	STATEMENT_LENGTHS,
	STATEMENT_FIND,
	STATEMENT_FIND_KEY,
	STATEMENT_FIND_PORT,
	STATEMENT_INSERT,
	STATEMENT_RENAME,
	STATEMENT_REMOVE,
	STATEMENT_REMOVE_PORTS,
	STATEMENT_REMOVE_OWNER,
	STATEMENT_REMOVE_OWNER_PORTS,
	STATEMENT_ADD_PORT,
	STATEMENT_REMOVE_PORT,
	STATEMENT_COUNT,
};

static const char *const statements[] = {
	/* The lengths in use, one index look-up each. */
	[STATEMENT_LENGTHS] =
		"WITH RECURSIVE used(length) AS (SELECT min(length) FROM holding UNION ALL "
		"SELECT (SELECT min(h.length) FROM holding h WHERE h.length > used.length) "
		"FROM used WHERE used.length IS NOT NULL) "
		"SELECT length FROM used WHERE length IS NOT NULL",
	[STATEMENT_FIND] = "SELECT " HOLDING_COLUMNS " FROM holding h "
			   "WHERE h.length = ?1 AND h.first BETWEEN ?2 AND ?3 LIMIT 1",
	[STATEMENT_FIND_KEY] = "SELECT " HOLDING_COLUMNS " FROM holding h "
			       "WHERE h.key = ?1 AND h.state = ?2 LIMIT 1",
	[STATEMENT_FIND_PORT] = "SELECT " HOLDING_COLUMNS " FROM port p "
				"JOIN holding h ON h.id = p.holding "
				"WHERE p.protocol = ?1 AND p.port = ?2 AND p.family = ?3 "
				"AND (p.address = ?4 OR p.address = zeroblob(16) "
				"OR ?4 = zeroblob(16)) LIMIT 1",
	[STATEMENT_INSERT] = "INSERT INTO holding(owner, first, length, guest, label, state, key) "
			     "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STATEMENT_RENAME] = "UPDATE holding SET key = ?3, label = ?4 WHERE id = ?1 AND key = ?2",
	[STATEMENT_REMOVE] = "DELETE FROM holding WHERE id = ?1",
	[STATEMENT_REMOVE_PORTS] = "DELETE FROM port WHERE holding = ?1",
	[STATEMENT_REMOVE_OWNER] = "DELETE FROM holding WHERE owner = ?1",
	[STATEMENT_REMOVE_OWNER_PORTS] = "DELETE FROM port WHERE holding IN "
					 "(SELECT id FROM holding WHERE owner = ?1)",
	[STATEMENT_ADD_PORT] = "INSERT OR IGNORE INTO "
			       "port(holding, protocol, port, family, address) "
			       "VALUES(?1, ?2, ?3, ?4, ?5)",
	[STATEMENT_REMOVE_PORT] = "DELETE FROM port WHERE holding = ?1 AND protocol = ?2 "
				  "AND port = ?3 AND family = ?4 AND address = ?5",
};
_Static_assert(ARRAY_COUNT(statements) == STATEMENT_COUNT, "one text for each statement");

static const struct registry_database_kind kind = {
	.application_id = 0x74726c68, /* "trlh" */
	.version = 1,
	.journal_mode = "WAL",
	.schema = "CREATE TABLE holding(id INTEGER PRIMARY KEY AUTOINCREMENT, "
		  "owner INTEGER NOT NULL, first INTEGER NOT NULL, length INTEGER NOT NULL, "
		  "guest INTEGER NOT NULL, label TEXT NOT NULL, state TEXT, key TEXT);"
		  "CREATE INDEX holding_subnet ON holding(length, first);"
		  "CREATE INDEX holding_owner ON holding(owner);"
		  "CREATE INDEX holding_key ON holding(key, state) WHERE key IS NOT NULL;"
		  "CREATE TABLE port(protocol INTEGER, port INTEGER, family INTEGER, address BLOB, "
		  "holding INTEGER, PRIMARY KEY(protocol, port, family, address, holding)) "
		  "WITHOUT ROWID;"
		  "CREATE INDEX port_holding ON port(holding);",
	.statements = statements,
	.statement_count = STATEMENT_COUNT,
};

int holding_store_open(struct holding_store *store, const char *directory, struct error *err)
{
	char *resolved = NULL;
	char path[PATH_MAX];

	*store = (struct holding_store){ .directory_fd = -1, .lock_fd = -1 };
	int result =
		registry_directory_open_private(directory, &resolved, &store->directory_fd, err);

	if (result < 0)
		return result;
	int length = snprintf(path, sizeof(path), "%s/holdings.db", resolved);

	free(resolved);
	if (length < 0 || (size_t)length >= sizeof(path)) {
		error_set(err, "directory %s: the path is too long", directory);
		result = -ENAMETOOLONG;
	} else {
		result = registry_database_open(&store->database, &kind, path, err);
	}
	if (result < 0)
		store->directory_fd = fd_close(store->directory_fd);
	return result;
}

void holding_store_close(struct holding_store *store)
{
	if (store->owner != 0)
		registry_owner_forget(store->directory_fd, store->owner);
	registry_database_close(&store->database);
	store->lock_fd = fd_close(store->lock_fd);
	store->directory_fd = fd_close(store->directory_fd);
	store->owner = 0;
}

void holding_store_leave(struct holding_store *store)
{
	registry_database_close(&store->database);
	store->directory_fd = fd_close(store->directory_fd);
	store->owner = 0;
}

/* The prefix lengths in use: as many look-ups answer "who has this?". */
static int read_lengths(struct holding_store *store, struct error *err)
{
	struct registry_database *database = &store->database;
	sqlite3_stmt *statement = registry_database_ask(database, STATEMENT_LENGTHS, "");
	int result;

	store->lengths = 0;
	while ((result = registry_database_step(database, statement, err)) == 1) {
		sqlite3_int64 length = sqlite3_column_int64(statement, 0);

		if (length >= 0 && length <= 32)
			store->lengths |= UINT64_C(1) << length;
	}
	return result;
}

int holding_store_begin(struct holding_store *store, struct error *err)
{
	int result = registry_database_begin(&store->database, true, err);

	if (result < 0)
		return result;
	result = read_lengths(store, err);
	if (result < 0)
		registry_database_rollback(&store->database);
	return result;
}

int holding_store_commit(struct holding_store *store, struct error *err)
{
	return registry_database_commit(&store->database, err);
}

void holding_store_rollback(struct holding_store *store)
{
	registry_database_rollback(&store->database);
}

/* Takes the row out of the statement's columns (HOLDING_COLUMNS). */
static void read_row(sqlite3_stmt *statement, struct holding_row *ret_row)
{
	const char *label = (const char *)sqlite3_column_text(statement, 5);

	*ret_row = (struct holding_row){
		.id = sqlite3_column_int64(statement, 0),
		.owner = sqlite3_column_int64(statement, 1),
		.subnet = {
			.addr = ip_addr_from_v4((uint32_t)sqlite3_column_int64(statement, 2)),
			.length = (uint8_t)sqlite3_column_int64(statement, 3),
		},
		.guest = ip_addr_from_v4((uint32_t)sqlite3_column_int64(statement, 4)),
	};
	(void)snprintf(ret_row->label, sizeof(ret_row->label), "%s", label ? label : "");
	if (ret_row->subnet.length > 32)
		ret_row->subnet.length = 32; /* a damaged row must not harm arithmetic */
}

static int remove_owner(struct holding_store *store, int64_t owner, struct error *err)
{
	struct registry_database *database = &store->database;
	int result = registry_database_run(
		database, registry_database_ask(database, STATEMENT_REMOVE_OWNER_PORTS, "i", owner),
		err);

	if (result == 0)
		result = registry_database_run(
			database,
			registry_database_ask(database, STATEMENT_REMOVE_OWNER, "i", owner), err);
	/* A row without a file is as dead as one with an unlocked file, should this be undone. */
	if (result == 0)
		registry_owner_forget(store->directory_fd, owner);
	return result;
}

/* The first live row that the statement finds; each dead owner it meets is removed. The statement
 * keeps its bindings over a reset. */
static int find_live(struct holding_store *store, sqlite3_stmt *statement,
		     struct holding_row *ret_row, struct error *err)
{
	for (;;) {
		struct holding_row row;
		int result = registry_database_step(&store->database, statement, err);

		if (result <= 0)
			return result;
		read_row(statement, &row);
		(void)sqlite3_reset(statement); /* it gave a row: no error to repeat */
		if (row.owner == store->owner ||
		    registry_owner_is_live(store->directory_fd, row.owner)) {
			*ret_row = row;
			return 1;
		}
		result = remove_owner(store, row.owner, err);
		if (result < 0)
			return result;
	}
}

int holding_store_find(struct holding_store *store, const struct ip_prefix *prefix,
		       struct holding_row *ret_row, struct error *err)
{
	for (uint8_t length = 0; length <= 32; length++) {
		uint32_t low;
		uint32_t high;

		if (!(store->lengths & (UINT64_C(1) << length)))
			continue;
		subnet_overlap_bounds(prefix, length, &low, &high);
		sqlite3_stmt *statement =
			registry_database_ask(&store->database, STATEMENT_FIND, "iii",
					      (int64_t)length, (int64_t)low, (int64_t)high);
		int result = find_live(store, statement, ret_row, err);

		if (result != 0)
			return result;
	}
	return 0;
}

int holding_store_find_key(struct holding_store *store, const char *state, const char *key,
			   struct holding_row *ret_row, struct error *err)
{
	sqlite3_stmt *statement =
		registry_database_ask(&store->database, STATEMENT_FIND_KEY, "ss", key, state);

	return find_live(store, statement, ret_row, err);
}

int holding_store_find_port(struct holding_store *store, uint8_t protocol,
			    const struct ip_endpoint *at, struct holding_row *ret_row,
			    struct error *err)
{
	sqlite3_stmt *statement = registry_database_ask(
		&store->database, STATEMENT_FIND_PORT, "iiib", (int64_t)protocol, (int64_t)at->port,
		(int64_t)at->addr.family, (const void *)at->addr.octet,
		(int)sizeof(at->addr.octet));

	return find_live(store, statement, ret_row, err);
}

static void bury(void *context, int64_t owner)
{
	/* Cleaning only: what cannot be removed now is removed when it is met. */
	(void)remove_owner(context, owner, NULL);
}

static int become_owner(struct holding_store *store, struct error *err)
{
	if (store->owner != 0)
		return 0;
	registry_owner_sweep(store->directory_fd, SWEEP_LIVE_MOST, bury, store);
	return registry_owner_make(store->directory_fd, &store->owner, &store->lock_fd, err);
}

/* Copies what fits, without a character of UTF-8 cut in two. */
static void cut_label(const char *label, char ret_label[REGISTRY_LABEL_SIZE])
{
	size_t length = label ? strlen(label) : 0;

	if (length >= REGISTRY_LABEL_SIZE) {
		length = REGISTRY_LABEL_SIZE - 1;
		while (length > 0 && ((unsigned char)label[length] & 0xc0) == 0x80)
			length--;
	}
	if (length > 0)
		memcpy(ret_label, label, length);
	ret_label[length] = '\0';
}

int holding_store_insert(struct holding_store *store, const struct ip_prefix *subnet,
			 const struct ip_addr *guest, const char *label, const char *state,
			 const char *key, int64_t *ret_id, struct error *err)
{
	char short_label[REGISTRY_LABEL_SIZE];
	int result = become_owner(store, err);

	if (result < 0)
		return result;
	cut_label(label, short_label);
	sqlite3_stmt *statement = registry_database_ask(
		&store->database, STATEMENT_INSERT, "iiiisss", store->owner,
		(int64_t)ip_prefix_first_v4(subnet), (int64_t)subnet->length,
		(int64_t)ip_addr_to_v4(guest), (const char *)short_label, state, key);

	result = registry_database_run(&store->database, statement, err);
	if (result == 0)
		*ret_id = sqlite3_last_insert_rowid(store->database.connection);
	return result;
}

int holding_store_rename(struct holding_store *store, int64_t id, const char *from, const char *to,
			 const char *label, struct error *err)
{
	char short_label[REGISTRY_LABEL_SIZE];

	cut_label(label, short_label);
	sqlite3_stmt *statement = registry_database_ask(&store->database, STATEMENT_RENAME, "isss",
							id, from, to, (const char *)short_label);

	return registry_database_run(&store->database, statement, err);
}

int holding_store_remove(struct holding_store *store, int64_t id, struct error *err)
{
	struct registry_database *database = &store->database;
	int result = registry_database_run(
		database, registry_database_ask(database, STATEMENT_REMOVE_PORTS, "i", id), err);

	if (result < 0)
		return result;
	return registry_database_run(
		database, registry_database_ask(database, STATEMENT_REMOVE, "i", id), err);
}

static int change_port(struct holding_store *store, enum statement index, int64_t id,
		       uint8_t protocol, const struct ip_endpoint *at, struct error *err)
{
	sqlite3_stmt *statement =
		registry_database_ask(&store->database, index, "iiiib", id, (int64_t)protocol,
				      (int64_t)at->port, (int64_t)at->addr.family,
				      (const void *)at->addr.octet, (int)sizeof(at->addr.octet));

	return registry_database_run(&store->database, statement, err);
}

int holding_store_add_port(struct holding_store *store, int64_t id, uint8_t protocol,
			   const struct ip_endpoint *at, struct error *err)
{
	return change_port(store, STATEMENT_ADD_PORT, id, protocol, at, err);
}

int holding_store_remove_port(struct holding_store *store, int64_t id, uint8_t protocol,
			      const struct ip_endpoint *at, struct error *err)
{
	return change_port(store, STATEMENT_REMOVE_PORT, id, protocol, at, err);
}

int holding_store_bury(struct holding_store *store, int64_t owner, struct error *err)
{
	if (!registry_owner_is_live(store->directory_fd, owner))
		return remove_owner(store, owner, err);
	error_set(err, "the owner lives");
	return -EBUSY;
}
