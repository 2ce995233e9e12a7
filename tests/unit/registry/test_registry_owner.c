#include "registry/registry_owner.h"

#include "registry_rig.h"

#include <errno.h>

#include "base/fd.h"

static int open_private(const char *path, struct error *err)
{
	char *resolved = NULL;
	int directory_fd = -1;
	int result = registry_directory_open_private(path, &resolved, &directory_fd, err);

	free(resolved);
	(void)fd_close(directory_fd);
	return result;
}

static void assert_refused(const char *path, const char *reason)
{
	struct error err = { "" };

	assert_int_equal(open_private(path, &err), -EPERM);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, reason));
}

static void directories_are_made(void **state)
{
	struct rig *rig = *state;
	char path[160];
	char *resolved = NULL;
	struct stat status;

	(void)snprintf(path, sizeof(path), "%s/a/b//c/", rig->folder);
	assert_int_equal(registry_directory_make(path, &resolved, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/a/b/c", rig->folder);
	assert_string_equal(resolved, path);
	free(resolved);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	assert_int_equal(registry_directory_make(path, &resolved, NULL), 0);
	free(resolved);
}

static void bad_paths(void **state)
{
	struct rig *rig = *state;
	struct error err = { "" };
	char *resolved = NULL;
	char path[PATH_MAX + 10];

	assert_int_equal(registry_directory_make("", &resolved, &err), -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(registry_directory_make(path, &resolved, &err), -ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "%s/file", rig->folder);
	assert_int_equal(close(creat(path, 0600)), 0);
	(void)snprintf(path, sizeof(path), "%s/file/below", rig->folder);
	assert_int_equal(registry_directory_make(path, &resolved, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, path));
	assert_null(resolved);
}

static void private_directory(void **state)
{
	struct rig *rig = *state;
	char path[160];
	char link_path[160];

	(void)snprintf(path, sizeof(path), "%s/private", rig->folder);
	assert_int_equal(open_private(path, NULL), 0);
	assert_int_equal(open_private(path, NULL), 0);
	assert_int_equal(chmod(path, 0750), 0);
	assert_refused(path, "mode 0750");
	assert_int_equal(chmod(path, 0701), 0);
	assert_refused(path, "mode 0701");
	assert_int_equal(chmod(path, 0700), 0);

	(void)snprintf(link_path, sizeof(link_path), "%s/link", rig->folder);
	assert_int_equal(symlink(path, link_path), 0);
	assert_refused(link_path, "symbolic link");
	(void)strcat(link_path, "/");
	assert_refused(link_path, "symbolic link");

	(void)snprintf(link_path, sizeof(link_path), "%s/dangling", rig->folder);
	assert_int_equal(symlink("nowhere", link_path), 0);
	assert_refused(link_path, "symbolic link");

	(void)snprintf(path, sizeof(path), "%s/plain", rig->folder);
	assert_int_equal(close(creat(path, 0600)), 0);
	assert_refused(path, "a file");
}

static void foreign_directory(void **state)
{
	struct rig *rig = *state;
	char path[160];

	if (geteuid() != 0)
		skip(); /* only root can give a directory away */
	(void)snprintf(path, sizeof(path), "%s/theirs", rig->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_refused(path, "uid 12345");
}

static void collect(void *context, int64_t owner)
{
	int64_t *last = context;

	*last = owner;
}

static void owners(void **state)
{
	struct rig *rig = *state;
	int directory_fd = open(rig->folder, O_RDONLY | O_DIRECTORY);
	int64_t owner = 0;
	int64_t dead = 0;
	int lock_fd = -1;

	assert_int_equal(registry_owner_make(directory_fd, &owner, &lock_fd, NULL), 0);
	assert_true(owner > 0);
	assert_true(registry_owner_is_live(directory_fd, owner));
	assert_true(registry_owner_is_live(directory_fd, owner)); /* asking takes nothing away */
	assert_false(registry_owner_is_live(directory_fd, owner ^ 2));
	registry_owner_sweep(directory_fd, 10, collect, &dead);
	assert_int_equal(dead, 0);

	(void)close(lock_fd);
	assert_false(registry_owner_is_live(directory_fd, owner));
	/* Names that only resemble ours are nobody's. */
	assert_int_equal(close(openat(directory_fd, "owner-1.lock", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(close(openat(directory_fd, "owner-00000000000000ff.lockx",
				      O_CREAT | O_WRONLY, 0600)),
			 0);
	assert_int_equal(close(openat(directory_fd, "owner-ffffffffffffffff.lock",
				      O_CREAT | O_WRONLY, 0600)),
			 0);
	registry_owner_sweep(directory_fd, 10, collect, &dead);
	assert_int_equal(dead, owner);
	registry_owner_forget(directory_fd, owner);
	dead = 0;
	registry_owner_sweep(directory_fd, 10, collect, &dead);
	assert_int_equal(dead, 0);
	(void)close(directory_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(directories_are_made, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(bad_paths, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(private_directory, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(foreign_directory, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(owners, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
