#include "attach/vhost_user/dirty_log.h"

int dirty_log_open(struct dirty_log *log, int fd, uint64_t offset, uint64_t size,
		   bool allow_unsealed, struct error *err)
{
	struct shared_map map;
	int status = shared_map_open(fd, offset, size, allow_unsealed, &map, err);

	if (status < 0) {
		error_prefix(err, "the log of written pages");
		return status;
	}
	shared_map_close(&log->map);
	log->map = map;
	return 0;
}

void dirty_log_close(struct dirty_log *log)
{
	shared_map_close(&log->map);
}

bool dirty_log_mark(struct dirty_log *log, uint64_t address, uint64_t size)
{
	uint64_t last;

	if (size == 0)
		return true;
	if (__builtin_add_overflow(address, size - 1, &last))
		return false;
	for (uint64_t page = address / DIRTY_LOG_PAGE; page <= last / DIRTY_LOG_PAGE; page++) {
		if (page / 8 >= log->map.size)
			return false;
		/* The front end takes bits out at the same time. */
		(void)__atomic_fetch_or(&log->map.bytes[page / 8], (uint8_t)(1U << (page % 8)),
					__ATOMIC_RELAXED);
	}
	return true;
}
