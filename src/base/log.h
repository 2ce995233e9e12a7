#pragma once
/*
 * Where the engine reports to. The library itself never prints: whoever owns a network hands it a
 * `struct log`. Text begins with the object it is about ("port 1: ...").
 */

#include <stdint.h>

#include "base/compiler.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

struct log {
	/* `line` has no newline and is borrowed for the call. */
	void (*write)(void *context, enum log_level level, const char *line);
	void *context;
	enum log_level most; /* lines above this level are not formatted */
};

/* log may be NULL: then nothing is written. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

/*
 * For every message that a guest can cause: at most `burst` lines per second, then silence, and
 * one line that counts what was left out when the second is over.
 */
struct log_limit {
	uint64_t window_start_ns;
	uint32_t written;
	uint32_t suppressed;
};

#define LOG_LIMIT_BURST 5

void log_write_limited(const struct log *log, struct log_limit *limit, uint64_t now_ns,
		       enum log_level level, const char *format, ...) PRINTF_LIKE(5, 6);
