#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* A child of a child: somebody else's namespace, until `keep_fd` is closed. */
static pid_t start_other(int *ret_keep_fd)
{
	int ready[2];
	int keep[2];
	char byte;

	CHILD_CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(keep, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHILD_CHECK(pid >= 0);
	if (pid == 0) {
		close(ready[0]);
		close(keep[1]);
		CHILD_CHECK(namespace_unshare(NULL) == 0 && write(ready[1], "", 1) == 1);
		(void)!read(keep[0], &byte, 1);
		_exit(0);
	}
	close(ready[1]);
	close(keep[0]);
	CHILD_CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	*ret_keep_fd = keep[1];
	return pid;
}

static bool is_in(pid_t pid, const char *name)
{
	char path[64];
	struct stat own;
	struct stat other;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	CHILD_CHECK(stat(path, &own) == 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	CHILD_CHECK(stat(path, &other) == 0);
	return own.st_ino == other.st_ino;
}

static void child_joins_by(const char *where, pid_t other)
{
	struct error err = { .text = "" };
	int fd = -1;

	CHILD_CHECK(!is_in(other, "net") && !is_in(other, "user"));
	CHILD_CHECK(namespace_open(where, &fd, &err) == 0);
	CHILD_CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHILD_CHECK(namespace_join(fd, &err) == 0);
	/* The user namespace too, because it is another; not what is mounted there. */
	CHILD_CHECK(is_in(other, "net") && is_in(other, "user") && !is_in(other, "mnt"));
	close(fd);
}

static void child_joins_by_number(void)
{
	char where[32];
	int keep_fd;
	pid_t other = start_other(&keep_fd);

	snprintf(where, sizeof(where), "%d", (int)other);
	child_joins_by(where, other);
	close(keep_fd);
}

static void child_joins_by_path(void)
{
	char where[64];
	int keep_fd;
	pid_t other = start_other(&keep_fd);

	snprintf(where, sizeof(where), "/proc/%d/ns/net", (int)other);
	child_joins_by(where, other);
	close(keep_fd);
}

static void test_joins_by_number(void **state)
{
	(void)state;
	test_in_new_namespaces(child_joins_by_number);
}

static void test_joins_by_path(void **state)
{
	(void)state;
	test_in_new_namespaces(child_joins_by_path);
}

static void check_refused(const char *where, int expected, const char *sentence)
{
	struct error err = { .text = "" };
	int fd = -1;

	int r = namespace_open(where, &fd, &err);
	if (r != expected || !strstr(err.text, sentence) || fd != -1)
		fail_msg("%s: %d, %s", where, r, err.text);
}

static void test_refuses(void **state)
{
	char own[32];

	(void)state;
	check_refused("/etc/passwd", -EINVAL, "/etc/passwd is not a network namespace");
	check_refused("/", -EINVAL, "/ is not a network namespace");
	check_refused("/dev/null", -EINVAL, "is not a network namespace");
	check_refused("/proc/self/ns/mnt", -EINVAL, "is not a network namespace");
	check_refused("/no/such/file", -ENOENT, "/no/such/file");
	check_refused("", -ENOENT, "No such file");
	check_refused("-1", -ENOENT, "-1");
	check_refused("2147483647", -ENOENT, "process 2147483647 does not exist");
	check_refused("0", -ENOENT, "process 0 does not exist");
	/* Too large for a process. */
	check_refused("2147483648", -ESRCH, "process 2147483648 does not exist");
	check_refused("18446744073709551617", -ESRCH,
		      "process 18446744073709551617 does not exist");
	check_refused("./18446744073709551617", -ENOENT, "./18446744073709551617: No such file");
	snprintf(own, sizeof(own), "%d", (int)getpid());
	check_refused(own, -EINVAL, "is the one that tartlet itself is in");
	check_refused("/proc/self/ns/net", -EINVAL, "is the one that tartlet itself is in");
}

/* Opening a pipe would wait for its other end. */
static void test_does_not_open_what_it_is_not(void **state)
{
	char path[] = "/tmp/tartlet-namespace-XXXXXX";
	char pipe_path[64];

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", path);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	check_refused(pipe_path, -EINVAL, "is not a network namespace");
	assert_int_equal(unlink(pipe_path), 0);
	assert_int_equal(rmdir(path), 0);
}

static void test_process_is_gone(void **state)
{
	char where[32];
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	snprintf(where, sizeof(where), "%d", (int)pid);
	check_refused(where, -ENOENT, "does not exist");
}

static const char *const names[] = { "net", "user", "mnt", "pid", "uts", "ipc" };
#define NAMES_APART 3 /* the first of them */
static ino_t outside[6];

static ino_t own_namespace(const char *name)
{
	char path[64];
	struct stat status;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static void child_is_apart(void)
{
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		CHILD_CHECK((own_namespace(names[i]) == outside[i]) == (i >= NAMES_APART));
	CHILD_CHECK(if_nametoindex("lo") == 1);
	/* What is mounted here stays here: the parent looks. */
	CHILD_CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	CHILD_CHECK(file);
	while (fgets(line, sizeof(line), file))
		CHILD_CHECK(!strstr(line, " shared:"));
	fclose(file);
}

static void test_unshare(void **state)
{
	struct stat before;
	struct stat after;

	(void)state;
	if (stat("/mnt", &before) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		outside[i] = own_namespace(names[i]);
	test_in_new_namespaces(child_is_apart);
	assert_int_equal(stat("/mnt", &after), 0);
	assert_true(before.st_dev == after.st_dev);
}

static void child_joins_something_else(void)
{
	struct error err = { .text = "" };
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	CHILD_CHECK(namespace_join(fd, &err) < 0);
	CHILD_CHECK(strstr(err.text, "cannot join the network namespace"));
}

static void test_join_of_something_else(void **state)
{
	(void)state;
	test_in_new_namespaces(child_joins_something_else);
}

/* From inside a user namespace, what belongs outside is out of reach. */
static int outer_fd = -1;

static void child_joins_the_outer(void)
{
	struct error err = { .text = "" };

	CHILD_CHECK(namespace_join(outer_fd, &err) == -EPERM);
	CHILD_CHECK(strstr(err.text, "no right to join"));
}

static void test_no_right(void **state)
{
	(void)state;
	outer_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(outer_fd >= 0);
	test_in_new_namespaces(child_joins_the_outer);
	outer_fd = fd_close(outer_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joins_by_number),
		cmocka_unit_test(test_joins_by_path),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_does_not_open_what_it_is_not),
		cmocka_unit_test(test_process_is_gone),
		cmocka_unit_test(test_unshare),
		cmocka_unit_test(test_join_of_something_else),
		cmocka_unit_test(test_no_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
