#pragma once
/*
 * Whether an address lies in a subnet that somebody holds, for a thread that must not wait: answered
 * from a copy of the table in memory, which is read again when it may have changed.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "registry/registry_database.h"

/* How old the copy may be when it answers "nobody": at least this, and more where there is more to
 * read, so that reading takes about a hundredth of the time of a thread that asks without end. */
#define HELD_SNAPSHOT_LEAST_NS	 (10 * NS_PER_MS)
#define HELD_SNAPSHOT_PER_ROW_NS (20 * NS_PER_US)
/* The most for that; and how old the copy, and the proof that an owner lives, may be when it answers
 * "somebody". */
#define HELD_SNAPSHOT_MOST_NS NS_PER_S
/* Owners are asked for a sign of life no closer together than this. */
#define HELD_SNAPSHOT_JUDGE_NS NS_PER_MS
/* More are not looked at: 26 times the networks that a host is made for. */
#define HELD_SNAPSHOT_ROWS_MOST (1 << 18)

struct held_entry;

struct held_snapshot {
	pthread_mutex_t mutex; /* around all that is below */
	/* A connection of its own: it waits for no call of the registry, and no such call for it. */
	struct registry_database database;
	int directory_fd;	    /* borrowed */
	struct held_entry *entries; /* by their first address; subnets do not overlap */
	size_t count;
	bool is_read;
	int64_t version;    /* of the table that was read */
	uint64_t looked_ns; /* when the table was asked for its version */
	bool has_judged;
	uint64_t judged_ns;
};

/* The file at `path` has been opened by a holding_store, which outlives the snapshot, with its
 * directory. Reads nothing yet. */
int held_snapshot_open(struct held_snapshot *snapshot, const char *path, int directory_fd,
		       struct error *err) MUST_USE;
/* Fine after a failed open. */
void held_snapshot_close(struct held_snapshot *snapshot);

/* What is so for a range of addresses, and for how long from now on. */
struct held_answer {
	bool held;
	uint32_t first; /* of the subnet that the address is in, or of the gap between two */
	uint32_t last;
	uint64_t for_ns; /* HELD_SNAPSHOT_MOST_NS at most */
};

/*
 * True when a holding other than `except` covers the IPv4 address. now_ns never goes back by much
 * (two threads may read the clock in one order and come here in the other). Where the table cannot
 * be read at once the copy stays as it is, and the next try is as far away as after a success.
 */
bool held_snapshot_find(struct held_snapshot *snapshot, const struct ip_addr *addr, int64_t except,
			uint64_t now_ns);
/* The same, and how far the answer goes: for whoever asks from afar and remembers it. */
void held_snapshot_ask(struct held_snapshot *snapshot, const struct ip_addr *addr, int64_t except,
		       uint64_t now_ns, struct held_answer *ret_answer);
