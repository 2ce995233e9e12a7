#pragma once
/* qemu-img: what it does that is not worth doing ourselves. It works in the directory of the VM. */

#include <stdint.h>

#include "base/compiler.h"
#include "vm/disk_image.h"

struct error;

/* A new qcow2 image `name` that has all but what is written from now on in `backing`, an absolute path.
 * 0 or negative errno with a sentence. */
int qemu_img_overlay(int directory_fd, const char *name, const char *backing,
		     enum disk_format backing_format, uint64_t size, struct error *err) MUST_USE;

/* Makes the disk in an image larger. 0 or negative errno with a sentence. */
int qemu_img_grow(int directory_fd, const char *name, enum disk_format format, uint64_t size,
		  struct error *err) MUST_USE;

/* A new qcow2 image `to_name` in another directory that has all that the qcow2 image `name` has with the
 * files that it stands on. 0 or negative errno with a sentence; -EINTR when a signal that is held
 * (base/held_signals.h) broke it off. Then a part of it is left. */
int qemu_img_flatten(int directory_fd, const char *name, int to_directory_fd, const char *to_name,
		     struct error *err) MUST_USE;
