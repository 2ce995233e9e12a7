#pragma once
/* How a function ends in a process of its own: usage errors end that. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct ending {
	int code;
	char said[512]; /* on standard error */
};

/* Returns the exit code. */
typedef int ending_fn(const void *context);

static inline struct ending ending_of(ending_fn *child, const void *context)
{
	struct ending ending = { .code = -1 };
	size_t size = 0;
	ssize_t got;
	int status;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(fds[1], STDERR_FILENO) < 0)
			_exit(99);
		int code = child(context);

		(void)fflush(stderr);
		_exit(code);
	}
	(void)close(fds[1]);
	while ((got = read(fds[0], ending.said + size, sizeof(ending.said) - 1 - size)) > 0)
		size += (size_t)got;
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	ending.code = WEXITSTATUS(status);
	return ending;
}
