#pragma once
/*
 * For tests of the sandbox: a kernel that refuses what it is told to, and processes that go into a sandbox and report
 * by a pipe, each as root and as an ordinary user (root tries both):
 *
 *     test ── fork ──> runner (takes a user) ── sandbox_fork ──> inmate
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sidecar/sandbox.h"
#include "sidecar/sandbox_kernel.h"

#define ORDINARY 12345 /* a user that nobody else is */

/* What the kernel refuses in this run, and how. */
struct sandbox_rig_refused {
	int unshare_flags;
	bool map;
	bool mount;
	bool pivot_root;
	bool setgroups;
	bool setresuid;
	bool landlock_create;
	bool landlock_restrict;
	bool load_filter;
	int prctl_option;
	bool capset;
	uint64_t only_capability;
	int with; /* 0: EPERM */
};
extern struct sandbox_rig_refused refused;

struct sandbox_kernel sandbox_rig_kernel(void);
/* Nothing is refused: a cmocka setup. */
int sandbox_rig_reset(void **state);

struct plan {
	bool ordinary;
	struct sandbox_options options;
	void (*run)(const struct plan *plan, FILE *report); /* in the runner */
	const char *directory;
};

/* The next user to be tried, from round 0 on. */
bool sandbox_rig_next(int *round, bool *ret_ordinary);
bool is_as_root(const struct plan *plan);

/* Runs plan->run in a process of its own; its report is in report_text then. */
extern char report_text[1 << 14];
void carry_out(const struct plan *plan);
/* It has a line that begins so. */
bool says(const char *line);

#define assert_says(line)                                                                          \
	do {                                                                                       \
		if (!says(line))                                                                   \
			fail_msg("not said: %s\n%s", line, report_text);                           \
	} while (0)
#define assert_says_not(line)                                                                      \
	do {                                                                                       \
		if (says(line))                                                                    \
			fail_msg("said: %s\n%s", line, report_text);                               \
	} while (0)
