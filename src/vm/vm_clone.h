#pragma once
/* The files of a VM, copied for another one. */

#include "base/compiler.h"
#include "vm/files.h"

struct error;
struct vm_directory;

/*
 * Fills an empty directory with all that makes the VM: not what tells of a run, and not the host key
 * that was seen of the guest. Blocks are shared where the file system can. The copy gets a MAC of its
 * own, unless the VM is suspended: its saved state needs the MAC that it has, so that both are kept. To
 * cloud-init it is another instance (seed_settings_renew()). The caller has a share of the source (vm_directory_share()). 0 or negative errno with a sentence; then a
 * part of it is there. progress: NULL = nobody wants to know.
 */
int vm_clone_fill(const struct vm_directory *source, int directory_fd,
		  struct files_progress *progress, struct error *err) MUST_USE;
