#pragma once
/* How a disk is attached: ro, sync=none|fsync|full, caching=automatic|cached|uncached. */

#include <stdbool.h>

#include "base/compiler.h"

struct error;

/* What a flush of the guest does. */
enum disk_sync {
	DISK_SYNC_FULL,	 /* everything is on the medium (the default) */
	DISK_SYNC_FSYNC, /* the same: on Linux fsync() flushes the medium, too */
	DISK_SYNC_NONE,	 /* nothing: fast, and lost when the host loses power */
};

/* Whether the host keeps the disk's data in its page cache. */
enum disk_caching {
	DISK_CACHING_AUTOMATIC, /* cached */
	DISK_CACHING_CACHED,
	DISK_CACHING_UNCACHED, /* O_DIRECT */
};

struct disk_options {
	bool read_only;
	enum disk_sync sync;
	enum disk_caching caching;
};

/* Pieces between commas; "" means none. False with a sentence about the bad piece. */
bool disk_options_parse(const char *text, struct disk_options *ret_options,
			struct error *err) MUST_USE;
