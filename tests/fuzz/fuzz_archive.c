/* An archive of any bytes: what is taken is a VM whose files are the ones that its config names, of which none
 * stands on another file; what is refused gets a sentence; no file is made anywhere else, and no more is
 * written than there is room. */

#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "vm/archive_members.h"
#include "vm/disk_image.h"
#include "vm/files.h"
#include "vm/vm_import.h"

#define ROOM (UINT64_C(1) << 20)

/* One for the whole run, with a draft in it for each input. */
static int scratch_fd = -1;
static char scratch_path[] = "/tmp/tartlet-fuzz-XXXXXX";

static void remove_scratch(void)
{
	(void)files_remove_tree(AT_FDCWD, scratch_path);
}

static int make_draft(void)
{
	if (scratch_fd < 0) {
		FUZZ_CHECK(mkdtemp(scratch_path));
		scratch_fd = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		FUZZ_CHECK(scratch_fd >= 0 && atexit(remove_scratch) == 0);
	}
	FUZZ_CHECK(mkdirat(scratch_fd, "draft", 0700) == 0);
	int fd = openat(scratch_fd, "draft", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0);
	return fd;
}

static void check_files(int draft_fd, const struct vm_config *config)
{
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	size_t count = archive_members_of(config, members);
	uint64_t written = 0;

	FUZZ_CHECK(archive_members_check_config(config, NULL) == 0);
	for (size_t i = 0; i < count; i++) {
		struct disk_image image;
		struct stat status;

		if (members[i].optional && faccessat(draft_fd, members[i].name, F_OK, 0) < 0)
			continue;
		FUZZ_CHECK(fstatat(draft_fd, members[i].name, &status, AT_SYMLINK_NOFOLLOW) == 0);
		FUZZ_CHECK(S_ISREG(status.st_mode) && status.st_nlink == 1);
		FUZZ_CHECK((uint64_t)status.st_size <= members[i].size_most);
		written += (uint64_t)status.st_blocks * 512;
		FUZZ_CHECK(!members[i].disk ||
			   disk_image_check(draft_fd, members[i].name, &image, NULL) == 0);
	}
	/* A page for each piece of one at most, and what the file system needs for itself. */
	FUZZ_CHECK(written <= 4 * ROOM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { .text = "" };
	struct vm_config config;
	int archive_fd = memfd_create("archive", MFD_CLOEXEC);
	int draft_fd = make_draft();

	FUZZ_CHECK(archive_fd >= 0 && write(archive_fd, data, size) == (ssize_t)size);
	FUZZ_CHECK(lseek(archive_fd, 0, SEEK_SET) == 0);
	if (vm_import(archive_fd, draft_fd, ROOM, NULL, &config, &err) < 0) {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
	} else {
		check_files(draft_fd, &config);
		vm_config_done(&config);
	}
	close(draft_fd);
	close(archive_fd);
	FUZZ_CHECK(files_remove_tree(scratch_fd, "draft") == 0);
	return 0;
}
