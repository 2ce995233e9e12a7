#include "cli/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/test-capture-file-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/vm.pcapng", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder); /* fails when something was left behind */
}

static void expect_content(const char *content)
{
	char buffer[16] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t size = fread(buffer, 1, sizeof(buffer) - 1, file);
	(void)fclose(file);
	assert_int_equal(size, strlen(content));
	assert_string_equal(buffer, content);
}

static void open_and_write(struct capture_file *file)
{
	struct error err = { "" };

	assert_int_equal(capture_file_open(file, path, &err), 0);
	assert_int_equal(write(file->fd, "new", 3), 3);
}

static void test_kept_replaces_and_refused_leaves(void **state)
{
	struct capture_file file;
	struct error err = { "" };
	struct stat status;

	(void)state;
	open_and_write(&file); /* refused: nothing comes into being */
	capture_file_close(&file);
	assert_int_equal(access(path, F_OK), -1);

	open_and_write(&file);
	assert_int_equal(capture_file_keep(&file, &err), 0);
	capture_file_close(&file);
	expect_content("new");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);

	int fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "old", 3), 3);
	(void)close(fd);
	open_and_write(&file); /* refused: the older one stays */
	capture_file_close(&file);
	capture_file_close(&file);
	expect_content("old");
}

static void test_what_is_no_file_is_written_directly(void **state)
{
	struct capture_file file;
	struct error err = { "" };

	(void)state;
	assert_int_equal(capture_file_open(&file, "/dev/null", &err), 0);
	assert_true(file.fd >= 0);
	assert_int_equal(capture_file_keep(&file, &err), 0);
	capture_file_close(&file);
	assert_int_equal(capture_file_open(&file, NULL, &err), 0);
	assert_int_equal(file.fd, -1);
	assert_int_equal(capture_file_keep(&file, &err), 0);
	capture_file_close(&file);
}

static void test_bad_path(void **state)
{
	struct capture_file file;
	struct error err = { "" };

	(void)state;
	assert_int_equal(capture_file_open(&file, "/nonexistent/x", &err), -ENOENT);
	assert_string_equal(err.text, "cannot write /nonexistent/x: No such file or directory");
	capture_file_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_replaces_and_refused_leaves),
		cmocka_unit_test(test_what_is_no_file_is_written_directly),
		cmocka_unit_test(test_bad_path),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
