#include "netns_test.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "netns/sysfs_mount.h"

#define CLASS "/sys/class/net"

static int count_mounts(void)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[4096];
	int count = 0;

	CHILD_CHECK(file);
	while (fgets(line, sizeof(line), file))
		count++;
	fclose(file);
	return count;
}

static int count_shown(void)
{
	DIR *folder = opendir(CLASS);
	const struct dirent *entry;
	int count = 0;

	CHILD_CHECK(folder);
	while ((entry = readdir(folder)))
		count += entry->d_type == DT_LNK;
	closedir(folder);
	return count;
}

/* Each of the namespace, and no other. */
static bool shows_own_interfaces(void)
{
	struct if_nameindex *own = if_nameindex();
	char path[64];
	int count = 0;

	CHILD_CHECK(own);
	for (; own[count].if_index != 0; count++) {
		snprintf(path, sizeof(path), CLASS "/%s/mtu", own[count].if_name);
		CHILD_CHECK(access(path, R_OK) == 0);
	}
	if_freenameindex(own);
	return count > 0 && count_shown() == count;
}

static void make_or_skip(void)
{
	int r = sysfs_mount_make();

	if (r == -EPERM || r == -ENOENT)
		_exit(CHILD_SKIP); /* /sys is hidden in part here, or there is none */
	CHILD_CHECK(r == 0);
}

static void child_makes(void)
{
	struct stat before;
	struct stat after;
	int mounts = count_mounts();

	CHILD_CHECK(stat("/sys", &before) == 0);
	make_or_skip();
	CHILD_CHECK(shows_own_interfaces());
	/* All else is what it was. */
	CHILD_CHECK(count_mounts() == mounts + 2);
	CHILD_CHECK(stat("/sys", &after) == 0);
	CHILD_CHECK(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
}

static void enter_another(void)
{
	struct error err = { .text = "" };

	/* Now what was mounted before is not for this one to take away. */
	CHILD_CHECK(namespace_unshare(&err) == 0);
}

static void child_has_read_only_sysfs(void)
{
	struct statvfs status;

	make_or_skip();
	CHILD_CHECK(umount2(CLASS, 0) == 0 && umount2("/sys/devices/virtual/net", 0) == 0);
	CHILD_CHECK(statvfs("/sys", &status) == 0);
	unsigned long kept = status.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC);
	CHILD_CHECK(mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | kept, NULL) == 0);
	enter_another();
	CHILD_CHECK(sysfs_mount_make() == 0);
	CHILD_CHECK(shows_own_interfaces());
	CHILD_CHECK(statvfs(CLASS, &status) == 0 && (status.f_flag & ST_RDONLY) != 0);
}

static void child_has_hidden_parts(void)
{
	CHILD_CHECK(mount("none", "/sys/kernel", "tmpfs", 0, NULL) == 0);
	enter_another();
	int mounts = count_mounts();
	CHILD_CHECK(sysfs_mount_make() == -EPERM);
	CHILD_CHECK(count_mounts() == mounts);
}

static void child_has_no_sysfs(void)
{
	CHILD_CHECK(mount("none", "/sys", "tmpfs", 0, NULL) == 0);
	int mounts = count_mounts();
	CHILD_CHECK(sysfs_mount_make() == -ENOENT);
	CHILD_CHECK(count_mounts() == mounts);
}

static void test_makes(void **state)
{
	(void)state;
	test_in_new_namespaces(child_makes);
}

static void test_read_only_sysfs(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_read_only_sysfs);
}

static void test_hidden_parts(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_hidden_parts);
}

static void test_no_sysfs(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_no_sysfs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_makes),
		cmocka_unit_test(test_read_only_sysfs),
		cmocka_unit_test(test_hidden_parts),
		cmocka_unit_test(test_no_sysfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
