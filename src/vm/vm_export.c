#include "vm/vm_export.h"

#include <errno.h>
#include <fcntl.h>
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
#include "vm/qemu_img.h"
#include "vm/vm_config.h"
#include "vm/zstd_file.h"

#define CHUNK ((size_t)1 << 20)
#define MODE  0600

struct export
{
	const struct archive_library *library;
	struct archive *archive;
	struct zstd_file *file; /* what the library writes to */
	int file_status;	/* 0 or negative errno of the last write */
	const char *zeros;	/* CHUNK of them: what stands for a hole, which is not written */
	char *buffer;		/* CHUNK */
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	int fds[ARCHIVE_MEMBERS_MOST]; /* of the members, to read from; -1 = none */
	size_t count;
	struct files_progress *progress;
	uint64_t done;
	uint64_t total; /* bytes on the disk */
};

/* A range of a file that is no hole. */
struct extent {
	off_t start;
	off_t end;
};

/* The next one from `at` on; an empty one at the end of the file where there is none. */
static int find_extent(int fd, off_t at, off_t size, struct extent *ret_extent)
{
	off_t start = lseek(fd, at, SEEK_DATA);
	off_t end = start < 0 ? start : lseek(fd, start, SEEK_HOLE);

	if (end < 0 && errno != ENXIO)
		return -errno;
	if (end < 0 || start > size)
		start = size;
	if (end < 0 || end > size)
		end = size;
	*ret_extent = (struct extent){ start, end };
	return 0;
}

static int library_failure(const struct export *export, struct error *err)
{
	const char *words = export->library->error_string(export->archive);

	if (export->file_status < 0)
		words = strerror(-export->file_status);
	error_set(err, "cannot write the archive: %s", words ? words : "no reason given");
	return export->file_status < 0 ? export->file_status : -EIO;
}

/* For the library: the bytes of the tar. */
static la_ssize_t write_to_file(struct archive *archive, void *context, const void *data,
				size_t size)
{
	struct export *export = context;

	(void)archive;
	export->file_status = zstd_file_write(export->file, data, size);
	return export->file_status < 0 ? -1 : (la_ssize_t)size;
}

static int read_failure(const struct archive_member *member, int r, struct error *err)
{
	error_set(err, "cannot read %s of the VM: %s", member->file, strerror(-r));
	return r;
}

/* As much of the data as is read in one turn. Returns how much that was, or negative errno. */
static ssize_t write_chunk(struct export *export, size_t i, const struct extent *extent, off_t at,
			   struct error *err)
{
	size_t left = (size_t)(extent->end - at);
	ssize_t n = pread(export->fds[i], export->buffer, left < CHUNK ? left : CHUNK, at);

	if (n <= 0)
		return read_failure(&export->members[i], n < 0 ? -errno : -EIO, err);
	if (export->library->write_data(export->archive, export->buffer, (size_t)n) != n)
		return library_failure(export, err);
	export->done += (uint64_t)n;
	if (export->progress)
		export->progress->advance(export->progress, export->done, export->total);
	if (!held_signals_waiting())
		return n;
	error_set(err, "the export was broken off");
	return -EINTR;
}

static int write_extent(struct export *export, size_t i, const struct extent *extent,
			struct error *err)
{
	for (off_t at = extent->start; at < extent->end;) {
		ssize_t n = write_chunk(export, i, extent, at, err);
		if (n < 0)
			return (int)n;
		at += n;
	}
	return 0;
}

/* The library counts on getting holes, too, though it writes none. */
static int pass_hole(const struct export *export, off_t size, struct error *err)
{
	while (size > 0) {
		size_t step = size < (off_t)CHUNK ? (size_t)size : CHUNK;
		if (export->library->write_data(export->archive, export->zeros, step) !=
		    (ssize_t)step)
			return library_failure(export, err);
		size -= (off_t)step;
	}
	return 0;
}

/* The list of holes is written with the first bytes, so that a file that is all hole needs one. */
static int begin_hole(const struct export *export, struct error *err)
{
	return export->library->write_data(export->archive, export->zeros, 1) < 0
		       ? library_failure(export, err)
		       : 0;
}

/* The hole at the end is not waited for. */
static int write_content(struct export *export, size_t i, off_t size, struct error *err)
{
	struct extent extent = { 0 };
	off_t at = 0;

	for (;;) {
		int r = find_extent(export->fds[i], at, size, &extent);
		if (r < 0)
			return read_failure(&export->members[i], r, err);
		if (extent.start == extent.end)
			return at == 0 && size > 0 ? begin_hole(export, err) : 0;
		r = pass_hole(export, extent.start - at, err);
		if (r == 0)
			r = write_extent(export, i, &extent, err);
		if (r < 0)
			return r;
		at = extent.end;
	}
}

static struct archive_entry *new_entry(const struct export *export, const char *name, off_t size,
				       time_t changed_s)
{
	const struct archive_library *library = export->library;
	struct archive_entry *entry = library->entry_new();

	if (!entry)
		return NULL;
	library->entry_set_name(entry, name);
	library->entry_set_type(entry, AE_IFREG);
	library->entry_set_mode(entry, MODE);
	library->entry_set_size(entry, size);
	library->entry_set_mtime(entry, changed_s, 0);
	return entry;
}

/* Tells the entry where data are, if there are holes. */
static int describe_holes(const struct export *export, struct archive_entry *entry, int fd,
			  off_t size)
{
	struct extent extent = { 0 };
	off_t at = 0;

	int r = find_extent(fd, 0, size, &extent);
	if (r < 0 || (extent.start == 0 && extent.end == size))
		return r;
	/* One that is all hole has an empty range of data. */
	if (extent.start == extent.end)
		export->library->entry_add_data(entry, 0, 0);
	while (r == 0 && extent.start < extent.end) {
		export->library->entry_add_data(entry, extent.start, extent.end - extent.start);
		at = extent.end;
		r = find_extent(fd, at, size, &extent);
	}
	return r;
}

static int write_member(struct export *export, size_t i, struct error *err)
{
	const struct archive_member *member = &export->members[i];
	struct stat status;

	if (fstat(export->fds[i], &status) < 0)
		return read_failure(member, -errno, err);
	struct archive_entry *entry =
		new_entry(export, member->name, status.st_size, status.st_mtime);
	int r = entry ? describe_holes(export, entry, export->fds[i], status.st_size) : -ENOMEM;
	if (r < 0)
		r = read_failure(member, r, err);
	else if (export->library->write_header(export->archive, entry) != ARCHIVE_OK)
		r = library_failure(export, err);
	if (entry)
		export->library->entry_free(entry);
	if (r == 0)
		r = write_content(export, i, status.st_size, err);
	if (r == 0 && export->library->write_finish_entry(export->archive) != ARCHIVE_OK)
		r = library_failure(export, err);
	return r;
}

static int write_config(struct export *export, const struct vm_config *config, struct error *err)
{
	autofree char *text = archive_members_format_config(config);
	size_t size = text ? strlen(text) : 0;
	struct archive_entry *entry =
		text ? new_entry(export, ARCHIVE_CONFIG_NAME, (off_t)size, time(NULL)) : NULL;

	if (!entry) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	bool good = export->library->write_header(export->archive, entry) == ARCHIVE_OK &&
		    export->library->write_data(export->archive, text, size) == (ssize_t)size &&
		    export->library->write_finish_entry(export->archive) == ARCHIVE_OK;
	export->library->entry_free(entry);
	return good ? 0 : library_failure(export, err);
}

static int write_all(struct export *export, const struct vm_config *config, struct error *err)
{
	const struct archive_library *library = export->library;

	/* Blocks of 0 bytes: what is written comes to us as it is, with no padding at the end. */
	if (library->write_set_pax(export->archive) != ARCHIVE_OK ||
	    library->write_set_block_size(export->archive, 0) != ARCHIVE_OK ||
	    library->write_open(export->archive, export, NULL, write_to_file, NULL) != ARCHIVE_OK)
		return library_failure(export, err);
	int r = write_config(export, config, err);
	for (size_t i = 0; i < export->count && r == 0; i++) {
		if (export->fds[i] >= 0)
			r = write_member(export, i, err);
	}
	if (r == 0 && library->write_close(export->archive) != ARCHIVE_OK)
		r = library_failure(export, err);
	if (r == 0 && (export->file_status = zstd_file_finish(export->file)) < 0)
		r = library_failure(export, err);
	return r;
}

/* --- the files ----------------------------------------------------------------------------- */

static int open_file(int directory_fd, const char *name, int *ret_fd)
{
	struct stat status;
	autoclose int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	*ret_fd = fd_take(&fd);
	return 0;
}

static int flatten(const struct vm_home *home, const struct vm_directory *directory,
		   const struct archive_member *member, int *ret_fd, struct error *err)
{
	struct vm_draft draft;

	int r = vm_draft_begin(home, &draft, err);
	if (r < 0)
		return r;
	r = qemu_img_flatten(directory->fd, member->file, draft.fd, member->name, err);
	if (r == 0)
		r = open_file(draft.fd, member->name, ret_fd);
	vm_draft_end(home, &draft); /* what is open stays until it is closed */
	return r;
}

static int open_member(const struct vm_home *home, const struct vm_directory *directory,
		       const struct archive_member *member, int *ret_fd, struct error *err)
{
	struct disk_image image = { 0 };

	if (member->disk) {
		int r = disk_image_look(directory->fd, member->file, &image);
		if (r < 0)
			return read_failure(member, r, err);
	}
	if (image.dependence)
		return flatten(home, directory, member, ret_fd, err);
	int r = open_file(directory->fd, member->file, ret_fd);
	if (r == -ENOENT && member->optional)
		return 0;
	return r < 0 ? read_failure(member, r, err) : 0;
}

static int open_members(struct export *export, const struct vm_home *home,
			const struct vm_directory *directory, struct error *err)
{
	for (size_t i = 0; i < export->count; i++) {
		struct stat status;
		int r = open_member(home, directory, &export->members[i], &export->fds[i], err);
		if (r < 0)
			return r;
		if (export->fds[i] >= 0 && fstat(export->fds[i], &status) == 0)
			export->total += (uint64_t)status.st_blocks * 512;
	}
	return 0;
}

static int export_config(struct export *export, const struct vm_home *home,
			 const struct vm_directory *directory, const struct vm_config *config,
			 int archive_fd, struct error *err)
{
	export->count = archive_members_of(config, export->members);
	for (size_t i = 0; i < export->count; i++)
		export->fds[i] = -1;
	int r = open_members(export, home, directory, err);
	if (r == 0)
		r = zstd_file_new(archive_fd, &export->file, err);
	if (r == 0)
		r = write_all(export, config, err);
	for (size_t i = 0; i < export->count; i++)
		fd_close(export->fds[i]);
	return r;
}

int vm_export(const struct vm_home *home, const struct vm_directory *directory, int archive_fd,
	      struct files_progress *progress, struct error *err)
{
	struct export export = { .progress = progress };
	struct vm_config config;

	int r = archive_library_get(&export.library, err);
	if (r == 0)
		r = vm_directory_config(directory, &config, err);
	if (r < 0)
		return r;
	autofree char *memory = calloc(2, CHUNK);
	export.zeros = memory;
	export.archive = export.library->write_new();
	if (memory && export.archive) {
		export.buffer = memory + CHUNK;
		r = export_config(&export, home, directory, &config, archive_fd, err);
	} else {
		error_set(err, "out of memory");
		r = -ENOMEM;
	}
	(void)export.library->write_free(export.archive); /* may write once more */
	zstd_file_free(export.file);
	vm_config_done(&config);
	return r;
}
