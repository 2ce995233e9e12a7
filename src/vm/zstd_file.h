#pragma once
/* A file that is written compressed with zstd: one frame, with a checksum of its content. */

#include <stddef.h>

#include "base/compiler.h"

struct error;
struct zstd_file;

/* The descriptor stays the caller's. 0 or negative errno with a sentence. One zstd_file_free(). */
int zstd_file_new(int fd, struct zstd_file **ret_file, struct error *err) MUST_USE;
void zstd_file_free(struct zstd_file *file); /* NULL is fine */

/* 0 or negative errno. */
int zstd_file_write(struct zstd_file *file, const void *data, size_t size) MUST_USE;
/* What is still inside, and the end of the frame: without it the file is no whole one. */
int zstd_file_finish(struct zstd_file *file) MUST_USE;
