#pragma once
/*
 * libzstd, loaded with libarchive (archive_library.h), which links it. Only for writing: libarchive's own zstd
 * has no checksum, and one thread.
 */

#include <zstd.h>

#include "base/compiler.h"

struct error;

struct zstd_library {
	typeof(ZSTD_createCCtx) *create;
	typeof(ZSTD_freeCCtx) *free;
	typeof(ZSTD_CCtx_setParameter) *set_parameter;
	typeof(ZSTD_compressStream2) *compress;
	typeof(ZSTD_isError) *is_error;
};

/* Loads it for the rest of the process; a second call gives the same. 0, or -ENOENT with a sentence.
 * Not to be called by two threads at once. */
int zstd_library_get(const struct zstd_library **ret_library, struct error *err) MUST_USE;
