#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"

#define LOG_LINE_SIZE 1024

static bool is_wanted(const struct log *log, enum log_level level)
{
	return log && log->write && level <= log->most;
}

static void write_line(const struct log *log, enum log_level level, const char *format,
		       va_list arguments) __attribute__((format(printf, 3, 0)));

static void write_line(const struct log *log, enum log_level level, const char *format,
		       va_list arguments)
{
	char line[LOG_LINE_SIZE] = "";

	vsnprintf(line, sizeof(line), format, arguments);
	/* A name that a guest chose must neither forge a second line nor steer a terminal. */
	for (char *c = line; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	log->write(log->context, level, line);
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (!is_wanted(log, level))
		return;
	va_start(arguments, format);
	write_line(log, level, format, arguments);
	va_end(arguments);
}

void log_write_limited(const struct log *log, struct log_limit *limit, uint64_t now_ns,
		       enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (!is_wanted(log, level))
		return;
	if (limit->written == 0 || now_ns - limit->window_start_ns >= NS_PER_S) {
		if (limit->suppressed > 0)
			log_write(log, level, "log: left out %u messages like the next one",
				  limit->suppressed);
		*limit = (struct log_limit){ .window_start_ns = now_ns };
	}
	if (limit->written >= LOG_LIMIT_BURST) {
		limit->suppressed++;
		return;
	}
	limit->written++;
	va_start(arguments, format);
	write_line(log, level, format, arguments);
	va_end(arguments);
}
