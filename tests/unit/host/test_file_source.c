#include "host_rig.h"

#include "host/file_source.h"

#include <sys/stat.h>

static void check(void (*body)(const char *path))
{
	char directory[] = "/tmp/test-file-XXXXXX";
	char path[64];
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/file", directory);
	body(path);
	(void)unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

static struct file_identity look_at(const char *path)
{
	struct file_source_path file;
	struct file_identity identity;

	assert_int_equal(file_source_path_init(&file, path), 0);
	assert_int_equal(file.source.look(&file.source, &identity), 0);
	file_source_path_done(&file);
	return identity;
}

static int read_path(const char *path, size_t most, char **ret_text, size_t *ret_size)
{
	struct file_source_path file;

	assert_int_equal(file_source_path_init(&file, path), 0);
	int rc = file.source.read(&file.source, most, ret_text, ret_size);
	file_source_path_done(&file);
	return rc;
}

static void look_some(const char *path)
{
	const struct file_identity none = { 0 };
	struct file_identity first = look_at(path);

	assert_memory_equal(&first, &none, sizeof(none));
	rig_write_file(path, "four");
	first = look_at(path);
	assert_true(first.exists && first.device != 0 && first.inode != 0);
	assert_int_equal(first.size, 4);
	assert_true(first.modified.tv_sec > 0 && first.changed.tv_sec > 0);
	rig_write_file(path, "fives");
	struct file_identity second = look_at(path);
	assert_int_equal(second.inode, first.inode);
	assert_int_equal(second.size, 5);
	/* behind a link stands the same file */
	char link[80];
	(void)snprintf(link, sizeof(link), "%s-link", path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(look_at(link).inode, first.inode);
	assert_int_equal(unlink(link), 0);
}

static void test_look(void **state)
{
	(void)state;
	check(look_some);
}

static void read_some(const char *path)
{
	char *text;
	size_t size;
	assert_int_equal(read_path(path, 100, &text, &size), -ENOENT);
	static const struct {
		const char *content;
		size_t most;
		const char *expected;
	} cases[] = {
		{ "", 10, "" },
		{ "abc", 10, "abc" },
		{ "abc\ndef\n", 100, "abc\ndef\n" },
		{ "abc\ndef\n", 8, "abc\ndef\n" },
		{ "abc\ndef\n", 7, "abc\n" }, /* cut behind the last whole line */
		{ "abcdefgh", 4, "" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		rig_write_file(path, cases[i].content);
		assert_int_equal(read_path(path, cases[i].most, &text, &size), 0);
		assert_int_equal(size, strlen(cases[i].expected));
		assert_memory_equal(text, cases[i].expected, size);
		free(text);
	}
	/* Neither a directory nor a FIFO without a writer holds us. */
	assert_int_equal(read_path("/tmp", 100, &text, &size), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_path(path, 100, &text, &size), -EINVAL);
}

static void test_read(void **state)
{
	(void)state;
	check(read_some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
