#pragma once
/*
 * config.json of a VM, version 1. Read strictly: an unknown key, a wrong type or a value out of
 * range is refused with a sentence, so that a mistake in a hand-edited file is not run as something
 * else. No network settings: those are of one run.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/disk_image.h"

struct error;

#define VM_CONFIG_VERSION      1
#define VM_CONFIG_CPU_MOST     255
#define VM_CONFIG_MEMORY_LEAST (UINT64_C(32) << 20)
#define VM_CONFIG_MEMORY_MOST  (UINT64_C(1) << 42)
#define VM_CONFIG_CMDLINE_MOST 2047 /* x86 kernels: COMMAND_LINE_SIZE, with the end */
#define VM_CONFIG_DISK_MOST    8
#define VM_DISPLAY_LEAST       64
#define VM_DISPLAY_MOST	       16384

/* What starts the guest. */
enum vm_boot {
	VM_BOOT_KERNEL, /* QEMU loads kernel and initrd */
	VM_BOOT_UEFI,	/* firmware, from the first disk; its variables are in VM_NVRAM_NAME */
};

#define VM_NVRAM_NAME "nvram.bin"

struct vm_config_disk {
	char *file; /* in the VM's directory */
	enum disk_format format;
};

/* The screen, where there is one, in pixels; 0 by 0 is saved as the default. */
struct vm_display {
	unsigned width;
	unsigned height;
};
#define VM_DISPLAY_DEFAULT ((struct vm_display){ 1024, 768 })

struct vm_config {
	unsigned cpu_count;   /* 1..VM_CONFIG_CPU_MOST */
	uint64_t memory_size; /* bytes, whole MiB */
	struct mac_addr mac;  /* unicast */
	struct vm_display display;
	enum vm_boot boot;
	/* With VM_BOOT_KERNEL, else NULL: names of files in the VM's directory, and a text, maybe "". */
	char *kernel;
	char *initrd;
	char *cmdline;
	struct vm_config_disk disks[VM_CONFIG_DISK_MOST];
	size_t disk_count;
};

void vm_config_done(struct vm_config *config);

/* 0, or -EINVAL (-ENOMEM) with a sentence. */
int vm_config_parse(const char *text, size_t size, struct vm_config *ret_config,
		    struct error *err) MUST_USE;
/* Pretty-printed, with a newline at the end; NULL without memory. The caller frees. */
char *vm_config_format(const struct vm_config *config);

/* Also checks that the files it names are there. */
int vm_config_load(int directory_fd, struct vm_config *ret_config, struct error *err) MUST_USE;
int vm_config_save(int directory_fd, const struct vm_config *config, struct error *err) MUST_USE;

/* "1024x768", with "px" or "pt" behind it as in Tart, which are the same here. */
bool vm_display_parse(const char *text, struct vm_display *ret_display) MUST_USE;

/* Random, unicast, locally administered. */
struct mac_addr vm_config_random_mac(void);
/* May be given to a kernel: no control characters, not too long. With a sentence. */
bool vm_config_cmdline_check(const char *cmdline, struct error *err) MUST_USE;
