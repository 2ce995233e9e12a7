#include "vm/files.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/held_signals.h"
#include "scratch.h"

static void test_read(void **state)
{
	const struct scratch *scratch = *state;
	char *data;
	size_t size;

	scratch_write(scratch->fd, "f", "hello");
	assert_int_equal(files_read(scratch->fd, "f", 5, &data, &size), 0);
	assert_int_equal(size, 5);
	assert_string_equal(data, "hello");
	free(data);
	assert_int_equal(files_read(scratch->fd, "f", 4, &data, &size), -EFBIG);
	assert_int_equal(files_read(scratch->fd, "none", 4, &data, &size), -ENOENT);
	assert_int_equal(files_read(scratch->fd, ".", 4096, &data, &size), -EINVAL);
	/* A pipe must not hang the reader. */
	assert_int_equal(mkfifoat(scratch->fd, "pipe", 0600), 0);
	assert_int_equal(files_read(scratch->fd, "pipe", 4, &data, &size), -EINVAL);
}

static void test_write_is_whole_or_not_at_all(void **state)
{
	const struct scratch *scratch = *state;
	struct stat before;
	struct stat after;
	char *data;
	size_t size;

	assert_int_equal(files_write_atomic(scratch->fd, "f", "one", 3), 0);
	assert_int_equal(fstatat(scratch->fd, "f", &before, 0), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	/* A reader that has the old file keeps reading it. */
	int old_fd = openat(scratch->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(files_write_atomic(scratch->fd, "f", "second", 6), 0);
	assert_int_equal(fstatat(scratch->fd, "f", &after, 0), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	char old[8] = "";
	assert_int_equal(read(old_fd, old, sizeof(old)), 3);
	assert_string_equal(old, "one");
	close(old_fd);
	/* A directory cannot be replaced: the error is told, and no temporary file is left. */
	assert_int_equal(mkdirat(scratch->fd, "d", 0700), 0);
	assert_int_equal(files_write_atomic(scratch->fd, "d", "x", 1), -EISDIR);
	assert_int_equal(unlinkat(scratch->fd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(files_read(scratch->fd, "f", 100, &data, &size), 0);
	assert_string_equal(data, "second");
	free(data);
	assert_int_equal(unlinkat(scratch->fd, "f", 0), 0);
	assert_int_equal(rmdir(scratch->path), 0); /* so it is empty */
	assert_int_equal(mkdir(scratch->path, 0700), 0);
}

static void test_temporaries(void **state)
{
	static const char *const others[] = { "f",	  ".f",		".f.new",
					      ".g.1.new", ".f.1.newer", "f.1.new",
					      ".f.x.new", ".f.1x.new",	".f..new" };
	const struct scratch *scratch = *state;

	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		scratch_write(scratch->fd, others[i], "x");
	scratch_write(scratch->fd, ".f.123.new", "x");
	assert_int_equal(symlinkat("f", scratch->fd, ".f.1.new"), 0);
	files_remove_temporaries(scratch->fd, "f");
	assert_int_equal(faccessat(scratch->fd, ".f.123.new", F_OK, 0), -1);
	assert_int_equal(faccessat(scratch->fd, ".f.1.new", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		assert_int_equal(faccessat(scratch->fd, others[i], F_OK, 0), 0);
}

static void test_sync(void **state)
{
	const struct scratch *scratch = *state;

	scratch_write(scratch->fd, "f", "hello");
	/* Neither is opened: the one would hang, the other leads away. */
	assert_int_equal(mkfifoat(scratch->fd, "pipe", 0600), 0);
	assert_int_equal(symlinkat("/nowhere", scratch->fd, "link"), 0);
	assert_int_equal(files_sync(scratch->fd), 0);
	assert_int_equal(files_sync(-1), -EBADF);
}

static void test_copy_keeps_holes(void **state)
{
	const struct scratch *scratch = *state;
	struct stat from;
	struct stat to;
	char byte;

	int from_fd = openat(scratch->fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int to_fd = openat(scratch->fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(from_fd, "start", 5, 0), 5);
	assert_int_equal(pwrite(from_fd, "middle", 6, 30 << 20), 6);
	assert_int_equal(ftruncate(from_fd, 64 << 20), 0);
	assert_int_equal(files_copy(from_fd, to_fd, NULL), 0);
	fstat(from_fd, &from);
	fstat(to_fd, &to);
	assert_int_equal(to.st_size, 64 << 20);
	assert_true(to.st_blocks <= from.st_blocks + 64);
	assert_int_equal(pread(to_fd, &byte, 1, 3), 1);
	assert_int_equal(byte, 'r');
	assert_int_equal(pread(to_fd, &byte, 1, (30 << 20) + 5), 1);
	assert_int_equal(byte, 'e');
	assert_int_equal(pread(to_fd, &byte, 1, 10 << 20), 1);
	assert_int_equal(byte, 0);
	close(from_fd);
	close(to_fd);
}

struct watched_progress {
	struct files_progress progress;
	uint64_t done;
	uint64_t total;
};

static void watch_advance(struct files_progress *progress, uint64_t done, uint64_t total)
{
	struct watched_progress *watched = (struct watched_progress *)progress;

	assert_true(done > watched->done || done == total);
	assert_true(done <= total);
	watched->done = done;
	watched->total = total;
}

/* Also past a hole at the end. */
static void test_copy_tells_how_far_it_is(void **state)
{
	const struct scratch *scratch = *state;
	struct watched_progress watched = { .progress.advance = watch_advance };

	int from_fd = openat(scratch->fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int to_fd = openat(scratch->fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(from_fd, "start", 5, 0), 5);
	assert_int_equal(pwrite(from_fd, "middle", 6, 3 << 20), 6);
	assert_int_equal(ftruncate(from_fd, 8 << 20), 0);
	assert_int_equal(files_copy(from_fd, to_fd, &watched.progress), 0);
	assert_int_equal(watched.total, 8 << 20);
	assert_int_equal(watched.done, 8 << 20);
	close(from_fd);
	close(to_fd);
}

static void test_copy_is_broken_off(void **state)
{
	const struct scratch *scratch = *state;
	struct held_signals held;
	const struct timespec now = { 0 };
	sigset_t set;
	char bytes[3];

	/* Where no blocks are shared. */
	int to_fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (to_fd < 0)
		skip();
	int from_fd = openat(scratch->fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(from_fd, "one", 3, 0), 3);
	assert_int_equal(pwrite(from_fd, "two", 3, 8 << 20), 3);
	held_signals_begin(&held);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(files_copy(from_fd, to_fd, NULL), -EINTR);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGTERM);
	held_signals_end(&held);
	/* It got no further than the first piece. */
	assert_int_equal(pread(to_fd, bytes, 3, 8 << 20), 3);
	assert_memory_equal(bytes, "\0\0\0", 3);
	close(from_fd);
	close(to_fd);
}

static void test_copy_to_another_file_system(void **state)
{
	const struct scratch *scratch = *state;
	char back[6] = "";

	int to_fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (to_fd < 0)
		skip();
	scratch_write(scratch->fd, "from", "hello");
	int from_fd = openat(scratch->fd, "from", O_RDONLY | O_CLOEXEC);
	assert_int_equal(files_copy(from_fd, to_fd, NULL), 0);
	assert_int_equal(pread(to_fd, back, 5, 0), 5);
	assert_string_equal(back, "hello");
	close(from_fd);
	close(to_fd);
}

static void test_remove_tree(void **state)
{
	const struct scratch *scratch = *state;
	struct stat status;

	assert_int_equal(mkdirat(scratch->fd, "keep", 0700), 0);
	int keep_fd = openat(scratch->fd, "keep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scratch_write(keep_fd, "file", "x");
	assert_int_equal(mkdirat(scratch->fd, "tree", 0700), 0);
	int tree_fd = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(tree_fd, "inner", 0700), 0);
	scratch_write(tree_fd, "inner/file", "x");
	/* A link is removed, not what it points to. */
	assert_int_equal(symlinkat("../keep", tree_fd, "link"), 0);
	assert_int_equal(files_remove_tree(scratch->fd, "tree"), 0);
	assert_int_equal(fstatat(scratch->fd, "tree", &status, 0), -1);
	assert_int_equal(fstatat(keep_fd, "file", &status, 0), 0);
	assert_int_equal(files_remove_tree(scratch->fd, "tree"), 0); /* none is fine */
	close(keep_fd);
	close(tree_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_write_is_whole_or_not_at_all, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_temporaries, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_sync, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_copy_keeps_holes, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_copy_tells_how_far_it_is, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_copy_is_broken_off, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_copy_to_another_file_system, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_remove_tree, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
