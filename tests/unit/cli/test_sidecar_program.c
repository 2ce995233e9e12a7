#include "cli/sidecar_program.h"

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

#include "base/compiler.h"
#include "base/error.h"

/* In this order, which is that of the search. */
static const char *const places[] = { "usr/libexec/tartlet", "usr/sidecar", "first", "second" };

struct tree {
	char root[64];
	char own[96];
	char search[256];
};

static void tree_open(struct tree *tree)
{
	static const char *const folders[] = { "usr",	      "usr/bin",
					       "usr/libexec", "usr/libexec/tartlet",
					       "usr/sidecar", "first",
					       "second" };
	char path[128];

	snprintf(tree->root, sizeof(tree->root), "/tmp/sidecar-XXXXXX");
	assert_non_null(mkdtemp(tree->root));
	for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", tree->root, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(tree->own, sizeof(tree->own), "%s/usr/bin/tartlet", tree->root);
	snprintf(tree->search, sizeof(tree->search), "relative::/none:%s/first:%s/second",
		 tree->root, tree->root);
}

static void tree_put(const struct tree *tree, const char *folder, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/softnet", tree->root, folder);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	close(fd);
}

static void tree_close(const struct tree *tree)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", tree->root);
	assert_int_equal(system(command), 0);
}

static void expect(const struct tree *tree, const char *folder)
{
	char path[PATH_MAX];
	char wanted[PATH_MAX];
	char real[PATH_MAX];
	struct error err = { .text = "" };

	assert_int_equal(sidecar_program_find(tree->own, tree->search, path, &err), 0);
	assert_int_equal(path[0], '/');
	snprintf(wanted, sizeof(wanted), "%s/%s/softnet", tree->root, folder);
	assert_non_null(realpath(path, real));
	assert_string_equal(real, wanted);
}

static void test_order(void **state)
{
	struct tree tree;

	(void)state;
	tree_open(&tree);
	for (size_t i = ARRAY_COUNT(places); i-- > 0;) {
		tree_put(&tree, places[i], 0755);
		expect(&tree, places[i]);
	}
	tree_close(&tree);
}

/* What is no program is passed over. */
static void test_no_program(void **state)
{
	char path[PATH_MAX];
	char folder[160];
	struct tree tree;

	(void)state;
	tree_open(&tree);
	tree_put(&tree, places[0], 0644);
	snprintf(folder, sizeof(folder), "%s/%s/softnet", tree.root, places[1]);
	assert_int_equal(mkdir(folder, 0755), 0);
	tree_put(&tree, places[3], 0755);
	expect(&tree, places[3]);
	assert_int_equal(sidecar_program_find(NULL, NULL, path, NULL), -ENOENT);
	assert_int_equal(sidecar_program_find("tartlet", "", path, NULL), -ENOENT);
	tree_close(&tree);
}

static void test_not_found(void **state)
{
	char path[PATH_MAX];
	struct error err = { .text = "" };
	struct tree tree;

	(void)state;
	tree_open(&tree);
	assert_int_equal(sidecar_program_find(tree.own, tree.search, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, "neither beside tartlet (libexec/tartlet) nor in PATH"));
	tree_close(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
