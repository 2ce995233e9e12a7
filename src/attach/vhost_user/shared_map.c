#include "attach/vhost_user/shared_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The largest huge page; a file that claims more lies. */
#define PAGE_MOST ((size_t)1 << 30)

/* Of the files that can be sealed against shrinking, both kinds of memfd, one of huge pages has no page
 * where none is free: at first, or when its owner punched a hole. The other's are made when touched. */
static int check_keeps_its_pages(int fd, struct error *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs system;

	if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
		error_set(err, "shared memory that may shrink (no F_SEAL_SHRINK)");
		return -EPERM;
	}
	if (fstatfs(fd, &system) < 0) {
		error_set(err, "shared memory: %s", strerror(errno));
		return -EINVAL;
	}
	if ((unsigned long)system.f_type == HUGETLBFS_MAGIC) {
		error_set(err, "shared memory of huge pages, which may be missing when they are "
			       "touched (QEMU: memory-backend-memfd without hugetlb=on)");
		return -EPERM;
	}
	return 0;
}

/* hugetlbfs tells its page size as the block size, and maps nothing smaller. */
static size_t page_size_of(const struct stat *status)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t block = (size_t)status->st_blksize;

	if (block > page && block <= PAGE_MOST && (block & (block - 1)) == 0)
		return block;
	return page;
}

int shared_map_open(int fd, uint64_t offset, uint64_t size, bool allow_unsealed,
		    struct shared_map *ret_map, struct error *err)
{
	struct stat status;
	uint64_t end;

	/* First, since another kind of file may let fstat() wait (FUSE: for whoever sent it). */
	if (!allow_unsealed) {
		int error = check_keeps_its_pages(fd, err);

		if (error < 0)
			return error;
	}
	if (fstat(fd, &status) < 0) {
		error_set(err, "shared memory: %s", strerror(errno));
		return -EINVAL;
	}
	if (size == 0 || __builtin_add_overflow(offset, size, &end) || status.st_size < 0 ||
	    end > (uint64_t)status.st_size) {
		error_set(err,
			  "shared memory of %" PRIu64 " bytes at %" PRIu64
			  " is not inside its file of %lld bytes",
			  size, offset, (long long)status.st_size);
		return -EINVAL;
	}
	/* Inside a file, so nothing below overflows. */
	size_t page = page_size_of(&status);
	size_t before = (size_t)offset & (page - 1);
	size_t map_size = (before + (size_t)size + page - 1) & ~(page - 1);
	void *map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			 (off_t)(offset - before));

	if (map == MAP_FAILED) {
		int error = -errno;

		error_set(err, "shared memory cannot be mapped: %s", strerror(-error));
		return error;
	}
	/* Of no use in a core dump, and often larger than the disk. */
	(void)madvise(map, map_size, MADV_DONTDUMP);
	*ret_map = (struct shared_map){
		.bytes = (uint8_t *)map + before,
		.size = (size_t)size,
		.map = map,
		.map_size = map_size,
	};
	return 0;
}

void shared_map_close(struct shared_map *map)
{
	if (map->map)
		(void)munmap(map->map, map->map_size);
	*map = (struct shared_map){};
}
