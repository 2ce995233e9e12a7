#pragma once
/* A home of the test's own, which TARTLET_HOME names, and VMs in it that are no more than their config.json. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm/files.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

static char made_home_path[64];

static inline int made_home_setup(void **state)
{
	(void)state;
	(void)snprintf(made_home_path, sizeof(made_home_path), "/tmp/tartlet-unit-XXXXXX");
	return mkdtemp(made_home_path) ? setenv("TARTLET_HOME", made_home_path, 1) : -1;
}

static inline int made_home_remove(void **state)
{
	(void)state;
	return files_remove_tree(AT_FDCWD, made_home_path);
}

/* One vm_draft_end(). */
static inline void made_home_draft(const struct vm_home *home, struct vm_draft *ret_draft)
{
	assert_int_equal(vm_draft_begin(home, ret_draft, NULL), 0);
	int fd =
		openat(ret_draft->fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static inline void made_home_vm(const char *name)
{
	struct vm_draft draft;
	struct vm_home home;

	assert_int_equal(vm_home_open(&home, NULL), 0);
	made_home_draft(&home, &draft);
	assert_int_equal(vm_draft_publish(&home, &draft, name, NULL), 0);
	vm_draft_end(&home, &draft);
	vm_home_close(&home);
}
