#include "vm/vm_import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/held_signals.h"
#include "vm/archive_library.h"
#include "vm/archive_members.h"
#include "vm/disk_image.h"
#include "vm/seed_settings.h"

#define READ_SIZE  ((size_t)1 << 17)
#define PAGE	   ((size_t)4096) /* zeros are left out where that many lie together */
#define NAME_SHOWN 64		  /* bytes of a name that may be shown */

struct import {
	const struct archive_library *library;
	struct archive *archive;
	int directory_fd;
	uint64_t room; /* bytes that may still be written */
	struct vm_config config;
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	bool seen[ARCHIVE_MEMBERS_MOST];
	size_t count;
	struct files_progress *progress;
	uint64_t archive_size;
};

static int library_failure(const struct import *import, struct error *err)
{
	int number = import->library->error_number(import->archive);
	const char *words = import->library->error_string(import->archive);

	/* The library's own numbers are no errno: ARCHIVE_ERRNO_FILE_FORMAT is EILSEQ or EINVAL. */
	error_set(err, "cannot read the archive: %s", words ? words : "it is damaged");
	return number == ENOMEM ? -ENOMEM : -EINVAL;
}

static int not_an_archive(struct error *err)
{
	error_set(err, "this is no archive of a VM: a tar archive, with zstd or gzip, is needed");
	return -EINVAL;
}

/* --- the content of a member --------------------------------------------------------------- */

/* Where the bytes of a member go; `at` is their place in it, and they lie within its size. */
typedef int take_fn(struct import *import, void *context, const char *data, size_t size,
		    uint64_t at, struct error *err);

/* Bytes come in order, with gaps where holes are. */
static int read_content(struct import *import, uint64_t size, take_fn *take, void *context,
			struct error *err)
{
	const void *data;
	size_t length;
	la_int64_t offset;
	uint64_t end = 0;

	for (;;) {
		int status =
			import->library->read_data_block(import->archive, &data, &length, &offset);
		if (status == ARCHIVE_EOF)
			return 0;
		if (status != ARCHIVE_OK)
			return library_failure(import, err);
		if (offset < 0 || (uint64_t)offset < end || (uint64_t)offset > size ||
		    length > size - (uint64_t)offset) {
			error_set(err, "the archive is damaged: a file in it overlaps itself");
			return -EINVAL;
		}
		end = (uint64_t)offset + length;
		int r = take(import, context, data, length, (uint64_t)offset, err);
		if (r < 0)
			return r;
		if (import->progress)
			import->progress->advance(
				import->progress,
				(uint64_t)import->library->filter_bytes(import->archive, -1),
				import->archive_size);
		if (held_signals_waiting()) {
			error_set(err, "the import was broken off");
			return -EINTR;
		}
	}
}

static int take_text(struct import *import, void *context, const char *data, size_t size,
		     uint64_t at, struct error *err)
{
	char *text = context;

	(void)import;
	(void)err;
	memcpy(text + at, data, size);
	return 0;
}

static bool is_zero(const char *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* Up to the end of the page that `at` lies in. */
static size_t page_piece(uint64_t at, size_t size)
{
	size_t left = PAGE - (size_t)(at % PAGE);

	return size < left ? size : left;
}

/* How many bytes from `data` on are one run of pages that are all zero, or of pages that are not. */
static size_t measure_run(const char *data, size_t size, uint64_t at, bool *ret_zero)
{
	size_t length = page_piece(at, size);
	bool zero = is_zero(data, length);

	while (length < size) {
		size_t piece = page_piece(at + length, size - length);
		if (is_zero(data + length, piece) != zero)
			break;
		length += piece;
	}
	*ret_zero = zero;
	return length;
}

static int write_run(struct import *import, int fd, const char *data, size_t size, uint64_t at,
		     struct error *err)
{
	if (size > import->room) {
		error_set(err, "there is too little room for it in the home directory");
		return -ENOSPC;
	}
	import->room -= size;
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;
			error_set(err, "cannot write to the home directory: %s", strerror(-r));
			return r;
		}
		data += n;
		size -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int take_file(struct import *import, void *context, const char *data, size_t size,
		     uint64_t at, struct error *err)
{
	const int *fd = context;

	while (size > 0) {
		bool zero;
		size_t length = measure_run(data, size, at, &zero);
		int r = zero ? 0 : write_run(import, *fd, data, length, at, err);
		if (r < 0)
			return r;
		data += length;
		size -= length;
		at += length;
	}
	return 0;
}

/* --- the members --------------------------------------------------------------------------- */

/* The archive's name for an entry, where it can be shown; else NULL. */
static const char *shown_name(const struct import *import, struct archive_entry *entry)
{
	const char *name = import->library->entry_name(entry);

	if (!name || strlen(name) > NAME_SHOWN)
		return NULL;
	for (const char *at = name; *at; at++) {
		if (*at < 0x20 || *at > 0x7e)
			return NULL;
	}
	return name;
}

static int refuse_entry(const struct import *import, struct archive_entry *entry, const char *why,
			struct error *err)
{
	const char *name = shown_name(import, entry);

	if (name)
		error_set(err, "this is no archive of a VM: \"%s\" in it %s", name, why);
	else
		error_set(err,
			  "this is no archive of a VM: a file in it, of an odd or long name, %s",
			  why);
	return -EINVAL;
}

/* A regular file of its own, not larger than that. */
static int check_entry(const struct import *import, struct archive_entry *entry, uint64_t most,
		       uint64_t *ret_size, struct error *err)
{
	const struct archive_library *library = import->library;

	if (library->entry_hardlink(entry) || library->entry_type(entry) != AE_IFREG)
		return refuse_entry(import, entry, "is no regular file", err);
	la_int64_t size = library->entry_size_is_set(entry) ? library->entry_size(entry) : -1;
	if (size < 0 || (uint64_t)size > most)
		return refuse_entry(import, entry, "is too large", err);
	*ret_size = (uint64_t)size;
	return 0;
}

static int read_config(struct import *import, struct archive_entry *entry, struct error *err)
{
	uint64_t size = 0;
	int r = check_entry(import, entry, ARCHIVE_CONFIG_MOST, &size, err);
	if (r < 0)
		return r;
	autofree char *text = calloc(1, (size_t)size + 1);
	if (!text) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	r = read_content(import, size, take_text, text, err);
	if (r < 0)
		return r;
	r = vm_config_parse(text, (size_t)size, &import->config, err);
	if (r == 0)
		r = archive_members_check_config(&import->config, err);
	if (r < 0) {
		error_prefix(err, "%s in the archive", ARCHIVE_CONFIG_NAME);
		return r;
	}
	import->count = archive_members_of(&import->config, import->members);
	return 0;
}

static int find_member(const struct import *import, struct archive_entry *entry, size_t *ret_index,
		       struct error *err)
{
	const char *name = import->library->entry_name(entry);

	for (size_t i = 0; name && i < import->count; i++) {
		if (strcmp(import->members[i].name, name) != 0)
			continue;
		if (import->seen[i])
			return refuse_entry(import, entry, "is there twice", err);
		*ret_index = i;
		return 0;
	}
	return refuse_entry(import, entry, "is none of the files that its config.json names", err);
}

static int make_file(struct import *import, const struct archive_member *member, uint64_t size,
		     struct error *err)
{
	autoclose int fd = openat(import->directory_fd, member->name,
				  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		int r = -errno;
		error_set(err, "cannot make a file %s of %" PRIu64 " bytes: %s", member->name, size,
			  strerror(-r));
		return r;
	}
	return read_content(import, size, take_file, &fd, err);
}

static int check_disk(const struct import *import, const struct archive_member *member,
		      struct error *err)
{
	struct disk_image image;

	int r = disk_image_check(import->directory_fd, member->name, &image, err);
	if (r < 0 || image.format == member->disk->format)
		return r;
	error_set(err, "%s in the archive is %s, but its config.json says %s", member->name,
		  disk_format_name(image.format), disk_format_name(member->disk->format));
	return -EINVAL;
}

static int read_member(struct import *import, struct archive_entry *entry, struct error *err)
{
	uint64_t size = 0;
	size_t i = 0;

	int r = find_member(import, entry, &i, err);
	if (r == 0)
		r = check_entry(import, entry, import->members[i].size_most, &size, err);
	if (r < 0)
		return r;
	import->seen[i] = true;
	r = make_file(import, &import->members[i], size, err);
	if (r == 0 && import->members[i].disk)
		r = check_disk(import, &import->members[i], err);
	return r;
}

static bool is_config(const struct import *import, struct archive_entry *entry)
{
	const char *name = import->library->entry_name(entry);

	return name && strcmp(name, ARCHIVE_CONFIG_NAME) == 0;
}

static int check_whole(const struct import *import, struct error *err)
{
	for (size_t i = 0; i < import->count; i++) {
		if (!import->seen[i] && !import->members[i].optional) {
			error_set(err, "the archive has no %s: it is not whole",
				  import->members[i].name);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_seed(const struct import *import, struct error *err)
{
	struct seed_settings seed;

	int r = seed_settings_load(import->directory_fd, &seed, err);
	if (r == 0)
		seed_settings_done(&seed);
	return r == -ENOENT ? 0 : r;
}

static int read_entries(struct import *import, struct error *err)
{
	struct archive_entry *entry;
	bool has_config = false;
	int status;

	while ((status = import->library->read_next_header(import->archive, &entry)) ==
	       ARCHIVE_OK) {
		int r;
		if (has_config)
			r = read_member(import, entry, err);
		else if (is_config(import, entry))
			r = read_config(import, entry, err);
		else
			r = refuse_entry(import, entry, "comes before its config.json", err);
		if (r < 0)
			return r;
		has_config = true;
	}
	/* A warning, too: nothing of what we write is cause for one. */
	if (!has_config)
		return not_an_archive(err);
	if (status != ARCHIVE_EOF)
		return library_failure(import, err);
	int r = check_whole(import, err);
	return r < 0 ? r : check_seed(import, err);
}

/* --- the archive --------------------------------------------------------------------------- */

/* Apple Archive, raw or compressed: what Tart itself exports. */
static bool is_apple_archive(int fd)
{
	char head[4] = "";

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       (memcmp(head, "AA01", 4) == 0 || memcmp(head, "pbz", 3) == 0);
}

static int open_archive(struct import *import, int archive_fd, struct error *err)
{
	const struct archive_library *library = import->library;
	struct stat status;

	if (is_apple_archive(archive_fd)) {
		error_set(err, "this is an archive of Tart on macOS, whose VMs do not run here");
		return -EINVAL;
	}
	if (fstat(archive_fd, &status) == 0)
		import->archive_size = (uint64_t)status.st_size;
	import->archive = library->read_new();
	if (!import->archive) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	/* A warning would be another program that is to be run to read it. */
	if (library->read_support_gzip(import->archive) != ARCHIVE_OK ||
	    library->read_support_zstd(import->archive) != ARCHIVE_OK ||
	    library->read_support_tar(import->archive) != ARCHIVE_OK)
		return library_failure(import, err);
	return library->read_open_fd(import->archive, archive_fd, READ_SIZE) == ARCHIVE_OK
		       ? 0
		       : not_an_archive(err);
}

int vm_import(int archive_fd, int directory_fd, uint64_t room, struct files_progress *progress,
	      struct vm_config *ret_config, struct error *err)
{
	struct import import = {
		.directory_fd = directory_fd,
		.room = room,
		.progress = progress,
	};

	int r = archive_library_get(&import.library, err);
	if (r < 0)
		return r;
	r = open_archive(&import, archive_fd, err);
	if (r == 0)
		r = read_entries(&import, err);
	if (import.archive)
		(void)import.library->read_free(import.archive); /* closes no descriptor */
	if (r < 0)
		vm_config_done(&import.config);
	else
		*ret_config = import.config;
	return r;
}
