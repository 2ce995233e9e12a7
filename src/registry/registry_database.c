#include "registry/registry_database.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "registry/registry.h"

/* Another process's turn takes about 100 us on tmpfs: SQLite's own handler starts at 1 ms and
 * grows to 100 ms, which with many waiting leaves the file idle most of the time. */
#define WAIT_FIRST_NS (100 * NS_PER_US)
#define WAIT_MOST_NS  (2 * NS_PER_MS)

static int wait_for_others(void *context, int count)
{
	struct registry_database *database = context;
	uint64_t now_ns = clock_now(&clock_boottime);
	uint64_t wait_ns = WAIT_FIRST_NS * (uint64_t)(count < 20 ? count + 1 : 20);

	if (database->is_impatient)
		return 0;
	if (count == 0)
		database->waiting_since_ns = now_ns;
	if (now_ns - database->waiting_since_ns > REGISTRY_PATIENCE_MS * NS_PER_MS)
		return 0;
	struct timespec pause = {
		.tv_nsec = (long)(wait_ns < WAIT_MOST_NS ? wait_ns : WAIT_MOST_NS),
	};
	(void)nanosleep(&pause, NULL); /* a signal only ends it early */
	return 1;
}

static int fail(const struct registry_database *database, int code, struct error *err)
{
	const char *path = database->path;

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		error_set(err, "%s: other processes kept it locked for more than %d s", path,
			  REGISTRY_PATIENCE_MS / 1000);
		return -EBUSY;
	case SQLITE_NOTADB:
		error_set(err,
			  "%s is damaged or not a registry file. It was left as it is: move it "
			  "away to start with an empty one",
			  path);
		return -EIO;
	case SQLITE_CORRUPT:
		error_set(err,
			  "%s is damaged (%s). It was left as it is: restore it, or move it away "
			  "to start with an empty one",
			  path, sqlite3_errstr(code));
		return -EIO;
	case SQLITE_FULL:
		error_set(err, "%s: no space left on the device", path);
		return -ENOSPC;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		error_set(err, "%s: cannot be opened for writing", path);
		return -EACCES;
	case SQLITE_NOMEM:
		error_set(err, "%s: out of memory", path);
		return -ENOMEM;
	default:
		error_set(err, "%s: %s (SQLite code %d)", path, sqlite3_errstr(code), code);
		return -EIO;
	}
}

static int execute(struct registry_database *database, const char *sql, struct error *err)
{
	int code = sqlite3_exec(database->connection, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(database, code, err);
}

/* One number from a statement that is asked once. */
static int ask_number(struct registry_database *database, const char *sql, int64_t *ret_number,
		      struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return fail(database, code, err);
	int result = registry_database_number(database, statement, ret_number, err);
	(void)sqlite3_finalize(statement); /* repeats the error of the step */
	return result < 0 ? result : 0;
}

/* 1: the file is empty. 0: it is ours. Negative: neither. */
static int recognise(struct registry_database *database, struct error *err)
{
	int64_t application_id = 0;
	int64_t version = 0;
	int64_t tables = 0;
	int result = ask_number(database, "PRAGMA application_id", &application_id, err);

	if (result == 0)
		result = ask_number(database, "PRAGMA user_version", &version, err);
	if (result == 0)
		result = ask_number(database, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (result < 0)
		return result;
	if (application_id == 0 && version == 0 && tables == 0)
		return 1;
	if (application_id != database->kind->application_id) {
		error_set(err,
			  "%s is a database of another program. It was left as it is: move it away",
			  database->path);
		return -EIO;
	}
	if (version != database->kind->version) {
		error_set(err, "%s has format %lld, this version knows format %d: %s",
			  database->path, (long long)version, database->kind->version,
			  version > database->kind->version ? "use the newer version"
							    : "it is too old");
		return -EIO;
	}
	return 0;
}

/* Two processes may find the file empty at once: the second look is under the writer's lock. */
static int fill(struct registry_database *database, struct error *err)
{
	char text[128];
	int result = registry_database_begin(database, true, err);

	if (result < 0)
		return result;
	result = recognise(database, err);
	if (result == 1) {
		(void)sqlite3_snprintf(sizeof(text), text,
				       "PRAGMA application_id = %d; PRAGMA user_version = %d;",
				       database->kind->application_id, database->kind->version);
		result = execute(database, text, err);
		if (result == 0)
			result = execute(database, database->kind->schema, err);
	}
	if (result == 0)
		result = registry_database_commit(database, err);
	registry_database_rollback(database);
	return result;
}

static int prepare(struct registry_database *database, struct error *err)
{
	const struct registry_database_kind *kind = database->kind;

	database->statements = calloc(kind->statement_count, sizeof(sqlite3_stmt *));
	if (!database->statements)
		return fail(database, SQLITE_NOMEM, err);
	for (size_t i = 0; i < kind->statement_count; i++) {
		int code = sqlite3_prepare_v3(database->connection, kind->statements[i], -1,
					      SQLITE_PREPARE_PERSISTENT, &database->statements[i],
					      NULL);

		if (code == SQLITE_ERROR) {
			/* Our id and version, but other tables than ours. */
			error_set(err, "%s is damaged: %s. It was left as it is", database->path,
				  sqlite3_errmsg(database->connection));
			return -EIO;
		}
		if (code != SQLITE_OK)
			return fail(database, code, err);
	}
	return 0;
}

/* The change of mode takes an exclusive lock for which SQLite does not always ask the busy handler
 * (it gives up at once where waiting could deadlock), so the waiting is done here. */
static int set_journal_mode(struct registry_database *database, struct error *err)
{
	char text[64];
	int code;
	int count = 0;

	(void)sqlite3_snprintf(sizeof(text), text, "PRAGMA journal_mode = %s",
			       database->kind->journal_mode);
	do {
		code = sqlite3_exec(database->connection, text, NULL, NULL, NULL);
	} while ((code & 0xff) == SQLITE_BUSY && wait_for_others(database, count++) != 0);
	return code == SQLITE_OK ? 0 : fail(database, code, err);
}

static int configure(struct registry_database *database, struct error *err)
{
	/* A foreign file is recognised before anything could write to it; all at one moment, for
	 * another process may be filling the file. */
	int result = registry_database_begin(database, false, err);

	if (result == 0)
		result = recognise(database, err);
	registry_database_rollback(database);
	if (result < 0)
		return result;
	bool is_empty = result == 1;
	result = set_journal_mode(database, err);
	/* NORMAL with WAL survives a power cut without a sync per transaction (the latest ones may
	 * be lost: so are their owners); a rollback journal needs FULL for the same. */
	if (result == 0 && strcmp(database->kind->journal_mode, "WAL") == 0)
		result = execute(database, "PRAGMA synchronous = NORMAL", err);
	if (result == 0 && is_empty)
		result = fill(database, err);
	return result == 0 ? prepare(database, err) : result;
}

static int connect_to(struct registry_database *database, const struct registry_database_kind *kind,
		      const char *path, int flags, struct error *err)
{
	*database = (struct registry_database){ .kind = kind, .path = strdup(path) };
	if (!database->path) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	/* Whoever has the connection has a lock of its own around every call. */
	int code = sqlite3_open_v2(database->path, &database->connection,
				   flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return fail(database, code, err);
	(void)sqlite3_busy_handler(database->connection, wait_for_others, database);
	return 0;
}

int registry_database_open(struct registry_database *database,
			   const struct registry_database_kind *kind, const char *path,
			   struct error *err)
{
	int result =
		connect_to(database, kind, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);

	if (result == 0)
		result = configure(database, err);
	if (result < 0)
		registry_database_close(database);
	return result;
}

int registry_database_open_reader(struct registry_database *database,
				  const struct registry_database_kind *kind, const char *path,
				  struct error *err)
{
	int result = connect_to(database, kind, path, SQLITE_OPEN_READONLY, err);

	if (result == 0)
		result = prepare(database, err);
	if (result < 0)
		registry_database_close(database);
	database->is_impatient = true;
	return result;
}

void registry_database_close(struct registry_database *database)
{
	for (size_t i = 0; database->statements && i < database->kind->statement_count; i++)
		(void)sqlite3_finalize(database->statements[i]);
	free(database->statements);
	(void)sqlite3_close(database->connection); /* no statement is left to keep it open */
	free(database->path);
	*database = (struct registry_database){ .kind = database->kind };
}

int registry_database_begin(struct registry_database *database, bool write, struct error *err)
{
	return execute(database, write ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

int registry_database_commit(struct registry_database *database, struct error *err)
{
	return execute(database, "COMMIT", err);
}

void registry_database_rollback(struct registry_database *database)
{
	if (!sqlite3_get_autocommit(database->connection))
		(void)sqlite3_exec(database->connection, "ROLLBACK", NULL, NULL, NULL);
}

sqlite3_stmt *registry_database_ask(struct registry_database *database, size_t index,
				    const char *format, ...)
{
	sqlite3_stmt *statement = database->statements[index];
	va_list arguments;
	int number = 1;

	(void)sqlite3_reset(statement); /* repeats an error that was reported */
	va_start(arguments, format);
	for (const char *at = format; *at; at++, number++) {
		const void *bytes;

		switch (*at) {
		case 'i':
			(void)sqlite3_bind_int64(statement, number, va_arg(arguments, int64_t));
			break;
		case 's':
			(void)sqlite3_bind_text(statement, number, va_arg(arguments, const char *),
						-1, SQLITE_STATIC);
			break;
		default: /* 'b' */
			bytes = va_arg(arguments, const void *);
			(void)sqlite3_bind_blob(statement, number, bytes, va_arg(arguments, int),
						SQLITE_STATIC);
			break;
		}
	}
	va_end(arguments);
	return statement;
}

int registry_database_step(struct registry_database *database, sqlite3_stmt *statement,
			   struct error *err)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	(void)sqlite3_reset(statement); /* repeats the error of the step */
	return code == SQLITE_DONE ? 0 : fail(database, code, err);
}

int registry_database_run(struct registry_database *database, sqlite3_stmt *statement,
			  struct error *err)
{
	int result = registry_database_step(database, statement, err);

	if (result == 1)
		(void)sqlite3_reset(statement);
	return result < 0 ? result : 0;
}

int registry_database_number(struct registry_database *database, sqlite3_stmt *statement,
			     int64_t *ret_number, struct error *err)
{
	int result = registry_database_step(database, statement, err);

	if (result == 1) {
		*ret_number = sqlite3_column_int64(statement, 0);
		(void)sqlite3_reset(statement);
	}
	return result;
}
