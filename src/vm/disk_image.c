#include "vm/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "wire/reader.h"

/* QEMU: docs/interop/qcow2.txt */
#define QCOW2_MAGIC		 UINT32_C(0x514649fb)
#define QCOW2_CLUSTER_BITS_LEAST 9
#define QCOW2_CLUSTER_BITS_MOST	 21
#define QCOW2_CORRUPT		 (UINT32_C(1) << 1)
#define QCOW2_DATA_FILE		 (UINT32_C(1) << 2)
#define BOOT_SIGNATURE_AT	 510

static const char *const format_names[] = {
	[DISK_FORMAT_RAW] = "raw",
	[DISK_FORMAT_QCOW2] = "qcow2",
};

/* What people have at hand in an image's place. */
static const struct {
	const char *bytes;
	size_t size;
	size_t at;
	const char *what;
	const char *advice;
} others[] = {
	{ "KDMV", 4, 0, "a VMDK image", "convert it with qemu-img convert -O qcow2" },
	{ "# Disk DescriptorFile", 21, 0, "a VMDK image",
	  "convert it with qemu-img convert -O qcow2" },
	{ "vhdxfile", 8, 0, "a VHDX image", "convert it with qemu-img convert -O qcow2" },
	{ "conectix", 8, 0, "a VHD image", "convert it with qemu-img convert -O qcow2" },
	{ "\x7f\x10\xda\xbe", 4, 0x40, "a VDI image", "convert it with qemu-img convert -O qcow2" },
	{ "QED\0", 4, 0, "a QED image", "convert it with qemu-img convert -O qcow2" },
	{ "\x1f\x8b", 2, 0, "compressed with gzip", "unpack it first" },
	{ "\xfd"
	  "7zXZ\0",
	  6, 0, "compressed with xz", "unpack it first" },
	{ "\x28\xb5\x2f\xfd", 4, 0, "compressed with zstd", "unpack it first" },
	{ "BZh", 3, 0, "compressed with bzip2", "unpack it first" },
	{ "PK\x03\x04", 4, 0, "a zip archive", "unpack it first" },
	{ "\x7f"
	  "ELF",
	  4, 0, "a program", "a disk image is needed" },
};

const char *disk_format_name(enum disk_format format)
{
	return format_names[format];
}

bool disk_format_parse(const char *text, enum disk_format *ret_format)
{
	for (size_t i = 0; i < ARRAY_COUNT(format_names); i++) {
		if (strcmp(text, format_names[i]) == 0) {
			*ret_format = (enum disk_format)i;
			return true;
		}
	}
	return false;
}

static uint64_t read_u64(struct reader *reader)
{
	uint64_t high = reader_u32(reader);

	return high << 32 | reader_u32(reader);
}

static int judge_qcow2(struct reader *reader, struct disk_image *ret_image, struct error *err)
{
	uint32_t incompatible = 0;
	uint32_t version = reader_u32(reader);
	uint64_t backing_at = read_u64(reader);
	reader_skip(reader, 4); /* the length of the backing file's name */
	uint32_t cluster_bits = reader_u32(reader);
	uint64_t size = read_u64(reader);
	uint32_t encryption = reader_u32(reader);
	reader_skip(reader, 36);
	if (version >= 3) {
		reader_skip(reader, 4);
		incompatible = reader_u32(reader);
	}
	if (!reader_ok(reader) || version < 2 || version > 3 ||
	    cluster_bits < QCOW2_CLUSTER_BITS_LEAST || cluster_bits > QCOW2_CLUSTER_BITS_MOST ||
	    size == 0 || size > INT64_MAX || (incompatible & QCOW2_CORRUPT))
		error_set(err, "is a damaged qcow2 image: qemu-img check may say more");
	else if (encryption != 0)
		error_set(err, "is an encrypted qcow2 image: convert it with qemu-img convert");
	else {
		*ret_image = (struct disk_image){
			.format = DISK_FORMAT_QCOW2,
			.size = size,
			.boots = true,
			.dependence = backing_at != 0 ? "on top of another file"
				      : (incompatible & QCOW2_DATA_FILE)
					      ? "whose data are in another file"
					      : NULL,
		};
		return 0;
	}
	return -EINVAL;
}

static bool is_other(const uint8_t *head, size_t size, struct error *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
		if (others[i].at + others[i].size <= size &&
		    memcmp(head + others[i].at, others[i].bytes, others[i].size) == 0) {
			error_set(err, "is %s: %s", others[i].what, others[i].advice);
			return true;
		}
	}
	return false;
}

int disk_image_judge(const void *head, size_t head_size, uint64_t image_size,
		     struct disk_image *ret_image, struct error *err)
{
	const uint8_t *bytes = head;
	struct reader reader = reader_of(head, head_size);

	if (reader_u32(&reader) == QCOW2_MAGIC)
		return judge_qcow2(&reader, ret_image, err);
	if (is_other(bytes, head_size, err))
		return -EINVAL;
	if (image_size == 0 || image_size % DISK_SECTOR_SIZE != 0 || head_size < DISK_SECTOR_SIZE) {
		error_set(err,
			  "is no disk image: it has %" PRIu64
			  " bytes, which is no number of sectors of %d bytes",
			  image_size, DISK_SECTOR_SIZE);
		return -EINVAL;
	}
	/* The signature of a master boot record, which GPT and FAT have too. */
	bool boots = bytes[BOOT_SIGNATURE_AT] == 0x55 && bytes[BOOT_SIGNATURE_AT + 1] == 0xaa;
	*ret_image = (struct disk_image){ .format = DISK_FORMAT_RAW,
					  .size = image_size,
					  .boots = boots };
	return 0;
}

static int judge_open(int fd, const struct stat *status, struct disk_image *ret_image,
		      struct error *err)
{
	uint8_t head[DISK_IMAGE_HEAD_SIZE];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	/* stat() has no size of a block device. */
	off_t size = S_ISBLK(status->st_mode) ? lseek(fd, 0, SEEK_END) : status->st_size;

	if (n < 0 || size < 0) {
		int r = -errno;
		error_set(err, "cannot be read: %s", strerror(-r));
		return r;
	}
	return disk_image_judge(head, (size_t)n, (uint64_t)size, ret_image, err);
}

static int open_at(int directory_fd, const char *path, int *ret_fd, struct disk_image *ret_image,
		   struct error *err)
{
	struct stat status;
	int r;

	/* O_NONBLOCK: a pipe must not hang us. */
	autoclose int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0) {
		r = -errno;
		error_set(err, "cannot read the image %s: %s", path, strerror(-r));
		return r;
	}
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
		error_set(err, "%s is no disk image: neither a regular file nor a block device",
			  path);
		return -EINVAL;
	}
	struct error reason = { .text = "" };
	r = judge_open(fd, &status, ret_image, &reason);
	if (r < 0) {
		error_set(err, "%s %s", path, reason.text);
		return r;
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

static int open_alone(int directory_fd, const char *path, int *ret_fd, struct disk_image *ret_image,
		      struct error *err)
{
	struct disk_image image = { 0 };
	int fd = -1;

	int r = open_at(directory_fd, path, &fd, &image, err);
	if (r < 0)
		return r;
	if (image.dependence) {
		error_set(
			err,
			"%s is a qcow2 image %s: make one that stands alone with qemu-img convert "
			"-O qcow2",
			path, image.dependence);
		fd_close(fd);
		return -EINVAL;
	}
	*ret_fd = fd;
	*ret_image = image;
	return 0;
}

int disk_image_open(const char *path, int *ret_fd, struct disk_image *ret_image, struct error *err)
{
	return open_alone(AT_FDCWD, path, ret_fd, ret_image, err);
}

int disk_image_check(int directory_fd, const char *name, struct disk_image *ret_image,
		     struct error *err)
{
	int fd = -1;
	int r = open_alone(directory_fd, name, &fd, ret_image, err);

	if (r == 0)
		fd_close(fd);
	return r;
}

int disk_image_look(int directory_fd, const char *name, struct disk_image *ret_image)
{
	int fd = -1;
	int r = open_at(directory_fd, name, &fd, ret_image, NULL);

	if (r == 0)
		fd_close(fd);
	return r;
}
