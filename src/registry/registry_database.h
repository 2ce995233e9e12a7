#pragma once
/*
 * One SQLite file of the registry: opened, recognised, locked and asked with prepared statements.
 * Every failure becomes a sentence that names the file; the file itself is never thrown away.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"

/* What tells our files from others', in the header of the file (PRAGMA application_id). */
struct registry_database_kind {
	int32_t application_id;
	int32_t version;	  /* PRAGMA user_version */
	const char *journal_mode; /* "WAL" for a local directory, "TRUNCATE" for any other */
	const char *schema;	  /* statements that fill an empty file */
	const char *const *statements;
	size_t statement_count;
};

struct registry_database {
	const struct registry_database_kind *kind;
	sqlite3 *connection;
	sqlite3_stmt **statements; /* prepared, in the order of kind->statements */
	char *path;
	uint64_t waiting_since_ns;
	bool is_impatient; /* busy is an answer: for a thread that must not wait */
};

/* Creates the file where there is none. The path must be absolute. */
int registry_database_open(struct registry_database *database,
			   const struct registry_database_kind *kind, const char *path,
			   struct error *err) MUST_USE;
/* A connection that only reads a file which registry_database_open() has opened in this process, and
 * that stays open longer. Of the kind its statements count. Once it is open it never waits: what
 * cannot be read at once is -EBUSY. */
int registry_database_open_reader(struct registry_database *database,
				  const struct registry_database_kind *kind, const char *path,
				  struct error *err) MUST_USE;
/* Fine after a failed open, and twice. */
void registry_database_close(struct registry_database *database);

/* Waits for other processes, up to REGISTRY_PATIENCE_MS. `write` takes the one writer's place. */
int registry_database_begin(struct registry_database *database, bool write,
			    struct error *err) MUST_USE;
int registry_database_commit(struct registry_database *database, struct error *err) MUST_USE;
/* Does nothing when no transaction is open. */
void registry_database_rollback(struct registry_database *database);

/*
 * Statement `index`, with its numbered parameters bound from a format: one letter each, 'i' for an
 * int64_t, 's' for a string (borrowed until the next call; NULL = NULL), 'b' for a const void * and
 * an int size (borrowed likewise). It is reset first. Nothing is copied, so binding cannot fail.
 */
sqlite3_stmt *registry_database_ask(struct registry_database *database, size_t index,
				    const char *format, ...);
/* 1: a row is there. 0: the end, and the statement is reset. Negative: failed, and it is reset. */
int registry_database_step(struct registry_database *database, sqlite3_stmt *statement,
			   struct error *err) MUST_USE;
/* For a statement without rows: 0 or negative. */
int registry_database_run(struct registry_database *database, sqlite3_stmt *statement,
			  struct error *err) MUST_USE;
/* At most one row: 1 with its first column, 0 without one. */
int registry_database_number(struct registry_database *database, sqlite3_stmt *statement,
			     int64_t *ret_number, struct error *err) MUST_USE;
