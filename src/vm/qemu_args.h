#pragma once
/* QEMU's command line: a pure function of what is to be run. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "vm/accel.h"
#include "vm/disk_image.h"
#include "vm/disk_options.h"
#include "vm/display.h"
#include "vm/net_attach.h"
#include "vm/qemu_version.h"
#include "vm/serial_port.h"
#include "vm/share.h"

struct vm_config;

#define QEMU_PROGRAM	"qemu-system-x86_64"
#define QEMU_ARGS_COUNT 256
#define QEMU_DISK_MOST	16 /* of one run, beside those of the VM */

/* A disk that the VM has for one run. */
struct qemu_disk {
	const char *path; /* absolute */
	enum disk_format format;
	struct disk_options options;
};

struct qemu_launch {
	const struct vm_config *config;
	const char *label; /* NULL = none */
	struct qemu_version qemu;
	enum accel accel; /* not ACCEL_AUTO */
	bool nested;	  /* with KVM: the guest may use it, too */
	struct serial_port serial;
	struct display display;	   /* chosen */
	const char *firmware;	   /* VM_BOOT_UEFI: the code, an absolute path; else NULL */
	const char *system_serial; /* the machine's serial number in SMBIOS; NULL = none */
	struct disk_options root_disk;
	const struct qemu_disk *disks;
	size_t disk_count; /* at most QEMU_DISK_MOST */
	const struct share *shares;
	size_t share_count;	  /* at most SHARE_MOST */
	bool shares_have_no_msix; /* as .net.no_msix, where they are by virtiofs */
	struct net_attach_choice net;
	int net_fd;	      /* stream: a connected socket */
	const char *net_path; /* vhost-user: a listening socket, a path without a comma */
	int qmp_fd;	      /* a connected stream socket */
	bool incoming;	      /* waits for the state of a guest, which it is given by the monitor */
	/* Where QEMU listens for who talks to the agent in the guest: a path without a comma. */
	const char *agent_path;
};

struct qemu_args {
	char *argv[QEMU_ARGS_COUNT + 1]; /* ends with NULL */
	size_t count;
};

/*
 * File names are relative: QEMU runs in the VM's directory. 0 or -ENOMEM. One qemu_args_done().
 */
int qemu_args_build(const struct qemu_launch *launch, struct qemu_args *ret_args) MUST_USE;
void qemu_args_done(struct qemu_args *args);
