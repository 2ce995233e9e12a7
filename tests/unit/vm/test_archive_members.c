#include "vm/archive_members.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

#define COMMON                                                                                     \
	"\"version\": 1, \"os\": \"linux\", \"arch\": \"amd64\", \"cpuCount\": 2, "                \
	"\"memorySize\": 1073741824, \"macAddress\": \"02:00:00:00:00:01\", "
#define KERNEL(kernel, initrd)                                                                     \
	"\"kernel\": \"" kernel "\", \"initrd\": \"" initrd "\", \"cmdline\": \"\", "
#define DISK(file) "{ \"file\": \"" file "\", \"format\": \"raw\" }"

struct row {
	const char *text;
	const char *members[5]; /* their names in the archive */
	const char *files[5];	/* and in the directory */
	const char *refused;	/* what import says of the text; NULL: it is taken */
};

static const struct row rows[] = {
	{ "{" COMMON KERNEL("kernel", "initrd") "\"disks\": [" DISK("disk.img") "] }",
	  { "kernel", "initrd", "seed.json", "disk.img", NULL },
	  { "kernel", "initrd", "seed.json", "disk.img", NULL },
	  NULL },
	{ "{" COMMON
	  "\"firmware\": \"uefi\", \"disks\": [" DISK("disk.img") ", " DISK("disk2.img") "] }",
	  { "nvram.bin", "seed.json", "disk.img", "disk2.img", NULL },
	  { "nvram.bin", "seed.json", "disk.img", "disk2.img", NULL },
	  NULL },
	{ "{" COMMON KERNEL("vmlinuz", "kernel") "\"disks\": [] }",
	  { "kernel", "initrd", "seed.json", NULL, NULL },
	  { "vmlinuz", "kernel", "seed.json", NULL, NULL },
	  "it names a file \"vmlinuz\", which should be \"kernel\"" },
	{ "{" COMMON
	  "\"firmware\": \"uefi\", \"disks\": [" DISK("config.json") ", " DISK("disk.img") "] }",
	  { "nvram.bin", "seed.json", "disk.img", "disk2.img", NULL },
	  { "nvram.bin", "seed.json", "config.json", "disk.img", NULL },
	  "it names a file \"config.json\", which should be \"disk.img\"" },
};

static void test_members(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct archive_member members[ARCHIVE_MEMBERS_MOST];
		struct vm_config config;
		struct error err = { .text = "" };

		assert_int_equal(vm_config_parse(rows[i].text, strlen(rows[i].text), &config, NULL),
				 0);
		size_t count = archive_members_of(&config, members);
		for (size_t k = 0; k < count; k++) {
			assert_string_equal(members[k].name, rows[i].members[k]);
			assert_string_equal(members[k].file, rows[i].files[k]);
			assert_int_equal(members[k].optional,
					 strcmp(members[k].name, "seed.json") == 0);
		}
		assert_null(rows[i].members[count]);
		assert_int_equal(archive_members_check_config(&config, &err),
				 rows[i].refused ? -EINVAL : 0);
		assert_string_equal(err.text, rows[i].refused ? rows[i].refused : "");
		vm_config_done(&config);
	}
}

/* What is written into the archive is what import takes, and no more is changed than the names. */
static void test_config_of_the_archive(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vm_config config;
		struct vm_config renamed;

		assert_int_equal(vm_config_parse(rows[i].text, strlen(rows[i].text), &config, NULL),
				 0);
		char *text = archive_members_format_config(&config);
		assert_non_null(text);
		assert_int_equal(vm_config_parse(text, strlen(text), &renamed, NULL), 0);
		assert_int_equal(archive_members_check_config(&renamed, NULL), 0);
		assert_int_equal(renamed.cpu_count, config.cpu_count);
		assert_int_equal(renamed.disk_count, config.disk_count);
		assert_true(mac_addr_equal(&renamed.mac, &config.mac));
		vm_config_done(&renamed);
		vm_config_done(&config);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_config_of_the_archive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
