#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "netns/resolv_mount.h"

/*
 * FOLDER/etc/resolv.conf    a symbolic link to ../run/stub
 * FOLDER/etc/hosts          what must still be seen beside it
 * FOLDER/run/stub           the real file
 */
static char folder[] = "/tmp/tartlet-resolv-XXXXXX";

static void write_text(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static bool has_text(const char *name, const char *expected)
{
	char text[256] = "";
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	return size >= 0 && strcmp(text, expected) == 0;
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("etc", 0755) < 0 ||
	    mkdir("run", 0755) < 0 || symlink("../run/stub", "etc/resolv.conf") < 0)
		return -1;
	write_text("etc/hosts", "hosts\n");
	write_text("run/stub", "nameserver 127.0.0.53\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink("etc/resolv.conf") + unlink("etc/hosts") + unlink("run/stub") + rmdir("etc") +
	       rmdir("run") + rmdir(folder);
}

static int make(const char *name, const char *server, struct error *err)
{
	struct ip_addr address = { 0 };
	char path[256];

	if (server)
		CHILD_CHECK(ip_addr_parse(server, &address));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return resolv_mount_make(path, &address, err);
}

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

static void child_makes(void)
{
	struct error err = { .text = "" };
	struct stat status;
	int before = count_mounts();

	(void)umask(077);
	CHILD_CHECK(make("etc/resolv.conf", "10.9.8.1", &err) == 0);
	CHILD_CHECK(has_text("etc/resolv.conf", "nameserver 10.9.8.1\n"));
	CHILD_CHECK(has_text("etc/hosts", "hosts\n")); /* the folder is what it was */
	CHILD_CHECK(stat("etc/resolv.conf", &status) == 0 && (status.st_mode & 0777) == 0644);
	CHILD_CHECK(count_mounts() == before + 1);
	/* A DHCP client may write there, and changes nothing outside. */
	int fd = open("etc/resolv.conf", O_WRONLY | O_TRUNC | O_CLOEXEC);
	CHILD_CHECK(fd >= 0 && write(fd, "mine\n", 5) == 5 && close(fd) == 0);
	CHILD_CHECK(has_text("etc/resolv.conf", "mine\n"));
	/* Over one that was mounted before. */
	CHILD_CHECK(make("etc/resolv.conf", "10.9.8.5", &err) == 0);
	CHILD_CHECK(has_text("etc/resolv.conf", "nameserver 10.9.8.5\n"));
}

static void child_makes_an_empty_one(void)
{
	struct error err = { .text = "" };

	CHILD_CHECK(make("etc/resolv.conf", NULL, &err) == 0);
	CHILD_CHECK(has_text("etc/resolv.conf", ""));
	CHILD_CHECK(has_text("run/stub", "")); /* it is the same file */
}

static void child_has_none(void)
{
	struct error err = { .text = "" };
	int before = count_mounts();

	CHILD_CHECK(make("etc/none", "10.9.8.1", &err) == -ENOENT);
	CHILD_CHECK(strstr(err.text, "etc/none is missing"));
	CHILD_CHECK(make("none/none", "10.9.8.1", &err) == -ENOENT);
	CHILD_CHECK(make("etc", "10.9.8.1", &err) == -ENOTDIR); /* a file over a folder */
	CHILD_CHECK(resolv_mount_make("none", &(struct ip_addr){ 0 }, &err) == -EINVAL);
	CHILD_CHECK(count_mounts() == before);
	CHILD_CHECK(has_text("etc/hosts", "hosts\n"));
}

static void test_makes(void **state)
{
	(void)state;
	test_in_new_namespaces(child_makes);
	assert_true(has_text("etc/resolv.conf", "nameserver 127.0.0.53\n"));
}

static void test_makes_an_empty_one(void **state)
{
	(void)state;
	test_in_new_namespaces(child_makes_an_empty_one);
	assert_true(has_text("run/stub", "nameserver 127.0.0.53\n"));
}

static void test_has_none(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_makes),
		cmocka_unit_test(test_makes_an_empty_one),
		cmocka_unit_test(test_has_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
