#include "cli/run_disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/disk_spec.h"
#include "vm/disk_image.h"

static int check_access(const struct disk_spec *spec, struct error *err)
{
	if (!spec->options.read_only && access(spec->path, W_OK) < 0) {
		int r = -errno;
		error_set(err, "cannot write the disk %s: %s (with :ro it is only read)",
			  spec->path, strerror(-r));
		return r;
	}
	if (spec->options.caching != DISK_CACHING_UNCACHED)
		return 0;
	/* Some file systems have no direct I/O; QEMU would say so in a sentence for programmers. */
	autoclose int fd = open(spec->path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		int r = -errno;
		error_set(err, "the disk %s cannot be had with caching=uncached: %s", spec->path,
			  r == -EINVAL ? "its file system has no direct I/O" : strerror(-r));
		return r;
	}
	return 0;
}

static int open_one(const struct disk_spec *spec, struct qemu_disk *ret_disk, char **ret_path,
		    struct error *err)
{
	struct disk_image image;
	int fd;

	int r = disk_image_open(spec->path, &fd, &image, err);
	if (r < 0)
		return r;
	fd_close(fd);
	r = check_access(spec, err);
	if (r < 0)
		return r;
	/* QEMU runs in another directory. */
	char *path = realpath(spec->path, NULL);
	if (!path) {
		r = -errno;
		error_set(err, "cannot find the disk %s: %s", spec->path, strerror(-r));
		return r;
	}
	*ret_path = path;
	*ret_disk = (struct qemu_disk){ path, image.format, spec->options };
	return 0;
}

int run_disks_open(const struct disk_spec *specs, size_t count, struct run_disks *ret_disks,
		   struct error *err)
{
	struct run_disks disks = { .count = 0 };

	for (; disks.count < count; disks.count++) {
		int r = open_one(&specs[disks.count], &disks.disks[disks.count],
				 &disks.paths[disks.count], err);
		if (r < 0) {
			run_disks_done(&disks);
			return r;
		}
	}
	*ret_disks = disks;
	return 0;
}

void run_disks_done(struct run_disks *disks)
{
	for (size_t i = 0; i < disks->count; i++)
		free(disks->paths[i]);
	disks->count = 0;
}
