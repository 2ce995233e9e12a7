#pragma once
/*
 * A VM as one file: a tar archive compressed with zstd, where holes of the disks stay holes. A disk that
 * stands on another file is made whole for it.
 */

#include "base/compiler.h"
#include "vm/files.h"
#include "vm/vm_directory.h"

struct error;
struct vm_home;

/*
 * Writes it to an empty file. The caller sees to it that nobody runs or changes the VM meanwhile. 0, or
 * negative errno with a sentence; -EINTR when a signal that is held (base/held_signals.h) broke it off.
 */
int vm_export(const struct vm_home *home, const struct vm_directory *directory, int archive_fd,
	      struct files_progress *progress, struct error *err) MUST_USE;
