#pragma once
/*
 * A piece of a file that another process shares with us. Whoever can shrink the file can end our
 * process: reading behind its end is SIGBUS, and so is a huge page that is not there. So the file must
 * be a memfd of ordinary pages and sealed against shrinking, unless the caller of the library trusts the
 * front end and says so. A hole that its owner punches into such a memfd reads as zeroes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"

struct shared_map {
	uint8_t *bytes; /* the piece; NULL = none */
	size_t size;
	/* What was mapped: whole pages of the file, which may be huge ones. */
	void *map;
	size_t map_size;
};

/*
 * Maps `size` bytes from `offset` on, readable and writable. fd stays the caller's and may be closed
 * afterwards. Negative errno with a sentence: -EPERM for memory that can shrink or is of huge
 * pages, -EINVAL for a piece that is not inside the file.
 */
int shared_map_open(int fd, uint64_t offset, uint64_t size, bool allow_unsealed,
		    struct shared_map *ret_map, struct error *err) MUST_USE;
void shared_map_close(struct shared_map *map);
