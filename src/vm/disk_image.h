#pragma once
/*
 * What a disk image is, judged by its content: raw or qcow2, and how large a disk the guest sees. An
 * image may come from anywhere, so one that makes QEMU open another file (a qcow2's backing or data
 * file) is refused: it would hand the guest any file that the caller may read. Only a VM's own disk,
 * which we made, may stand on another file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct error;

#define DISK_SECTOR_SIZE 512
/* What disk_image_judge() wants to see of an image, where it is that long. */
#define DISK_IMAGE_HEAD_SIZE 1024

enum disk_format {
	DISK_FORMAT_RAW,
	DISK_FORMAT_QCOW2,
};

struct disk_image {
	enum disk_format format;
	uint64_t size; /* bytes that the guest sees */
	/* NULL, or the end of a sentence on why it does not stand alone. */
	const char *dependence;
	bool boots; /* has a boot sector or a partition table; not known of a qcow2: then true */
};

/* "raw", "qcow2": also QEMU's names. */
const char *disk_format_name(enum disk_format format);
bool disk_format_parse(const char *text, enum disk_format *ret_format) MUST_USE;

/* By the first bytes of an image of image_size bytes. 0, or -EINVAL with the rest of a sentence that
 * begins with the image's name. */
int disk_image_judge(const void *head, size_t head_size, uint64_t image_size,
		     struct disk_image *ret_image, struct error *err) MUST_USE;

/* Opens a regular file or a block device for reading, and judges it; one that does not stand alone is
 * refused. 0 with a descriptor that is the caller's, or negative errno with a sentence that names the
 * path. */
int disk_image_open(const char *path, int *ret_fd, struct disk_image *ret_image,
		    struct error *err) MUST_USE;
/* The same of a file in a directory, without a descriptor of it. */
int disk_image_check(int directory_fd, const char *name, struct disk_image *ret_image,
		     struct error *err) MUST_USE;
/* What a VM's own disk is. 0 or negative errno. */
int disk_image_look(int directory_fd, const char *name, struct disk_image *ret_image) MUST_USE;
