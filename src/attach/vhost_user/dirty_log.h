#pragma once
/*
 * Which pages of the guest's memory we wrote, for a front end that moves the guest to another host
 * (or suspends it): one bit a page, in memory shared with the front end.
 */

#include <stdbool.h>
#include <stdint.h>

#include "attach/vhost_user/shared_map.h"

#define DIRTY_LOG_PAGE 4096 /* vhost-user, "Migration"; whatever the page size is */

struct dirty_log {
	struct shared_map map;
};

/* Replaces the log. As shared_map_open(); on failure the old one stays. */
int dirty_log_open(struct dirty_log *log, int fd, uint64_t offset, uint64_t size,
		   bool allow_unsealed, struct error *err) MUST_USE;
void dirty_log_close(struct dirty_log *log);

static inline bool dirty_log_is_open(const struct dirty_log *log)
{
	return log->map.bytes != NULL;
}

/* Marks the pages of [address, address + size). What the log does not cover is left out: false. */
bool dirty_log_mark(struct dirty_log *log, uint64_t address, uint64_t size);
