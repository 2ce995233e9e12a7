#include "vm/archive_members.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "vm/seed_settings.h"

/* Far above what there is, and far below what would wrap around. */
#define FIRMWARE_MOST (UINT64_C(64) << 20)
#define BOOT_MOST     (UINT64_C(16) << 30)
#define DISK_MOST     (UINT64_C(1) << 47)

static void add(struct archive_member **member, const char *name, char *file,
		const struct vm_config_disk *disk, uint64_t size_most)
{
	**member = (struct archive_member){ .file = file, .disk = disk, .size_most = size_most };
	snprintf((*member)->name, sizeof((*member)->name), "%s", name);
	(*member)++;
}

size_t archive_members_of(const struct vm_config *config,
			  struct archive_member members[ARCHIVE_MEMBERS_MOST])
{
	static char nvram[] = VM_NVRAM_NAME;
	static char seed[] = SEED_FILE_NAME;
	struct archive_member *next = members;
	char name[ARCHIVE_MEMBER_NAME_SIZE];

	if (config->boot == VM_BOOT_UEFI) {
		add(&next, nvram, nvram, NULL, FIRMWARE_MOST);
	} else {
		add(&next, "kernel", config->kernel, NULL, BOOT_MOST);
		add(&next, "initrd", config->initrd, NULL, BOOT_MOST);
	}
	add(&next, seed, seed, NULL, SEED_FILE_MOST);
	next[-1].optional = true;
	for (size_t i = 0; i < config->disk_count; i++) {
		if (i == 0)
			snprintf(name, sizeof(name), "disk.img");
		else
			snprintf(name, sizeof(name), "disk%zu.img", i + 1);
		add(&next, name, config->disks[i].file, &config->disks[i], DISK_MOST);
	}
	return (size_t)(next - members);
}

char *archive_members_format_config(const struct vm_config *config)
{
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	struct vm_config renamed = *config; /* borrows all that it does not replace */
	size_t count = archive_members_of(config, members);
	size_t disk = 0;

	for (size_t i = 0; i < count; i++) {
		if (members[i].disk)
			renamed.disks[disk++].file = members[i].name;
		else if (members[i].file == config->kernel)
			renamed.kernel = members[i].name;
		else if (members[i].file == config->initrd)
			renamed.initrd = members[i].name;
	}
	return vm_config_format(&renamed);
}

int archive_members_check_config(const struct vm_config *config, struct error *err)
{
	struct archive_member members[ARCHIVE_MEMBERS_MOST];
	size_t count = archive_members_of(config, members);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(members[i].name, members[i].file) != 0) {
			error_set(err, "it names a file \"%s\", which should be \"%s\"",
				  members[i].file, members[i].name);
			return -EINVAL;
		}
	}
	return 0;
}
