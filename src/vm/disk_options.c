#include "vm/disk_options.h"

#include "base/error.h"
#include "base/text.h"

static bool parse_sync(struct text_view value, enum disk_sync *ret_sync)
{
	if (text_view_equal(value, "none"))
		*ret_sync = DISK_SYNC_NONE;
	else if (text_view_equal(value, "fsync"))
		*ret_sync = DISK_SYNC_FSYNC;
	else if (text_view_equal(value, "full"))
		*ret_sync = DISK_SYNC_FULL;
	else
		return false;
	return true;
}

static bool parse_caching(struct text_view value, enum disk_caching *ret_caching)
{
	if (text_view_equal(value, "automatic"))
		*ret_caching = DISK_CACHING_AUTOMATIC;
	else if (text_view_equal(value, "cached"))
		*ret_caching = DISK_CACHING_CACHED;
	else if (text_view_equal(value, "uncached"))
		*ret_caching = DISK_CACHING_UNCACHED;
	else
		return false;
	return true;
}

static bool parse_one(struct text_view piece, struct disk_options *options)
{
	struct text_view key;
	struct text_view value;

	if (text_view_equal(piece, "ro")) {
		options->read_only = true;
		return true;
	}
	if (!text_view_cut(piece, '=', &key, &value))
		return false;
	if (text_view_equal(key, "sync"))
		return parse_sync(value, &options->sync);
	return text_view_equal(key, "caching") && parse_caching(value, &options->caching);
}

bool disk_options_parse(const char *text, struct disk_options *ret_options, struct error *err)
{
	struct text_view rest = text_view_of(text);
	struct disk_options options = { 0 };
	bool more = rest.length > 0;

	while (more) {
		struct text_view piece;
		more = text_view_cut(rest, ',', &piece, &rest);
		if (!parse_one(piece, &options)) {
			error_set(err,
				  "unknown disk option \"%.*s\": expected ro, sync=none|fsync|full "
				  "or caching=automatic|cached|uncached",
				  (int)piece.length, piece.start);
			return false;
		}
	}
	*ret_options = options;
	return true;
}
