#pragma once
/*
 * An archive of a VM, as vm_export() writes it, back into files. The archive may come from anywhere: it
 * holds the members of archive_members.h, each once and each a regular file, or it is refused. A disk that
 * stands on another file is refused as in `create` (disk_image.h).
 */

#include <stdint.h>

#include "base/compiler.h"
#include "vm/files.h"
#include "vm/vm_config.h"

struct error;

/*
 * Reads the archive, a file, from where it stands, and makes the files in the directory, a draft, but for
 * config.json, which is *ret_config and is to be saved there; one vm_config_done(). Writes no more than `room`
 * bytes: zeros are holes. 0, or negative errno with a sentence that may quote what is in the archive; -EINTR
 * when a signal that is held (base/held_signals.h) broke it off. After a failure, parts are left in the directory.
 */
int vm_import(int archive_fd, int directory_fd, uint64_t room, struct files_progress *progress,
	      struct vm_config *ret_config, struct error *err) MUST_USE;
