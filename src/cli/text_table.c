#include "cli/text_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/utf8.h"

static size_t text_width(const char *text)
{
	uint32_t code;
	bool valid;
	size_t size;
	size_t width = 0;

	for (; (size = utf8_decode(text, &code, &valid)); text += size)
		width++;
	return width;
}

void text_table_print(FILE *stream, const char *const *cells, size_t rows, size_t columns)
{
	size_t widths[TEXT_TABLE_COLUMNS] = { 0 };

	assert(columns <= TEXT_TABLE_COLUMNS);
	for (size_t i = 0; i < rows * columns; i++) {
		size_t width = text_width(cells[i]);
		if (width > widths[i % columns])
			widths[i % columns] = width;
	}
	for (size_t i = 0; i < rows * columns; i++) {
		bool last = i % columns == columns - 1;
		fputs(cells[i], stream);
		if (last)
			fputc('\n', stream);
		else
			fprintf(stream, "%*s",
				(int)(widths[i % columns] - text_width(cells[i]) + 1), "");
	}
}

const char *text_format_size(uint64_t size, char buffer[TEXT_SIZE_SIZE])
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)size;
	size_t unit = 0;

	if (size < 1000) {
		snprintf(buffer, TEXT_SIZE_SIZE, "%" PRIu64 " B", size);
		return buffer;
	}
	/* 999.95 would be printed as 1000.0. */
	for (value /= 1000; value >= 999.95 && unit + 1 < ARRAY_COUNT(units); unit++)
		value /= 1000;
	snprintf(buffer, TEXT_SIZE_SIZE, "%.1f %s", value, units[unit]);
	return buffer;
}

const char *text_format_age(int64_t seconds, char buffer[TEXT_AGE_SIZE])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" } };

	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		int64_t count = seconds / units[i].seconds;
		if (count < 1)
			continue;
		snprintf(buffer, TEXT_AGE_SIZE, "%" PRId64 " %s%s ago", count, units[i].name,
			 count == 1 ? "" : "s");
		return buffer;
	}
	snprintf(buffer, TEXT_AGE_SIZE, "just now");
	return buffer;
}
