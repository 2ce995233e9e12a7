#include "vm/new_file.h"

#include <dirent.h>
#include <errno.h>

#include "base/error.h"
#include "scratch.h"

static const char *path_in(const struct scratch *scratch, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
	return path;
}

static unsigned count_entries(const struct scratch *scratch)
{
	DIR *stream = opendir(scratch->path);
	unsigned count = 0;

	assert_non_null(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count - 2; /* . and .. */
}

static void assert_content(const struct scratch *scratch, const char *name, const char *wanted)
{
	char *text;
	size_t size;

	assert_int_equal(files_read(scratch->fd, name, 100, &text, &size), 0);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_appears_whole(void **state)
{
	struct scratch *scratch = *state;
	const char *path = path_in(scratch, "new");
	struct new_file file;
	struct stat status;

	assert_int_equal(new_file_begin(&file, path, false, NULL), 0);
	assert_int_equal(write(file.fd, "text", 4), 4);
	assert_int_equal(faccessat(scratch->fd, "new", F_OK, 0), -1);
	assert_int_equal(new_file_publish(&file, false, NULL), 0);
	new_file_end(&file);
	assert_content(scratch, "new", "text");
	assert_int_equal(count_entries(scratch), 1);
	assert_int_equal(fstatat(scratch->fd, "new", &status, 0), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_given_up(void **state)
{
	struct scratch *scratch = *state;
	struct new_file file;

	scratch_write(scratch->fd, "old", "old");
	assert_int_equal(new_file_begin(&file, path_in(scratch, "old"), true, NULL), 0);
	assert_int_equal(write(file.fd, "text", 4), 4);
	new_file_end(&file);
	assert_content(scratch, "old", "old");
	assert_int_equal(count_entries(scratch), 1);
}

static void test_replaces_only_if_told(void **state)
{
	struct scratch *scratch = *state;
	const char *path = path_in(scratch, "old");
	struct new_file file;
	struct error err;

	scratch_write(scratch->fd, "old", "old");
	assert_int_equal(new_file_begin(&file, path, false, &err), -EEXIST);
	assert_non_null(strstr(err.text, "old exists: --force replaces it"));
	assert_int_equal(new_file_begin(&file, path, true, &err), 0);
	assert_int_equal(write(file.fd, "new", 3), 3);
	assert_int_equal(new_file_publish(&file, true, &err), 0);
	new_file_end(&file);
	assert_content(scratch, "old", "new");
	assert_int_equal(count_entries(scratch), 1);
}

static void test_somebody_was_faster(void **state)
{
	struct scratch *scratch = *state;
	struct new_file file;
	struct error err;

	assert_int_equal(new_file_begin(&file, path_in(scratch, "new"), false, &err), 0);
	scratch_write(scratch->fd, "new", "other");
	assert_int_equal(new_file_publish(&file, false, &err), -EEXIST);
	assert_string_equal(err.text, "new exists since: --force replaces it");
	new_file_end(&file);
	assert_content(scratch, "new", "other");
	assert_int_equal(count_entries(scratch), 1);
}

static void test_no_place(void **state)
{
	static const struct {
		const char *name;
		int status;
	} rows[] = {
		{ "missing/new", -ENOENT },  { "file/new", -ENOTDIR }, { "", -EISDIR },
		{ "directory/", -EISDIR },   { "directory", -EEXIST }, { "link", -EEXIST },
		{ "nowhere-link", -EEXIST },
	};
	struct scratch *scratch = *state;
	struct new_file file;
	char name[300];
	struct error err;

	scratch_write(scratch->fd, "file", "x");
	assert_int_equal(mkdirat(scratch->fd, "directory", 0700), 0);
	assert_int_equal(symlinkat("file", scratch->fd, "link"), 0);
	assert_int_equal(symlinkat("nowhere", scratch->fd, "nowhere-link"), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		err.text[0] = 0;
		assert_int_equal(new_file_begin(&file, path_in(scratch, rows[i].name), true, &err),
				 rows[i].status);
		assert_non_null(strstr(err.text, scratch->path));
	}
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(new_file_begin(&file, name, true, &err), -ENAMETOOLONG);
	assert_int_equal(new_file_begin(&file, "", true, &err), -EISDIR);
	assert_int_equal(count_entries(scratch), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)
		TEST(test_appears_whole),
		TEST(test_given_up),
		TEST(test_replaces_only_if_told),
		TEST(test_somebody_was_faster),
		TEST(test_no_place),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
