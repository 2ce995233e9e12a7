#include "vm/disk_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/qemu_img.h"

static int make_empty(int directory_fd, const char *name, uint64_t size, struct error *err)
{
	autoclose int fd = openat(directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = fd < 0 || ftruncate(fd, (off_t)size) < 0 ? -errno : 0;

	if (r < 0)
		error_set(err, "cannot make a disk of %" PRIu64 " bytes: %s", size, strerror(-r));
	return r;
}

static void explain_copy(int directory_fd, const char *path, int status, struct error *err)
{
	struct statvfs room;

	if (status == -ENOSPC && fstatvfs(directory_fd, &room) == 0)
		error_set(
			err,
			"cannot copy %s: it does not fit into the %" PRIu64
			" bytes that are free in the home directory (--backing does without a copy)",
			path, (uint64_t)room.f_bavail * room.f_frsize);
	else
		error_set(err, "cannot copy %s: %s", path, strerror(-status));
}

static int copy(int directory_fd, const char *name, const struct disk_plan *plan, int from_fd,
		struct error *err)
{
	autoclose int to_fd =
		openat(directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = to_fd < 0 ? -errno : files_copy(from_fd, to_fd, plan->progress);

	if (r < 0)
		explain_copy(directory_fd, plan->image, r, err);
	return r;
}

int disk_grow(int directory_fd, const char *name, enum disk_format format, uint64_t size,
	      struct error *err)
{
	if (format != DISK_FORMAT_RAW)
		return qemu_img_grow(directory_fd, name, format, size, err);
	autoclose int fd = openat(directory_fd, name, O_RDWR | O_CLOEXEC);
	int r = fd < 0 || ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	if (r < 0)
		error_set(err, "cannot make the disk larger: %s", strerror(-r));
	return r;
}

static int make_layer(int directory_fd, const char *name, const struct disk_plan *plan,
		      const struct disk_image *image, struct error *err)
{
	autofree char *path = realpath(plan->image, NULL);

	if (!path) {
		int r = -errno;
		error_set(err, "cannot read the image %s: %s", plan->image, strerror(-r));
		return r;
	}
	return qemu_img_overlay(directory_fd, name, path, image->format,
				plan->size ? plan->size : image->size, err);
}

static int check(const struct disk_plan *plan, const struct disk_image *image, struct error *err)
{
	if (plan->must_boot && !image->boots) {
		error_set(err,
			  "%s has no partition table and no boot sector, so that UEFI cannot boot "
			  "from it: give a kernel with --kernel and --initrd",
			  plan->image);
		return -EINVAL;
	}
	if (plan->size != 0 && plan->size < image->size) {
		error_set(err,
			  "new disk size of %" PRIu64
			  " bytes should be larger than the current disk size of %" PRIu64 " bytes",
			  plan->size, image->size);
		return -EINVAL;
	}
	return 0;
}

int disk_make(int directory_fd, const char *name, const struct disk_plan *plan,
	      enum disk_format *ret_format, struct error *err)
{
	struct disk_image image;
	int fd;

	if (!plan->image) {
		*ret_format = DISK_FORMAT_RAW;
		return make_empty(directory_fd, name, plan->size, err);
	}
	int r = disk_image_open(plan->image, &fd, &image, err);
	if (r < 0)
		return r;
	autoclose int from_fd = fd;
	r = check(plan, &image, err);
	if (r < 0)
		return r;
	if (plan->backing) {
		*ret_format = DISK_FORMAT_QCOW2;
		return make_layer(directory_fd, name, plan, &image, err);
	}
	*ret_format = image.format;
	r = copy(directory_fd, name, plan, from_fd, err);
	if (r == 0 && plan->size > image.size)
		r = disk_grow(directory_fd, name, image.format, plan->size, err);
	return r;
}
