/*
 * Theory of Operation
 *
 * The engine asks at each new flow to a private address, so a guest decides how often. What it can
 * make us spend must be bounded, and what another process holds must be seen soon:
 *
 *  - An answer comes from a sorted array, by binary search.
 *  - "Nobody has it" is believed for a moment only (HELD_SNAPSHOT_LEAST_NS). Then SQLite is asked
 *    whether anybody has committed since (PRAGMA data_version: a few microseconds), and the table is
 *    read again if so. The moment grows with the table: 10 ms up to 500 networks, 200 ms with
 *    10,000, one second at the most.
 *  - "Somebody has it" is believed for a second: to refuse for too long harms no isolation.
 *  - A row counts only while its owner lives, which takes three system calls to find out. That is
 *    asked for rows that are hit, again after a second, and not more often than once a millisecond
 *    in all; between two questions "it lives" is the answer. Death is final.
 */
#include "registry/held_snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "registry/registry_owner.h"

struct held_entry {
	uint32_t first;
	uint32_t last;
	int64_t id;
	int64_t owner;
	uint64_t judged_ns;
	bool is_judged;
	bool is_dead;
};

enum statement {
	STATEMENT_VERSION,
	STATEMENT_LIST,
	STATEMENT_COUNT,
};

static const char *const statements[] = {
	[STATEMENT_VERSION] = "PRAGMA data_version",
	[STATEMENT_LIST] = "SELECT id, owner, first, length FROM holding LIMIT ?1",
};
_Static_assert(ARRAY_COUNT(statements) == STATEMENT_COUNT, "one text for each statement");

static const struct registry_database_kind kind = {
	.statements = statements,
	.statement_count = STATEMENT_COUNT,
};

int held_snapshot_open(struct held_snapshot *snapshot, const char *path, int directory_fd,
		       struct error *err)
{
	*snapshot = (struct held_snapshot){ .directory_fd = directory_fd };
	int result = registry_database_open_reader(&snapshot->database, &kind, path, err);

	if (result == 0)
		(void)pthread_mutex_init(&snapshot->mutex, NULL); /* cannot fail on Linux */
	return result;
}

void held_snapshot_close(struct held_snapshot *snapshot)
{
	if (snapshot->database.connection)
		(void)pthread_mutex_destroy(&snapshot->mutex); /* nobody else has it */
	registry_database_close(&snapshot->database);
	free(snapshot->entries);
	snapshot->entries = NULL;
	snapshot->count = 0;
}

static int compare(const void *left, const void *right)
{
	const struct held_entry *a = left;
	const struct held_entry *b = right;

	return (a->first > b->first) - (a->first < b->first);
}

/* Takes the row out of the statement's columns; false for one that we would not have written. */
static bool read_row(sqlite3_stmt *statement, struct held_entry *ret_entry)
{
	int64_t first = sqlite3_column_int64(statement, 2);
	int64_t length = sqlite3_column_int64(statement, 3);

	if (first < 0 || first > UINT32_MAX || length < 1 || length > 32)
		return false;
	uint32_t mask = ip_length_to_mask((uint8_t)length);

	*ret_entry = (struct held_entry){
		.first = (uint32_t)first & mask,
		.last = (uint32_t)first | ~mask,
		.id = sqlite3_column_int64(statement, 0),
		.owner = sqlite3_column_int64(statement, 1),
	};
	return true;
}

/* In a transaction. The caller frees the array, which is unsorted. */
static int read_rows(struct held_snapshot *snapshot, struct held_entry **ret_entries,
		     size_t *ret_count)
{
	struct registry_database *database = &snapshot->database;
	sqlite3_stmt *statement = registry_database_ask(database, STATEMENT_LIST, "i",
							(int64_t)HELD_SNAPSHOT_ROWS_MOST);
	struct held_entry *entries = NULL;
	size_t room = 0;
	size_t count = 0;
	int result;

	while ((result = registry_database_step(database, statement, NULL)) == 1) {
		if (count == room) {
			room = room ? room * 2 : 64;
			struct held_entry *more = reallocarray(entries, room, sizeof(*entries));

			if (!more) {
				(void)sqlite3_reset(statement); /* it gave a row: no error */
				result = -ENOMEM;
				break;
			}
			entries = more;
		}
		count += read_row(statement, &entries[count]);
	}
	if (result < 0) {
		free(entries);
		return result;
	}
	*ret_entries = entries;
	*ret_count = count;
	return 0;
}

static bool ask_version(struct held_snapshot *snapshot, int64_t *ret_version)
{
	struct registry_database *database = &snapshot->database;

	return registry_database_number(database,
					registry_database_ask(database, STATEMENT_VERSION, ""),
					ret_version, NULL) == 1;
}

/* Version and rows of one moment. */
static void read_again(struct held_snapshot *snapshot)
{
	struct held_entry *entries;
	size_t count;
	int64_t version;

	if (registry_database_begin(&snapshot->database, false, NULL) < 0)
		return;
	if (ask_version(snapshot, &version) && read_rows(snapshot, &entries, &count) == 0) {
		if (count > 0)
			qsort(entries, count, sizeof(*entries), compare);
		free(snapshot->entries);
		snapshot->entries = entries;
		snapshot->count = count;
		snapshot->version = version;
		snapshot->is_read = true;
	}
	registry_database_rollback(&snapshot->database);
}

static void look(struct held_snapshot *snapshot, uint64_t now_ns)
{
	int64_t version;

	snapshot->looked_ns = now_ns;
	if (!snapshot->is_read || !ask_version(snapshot, &version) || version != snapshot->version)
		read_again(snapshot);
}

/* How many entries begin at the address or before it. */
static size_t entries_until(const struct held_snapshot *snapshot, uint32_t addr)
{
	size_t low = 0;
	size_t high = snapshot->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (snapshot->entries[middle].first <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The entry that covers the address, or NULL. */
static struct held_entry *search(const struct held_snapshot *snapshot, uint32_t addr)
{
	size_t behind = entries_until(snapshot, addr);

	if (behind == 0 || snapshot->entries[behind - 1].last < addr)
		return NULL;
	return &snapshot->entries[behind - 1];
}

static uint64_t age(uint64_t since_ns, uint64_t now_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

static bool is_live(struct held_snapshot *snapshot, struct held_entry *entry, uint64_t now_ns)
{
	if (entry->is_dead)
		return false;
	if (entry->is_judged && age(entry->judged_ns, now_ns) < HELD_SNAPSHOT_MOST_NS)
		return true;
	if (snapshot->has_judged && age(snapshot->judged_ns, now_ns) < HELD_SNAPSHOT_JUDGE_NS)
		return true;
	snapshot->has_judged = true;
	snapshot->judged_ns = now_ns;
	entry->is_judged = true;
	entry->judged_ns = now_ns;
	entry->is_dead = !registry_owner_is_live(snapshot->directory_fd, entry->owner);
	return !entry->is_dead;
}

static bool is_held(struct held_snapshot *snapshot, uint32_t addr, int64_t except, uint64_t now_ns)
{
	struct held_entry *entry = search(snapshot, addr);

	return entry && entry->id != except && is_live(snapshot, entry, now_ns);
}

/* How old the copy may be for that answer. */
static uint64_t validity(const struct held_snapshot *snapshot, bool held)
{
	uint64_t read_ns = snapshot->count * HELD_SNAPSHOT_PER_ROW_NS;

	if (held || read_ns > HELD_SNAPSHOT_MOST_NS)
		return HELD_SNAPSHOT_MOST_NS;
	return read_ns > HELD_SNAPSHOT_LEAST_NS ? read_ns : HELD_SNAPSHOT_LEAST_NS;
}

static uint64_t left(uint64_t validity_ns, uint64_t age_ns)
{
	return validity_ns > age_ns ? validity_ns - age_ns : 0;
}

static void describe(const struct held_snapshot *snapshot, uint32_t addr, bool held,
		     uint64_t now_ns, struct held_answer *ret_answer)
{
	const struct held_entry *entry = search(snapshot, addr);
	size_t behind = entries_until(snapshot, addr);

	*ret_answer = (struct held_answer){ .held = held, .last = UINT32_MAX };
	if (entry) {
		ret_answer->first = entry->first;
		ret_answer->last = entry->last;
	} else {
		if (behind > 0)
			ret_answer->first = snapshot->entries[behind - 1].last + 1;
		if (behind < snapshot->count)
			ret_answer->last = snapshot->entries[behind].first - 1;
	}
	ret_answer->for_ns = left(validity(snapshot, held), age(snapshot->looked_ns, now_ns));
	if (held) { /* that its owner lives is believed no longer, and not at all while it was not asked */
		uint64_t lives_ns = entry->is_judged ? left(HELD_SNAPSHOT_MOST_NS,
							    age(entry->judged_ns, now_ns))
						     : HELD_SNAPSHOT_JUDGE_NS;

		if (lives_ns < ret_answer->for_ns)
			ret_answer->for_ns = lives_ns;
	}
}

void held_snapshot_ask(struct held_snapshot *snapshot, const struct ip_addr *addr, int64_t except,
		       uint64_t now_ns, struct held_answer *ret_answer)
{
	uint32_t number = ip_addr_to_v4(addr);
	int result = pthread_mutex_lock(&snapshot->mutex);

	assert(result == 0);
	bool held = is_held(snapshot, number, except, now_ns);

	if (!snapshot->is_read || age(snapshot->looked_ns, now_ns) >= validity(snapshot, held)) {
		look(snapshot, now_ns);
		held = is_held(snapshot, number, except, now_ns);
	}
	describe(snapshot, number, held, now_ns, ret_answer);
	result = pthread_mutex_unlock(&snapshot->mutex);
	assert(result == 0);
}

bool held_snapshot_find(struct held_snapshot *snapshot, const struct ip_addr *addr, int64_t except,
			uint64_t now_ns)
{
	struct held_answer answer;

	held_snapshot_ask(snapshot, addr, except, now_ns, &answer);
	return answer.held;
}
