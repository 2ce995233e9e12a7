#include "vm/archive_library.h"

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/late_library.h"

static const char *const names[] = { "libarchive.so.13", NULL };

static bool find_all(void *handle, struct archive_library *library)
{
	const struct {
		const char *name;
		void *function; /* a pointer to the pointer */
	} wanted[] = {
		{ "archive_error_string", &library->error_string },
		{ "archive_errno", &library->error_number },
		{ "archive_read_new", &library->read_new },
		{ "archive_read_support_filter_gzip", &library->read_support_gzip },
		{ "archive_read_support_filter_zstd", &library->read_support_zstd },
		{ "archive_read_support_format_tar", &library->read_support_tar },
		{ "archive_read_open_fd", &library->read_open_fd },
		{ "archive_read_next_header", &library->read_next_header },
		{ "archive_read_data_block", &library->read_data_block },
		{ "archive_read_free", &library->read_free },
		{ "archive_filter_bytes", &library->filter_bytes },
		{ "archive_write_new", &library->write_new },
		{ "archive_write_set_format_pax_restricted", &library->write_set_pax },
		{ "archive_write_set_bytes_per_block", &library->write_set_block_size },
		{ "archive_write_open", &library->write_open },
		{ "archive_write_header", &library->write_header },
		{ "archive_write_data", &library->write_data },
		{ "archive_write_finish_entry", &library->write_finish_entry },
		{ "archive_write_close", &library->write_close },
		{ "archive_write_free", &library->write_free },
		{ "archive_entry_new", &library->entry_new },
		{ "archive_entry_free", &library->entry_free },
		{ "archive_entry_pathname", &library->entry_name },
		{ "archive_entry_filetype", &library->entry_type },
		{ "archive_entry_hardlink", &library->entry_hardlink },
		{ "archive_entry_size", &library->entry_size },
		{ "archive_entry_size_is_set", &library->entry_size_is_set },
		{ "archive_entry_set_pathname", &library->entry_set_name },
		{ "archive_entry_set_filetype", &library->entry_set_type },
		{ "archive_entry_set_perm", &library->entry_set_mode },
		{ "archive_entry_set_size", &library->entry_set_size },
		{ "archive_entry_set_mtime", &library->entry_set_mtime },
		{ "archive_entry_sparse_add_entry", &library->entry_add_data },
	};

	for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
		if (!late_library_find(handle, wanted[i].name, wanted[i].function))
			return false;
	}
	return true;
}

int archive_library_get(const struct archive_library **ret_library, struct error *err)
{
	static struct archive_library library;
	static bool loaded;

	if (!loaded) {
		void *handle = late_library_open(names);

		if (!handle || !find_all(handle, &library)) {
			error_set(err, "cannot load libarchive, which reads and writes archives: "
				       "install the package libarchive13");
			return -ENOENT;
		}
		loaded = true;
	}
	*ret_library = &library;
	return 0;
}
