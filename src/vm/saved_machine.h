#pragma once
/*
 * With what a guest's state was saved, and whether it can go on in the machine that there is now. QEMU
 * itself does not check that: at best it ends with a sentence for programmers, at worst the guest goes
 * on over a disk that is another.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/accel.h"
#include "vm/disk_image.h"
#include "vm/net_attach.h"
#include "vm/qemu_args.h"
#include "vm/qemu_version.h"
#include "vm/vm_config.h"

struct error;

#define SAVED_DISK_MOST (VM_CONFIG_DISK_MOST + QEMU_DISK_MOST)

struct saved_disk {
	char *file; /* in the VM's directory, or an absolute path */
	enum disk_format format;
	uint64_t size; /* as the guest sees it */
	bool read_only;
	/* When it was last written, Unix time; 0 = not known, or of no matter: nobody else writes the
	 * VM's own. */
	int64_t modified_ns;
};

struct saved_machine {
	struct qemu_version qemu;
	enum accel accel;	/* not ACCEL_AUTO */
	enum net_attach attach; /* not NET_ATTACH_AUTO */
	unsigned cpu_count;
	uint64_t memory_size;
	struct mac_addr mac;
	struct ip_prefix subnet;
	struct ip_addr address;
	struct saved_disk disks[SAVED_DISK_MOST];
	size_t disk_count;
	json_t *arguments; /* saved_machine_arguments() */
};

void saved_machine_done(struct saved_machine *machine);

/* What of QEMU's arguments the guest sees, as a list of texts: "-device virtio-rng-pci". NULL without
 * memory. */
json_t *saved_machine_arguments(char *const *argv);

/* Looks at the disk; own: in the VM's directory. The caller has room for one more. 0 or negative errno
 * with a sentence. */
int saved_machine_add_disk(struct saved_machine *machine, int directory_fd,
			   const struct qemu_disk *disk, bool own, struct error *err) MUST_USE;
void saved_machine_drop_disks(struct saved_machine *machine);

/* If not, the first difference as the end of a sentence, which begins with "its". */
bool saved_machine_fits(const struct saved_machine *then, const struct saved_machine *now,
			struct error *err) MUST_USE;

/* The caller frees; NULL without memory. */
char *saved_machine_format(const struct saved_machine *machine);
/* False when it is damaged. One saved_machine_done(). */
bool saved_machine_parse(const char *text, size_t size, struct saved_machine *ret_machine) MUST_USE;
