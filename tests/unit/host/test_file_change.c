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

/* A source that is asked, and may not be there. */
struct far_source {
	struct file_source source;
	bool silent;
	struct file_identity identity;
	const char *text;
	unsigned looks;
	unsigned reads;
};

static int far_look(struct file_source *source, struct file_identity *ret_identity)
{
	struct far_source *far = container_of(source, struct far_source, source);

	far->looks++;
	*ret_identity = far->identity;
	return far->silent ? -EAGAIN : 0;
}

static int far_read(struct file_source *source, size_t most, char **ret_text, size_t *ret_size)
{
	struct far_source *far = container_of(source, struct far_source, source);

	far->reads++;
	if (far->silent)
		return -EAGAIN;
	*ret_size = strlen(far->text);
	assert_true(*ret_size <= most);
	*ret_text = strdup(far->text);
	return 0;
}

/* What cannot be told leaves what was known, and is asked again at the next look, not earlier. */
static void test_another_source(void **state)
{
	struct far_source far = { .source = { far_look, far_read }, .text = "far\n" };
	struct file_change file;
	uint64_t now = 7;
	char *text = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(file_change_init(&file, "/nowhere"), 0);
	file_change_set_source(&file, &far.source);
	far.silent = true;
	assert_false(file_change_check(&file, now)); /* also the first time */
	assert_false(file_change_check(&file, now + STEP - 1));
	assert_int_equal(far.looks, 1);
	far.silent = false;
	assert_true(file_change_check(&file, now += STEP));
	assert_int_equal(file_change_read(&file, 100, &text, &size), 0);
	assert_int_equal(size, 4);
	assert_memory_equal(text, "far\n", size);
	free(text);
	assert_true(file_change_check(&file, now += STEP)); /* once more, then it is settled */
	assert_false(file_change_check(&file, now += STEP));

	/* it changes while nobody says so; then the look succeeds and the reading does not */
	far.identity = (struct file_identity){ .exists = true, .size = 4 };
	far.silent = true;
	assert_false(file_change_check(&file, now += STEP));
	far.silent = false;
	assert_true(file_change_check(&file, now += STEP));
	far.silent = true;
	text = NULL;
	assert_int_equal(file_change_read(&file, 100, &text, &size), -EAGAIN);
	assert_null(text);
	far.silent = false;
	assert_true(file_change_check(&file, now += STEP)); /* twice as for any change */
	assert_true(file_change_check(&file, now += STEP));
	assert_false(file_change_check(&file, now += STEP));
	assert_int_equal(far.reads, 2);
	file_change_done(&file);
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
		cmocka_unit_test(test_another_source),
		cmocka_unit_test(test_lines_and_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
