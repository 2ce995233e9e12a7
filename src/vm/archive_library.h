#pragma once
/*
 * libarchive, loaded for `export` and `import` and not before: with all that it links (an XML library
 * with tables of all the world's letters among them) it would make each start of the program slower.
 */

#include <archive.h>
#include <archive_entry.h>

#include "base/compiler.h"

struct error;

struct archive_library {
	typeof(archive_error_string) *error_string;
	typeof(archive_errno) *error_number;

	typeof(archive_read_new) *read_new;
	typeof(archive_read_support_filter_gzip) *read_support_gzip;
	typeof(archive_read_support_filter_zstd) *read_support_zstd;
	typeof(archive_read_support_format_tar) *read_support_tar;
	typeof(archive_read_open_fd) *read_open_fd;
	typeof(archive_read_next_header) *read_next_header;
	typeof(archive_read_data_block) *read_data_block;
	typeof(archive_read_free) *read_free;
	typeof(archive_filter_bytes) *filter_bytes;

	typeof(archive_write_new) *write_new;
	typeof(archive_write_set_format_pax_restricted) *write_set_pax;
	typeof(archive_write_set_bytes_per_block) *write_set_block_size;
	typeof(archive_write_open) *write_open;
	typeof(archive_write_header) *write_header;
	typeof(archive_write_data) *write_data;
	typeof(archive_write_finish_entry) *write_finish_entry;
	typeof(archive_write_close) *write_close;
	typeof(archive_write_free) *write_free;

	typeof(archive_entry_new) *entry_new;
	typeof(archive_entry_free) *entry_free;
	typeof(archive_entry_pathname) *entry_name;
	typeof(archive_entry_filetype) *entry_type;
	typeof(archive_entry_hardlink) *entry_hardlink;
	typeof(archive_entry_size) *entry_size;
	typeof(archive_entry_size_is_set) *entry_size_is_set;
	typeof(archive_entry_set_pathname) *entry_set_name;
	typeof(archive_entry_set_filetype) *entry_set_type;
	typeof(archive_entry_set_perm) *entry_set_mode;
	typeof(archive_entry_set_size) *entry_set_size;
	typeof(archive_entry_set_mtime) *entry_set_mtime;
	typeof(archive_entry_sparse_add_entry) *entry_add_data;
};

/* Loads it for the rest of the process; a second call gives the same. 0, or -ENOENT with a sentence.
 * Not to be called by two threads at once. */
int archive_library_get(const struct archive_library **ret_library, struct error *err) MUST_USE;
