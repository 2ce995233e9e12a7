#pragma once
/* What the tests of the room share: a child in namespaces of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"
#include "netns/id_map.h"
#include "netns/namespace.h"

#define CHILD_SKIP 77 /* namespaces are not to be had here */

/* In a child no assertion of cmocka's may fail: its jump would go on with the parent's tests. */
#define CHILD_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void await_byte(int fd)
{
	char byte;

	CHILD_CHECK(read(fd, &byte, 1) == 1);
}

static inline void child_enter(int ready_fd, int go_fd)
{
	struct error err = { .text = "" };

	if (namespace_unshare(&err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		_exit(CHILD_SKIP);
	}
	CHILD_CHECK(write(ready_fd, "", 1) == 1);
	await_byte(go_fd);
}

/* A child in new namespaces, as its root, blocked in `run` until it returns. Its exit status, or -1
 * when there are no namespaces here. */
static inline int in_new_namespaces(void (*run)(void))
{
	struct error err = { .text = "" };
	int ready[2];
	int go[2];
	char byte;
	int status;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ready[0]);
		(void)close(go[1]);
		child_enter(ready[1], go[0]);
		run();
		_exit(0);
	}
	(void)close(ready[1]);
	(void)close(go[0]);
	int mapped = read(ready[0], &byte, 1) == 1 ? id_map_write(pid, &err) : -1;
	bool told = mapped < 0 || write(go[1], "", 1) == 1;
	(void)close(ready[0]);
	(void)close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(told);
	assert_string_equal(err.text, "");
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == CHILD_SKIP ? -1 : WEXITSTATUS(status);
}

/* The same as one whole test. */
static inline void test_in_new_namespaces(void (*run)(void))
{
	int status = in_new_namespaces(run);

	if (status < 0)
		skip();
	assert_int_equal(status, 0);
}
