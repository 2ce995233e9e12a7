#include "host_rig.h"

#include "host/file_change.h"

#include <sys/stat.h>

#define STEP FILE_CHANGE_CHECK_NS

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

static void follow(const char *path)
{
	struct file_change file;
	uint64_t now = 5;
	assert_int_equal(file_change_init(&file, path), 0);
	assert_true(file_change_check(&file, now)); /* first, though it is not there */
	assert_false(file_change_check(&file, now + STEP - 1));
	rig_write_file(path, "one\n");
	assert_false(file_change_check(&file, now + STEP - 1)); /* not looked at yet */
	assert_true(file_change_check(&file, now += STEP));
	/* Once more, for a writer within the same tick; then it is settled. */
	assert_true(file_change_check(&file, now += STEP));
	assert_false(file_change_check(&file, now += STEP));
	assert_false(file_change_check(&file, now += STEP));
	assert_int_equal(unlink(path), 0);
	assert_true(file_change_check(&file, now += STEP));
	file_change_done(&file);
}

static void test_check(void **state)
{
	(void)state;
	check(follow);
}

/* resolv.conf is a link, and who changes it may swap the link or the file behind it. */
static void follow_link(const char *path)
{
	char a[80];
	char b[80];
	(void)snprintf(a, sizeof(a), "%s-a", path);
	(void)snprintf(b, sizeof(b), "%s-b", path);
	rig_write_file(a, "same\n");
	rig_write_file(b, "same\n");
	struct file_change file;
	uint64_t now = 0;
	assert_int_equal(file_change_init(&file, path), 0);
	assert_int_equal(symlink(a, path), 0);
	assert_true(file_change_check(&file, now));
	assert_true(file_change_check(&file, now += STEP));
	assert_false(file_change_check(&file, now += STEP));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(b, path), 0);
	assert_true(file_change_check(&file, now += STEP));
	assert_true(file_change_check(&file, now += STEP));
	rig_write_file(b, "other\n");
	assert_true(file_change_check(&file, now += STEP));
	file_change_done(&file);
	(void)unlink(a);
	(void)unlink(b);
}

static void test_link(void **state)
{
	(void)state;
	check(follow_link);
}

static void read_some(const char *path)
{
	char *text;
	size_t size;
	assert_int_equal(file_change_read(path, 100, &text, &size), -ENOENT);
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
		assert_int_equal(file_change_read(path, cases[i].most, &text, &size), 0);
		assert_int_equal(size, strlen(cases[i].expected));
		assert_memory_equal(text, cases[i].expected, size);
		free(text);
	}
	/* Neither a directory nor a FIFO without a writer holds us. */
	assert_int_equal(file_change_read("/tmp", 100, &text, &size), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_change_read(path, 100, &text, &size), -EINVAL);
}

static void test_read(void **state)
{
	(void)state;
	check(read_some);
}

static void test_lines_and_words(void **state)
{
	(void)state;
	struct text_view rest = text_view_of("a  b\tc\r\n\n# only\n x# y\nlast");
	static const char *const words[] = { "a",  "b", "c",  NULL,   NULL,
					     NULL, "x", NULL, "last", NULL };
	struct text_view line;
	struct text_view word;
	size_t at = 0;
	while (file_change_next_line(&rest, &line)) {
		while (file_change_next_word(&line, &word)) {
			assert_non_null(words[at]);
			assert_true(text_view_equal(word, words[at]));
			at++;
		}
		assert_null(words[at]);
		at++;
	}
	assert_int_equal(at, ARRAY_COUNT(words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_lines_and_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
