#pragma once
/*
 * The system calls by which a sandbox is made: a table, so that tests can let each of them fail. As the C library's:
 * -1 and errno.
 */

#include <linux/capability.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/types.h>

struct sandbox_kernel {
	int (*unshare)(int flags);
	/* Writes text to the file `path` under the directory proc_fd. */
	int (*write_proc)(int proc_fd, const char *path, const char *text);
	int (*mount)(const char *source, const char *target, const char *type, unsigned long flags,
		     const void *data);
	int (*pivot_root)(const char *new_root, const char *put_old);
	int (*setgroups)(size_t count, const gid_t *groups);
	int (*setresgid)(gid_t real, gid_t effective, gid_t saved);
	int (*setresuid)(uid_t real, uid_t effective, uid_t saved);
	int (*capget)(cap_user_header_t header, cap_user_data_t data);
	int (*capset)(cap_user_header_t header, const struct __user_cap_data_struct *data);
	int (*prctl)(int option, unsigned long first, unsigned long second);
	int (*landlock_create_ruleset)(const void *attributes, size_t size, unsigned flags);
	int (*landlock_restrict_self)(int ruleset_fd, unsigned flags);
	int (*load_filter)(scmp_filter_ctx filter); /* 0 or negative errno */
};

extern const struct sandbox_kernel sandbox_kernel_real;
