#pragma once
/*
 * What stands in an archive of a VM: config.json first, then the files that it names, under names of the
 * archive's own, whatever they were called in the VM's directory, and the seed, if there is one. Nothing else: what belongs to one run, one host
 * or one user stays there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vm/vm_config.h"

struct error;

#define ARCHIVE_CONFIG_NAME	 "config.json"
#define ARCHIVE_CONFIG_MOST	 ((size_t)64 * 1024)
#define ARCHIVE_MEMBERS_MOST	 (3 + VM_CONFIG_DISK_MOST)
#define ARCHIVE_MEMBER_NAME_SIZE 32

struct archive_member {
	char name[ARCHIVE_MEMBER_NAME_SIZE]; /* in the archive */
	char *file;			     /* in the VM's directory; the config's */
	const struct vm_config_disk *disk;   /* the config's; NULL: no disk */
	uint64_t size_most;		     /* bytes */
	bool optional;			     /* a VM may be without it */
};

/* The members besides config.json, which borrow from the config. Returns how many. */
size_t archive_members_of(const struct vm_config *config,
			  struct archive_member members[ARCHIVE_MEMBERS_MOST]);

/* The config as it stands in the archive: with the names of there. NULL without memory; the caller frees. */
char *archive_members_format_config(const struct vm_config *config);
/* 0, or -EINVAL with a sentence where a config has other names than those. */
int archive_members_check_config(const struct vm_config *config, struct error *err) MUST_USE;
