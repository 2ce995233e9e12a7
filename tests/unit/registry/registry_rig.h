#pragma once
/* What the tests of this room share: a folder on tmpfs, a registry in it, and child processes that
 * hold something until they are told to go or are killed. */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/error.h"
#include "registry/registry.h"

/* A sanitizer's allocator takes several times what is measured (SQLite gives its page cache back with
 * each transaction of another process): such a build prints the time, and judges all but the time.
 * Plain builds judge that too. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_TIME_JUDGED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
	__has_feature(thread_sanitizer)
#define IS_TIME_JUDGED false
#endif
#endif
#ifndef IS_TIME_JUDGED
#define IS_TIME_JUDGED true
#endif

struct rig {
	char folder[64];
	char state[96];
	char runtime[96];
	struct registry_paths paths;
	struct registry *registry; /* opened by rig_open() */
};

static inline void rig_init(struct rig *rig)
{
	*rig = (struct rig){ .registry = NULL };
	(void)snprintf(rig->folder, sizeof(rig->folder), "%s/registry-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->state, sizeof(rig->state), "%s/state/vmnet", rig->folder);
	(void)snprintf(rig->runtime, sizeof(rig->runtime), "%s/runtime", rig->folder);
	rig->paths = (struct registry_paths){ rig->state, rig->runtime };
}

/* By descriptors, so that no path grows too long. */
static inline void remove_entries(int folder_fd)
{
	DIR *list = fdopendir(folder_fd);

	assert_non_null(list);
	for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    unlinkat(dirfd(list), entry->d_name, 0) == 0)
			continue;
		int entry_fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_NOFOLLOW);

		assert_true(entry_fd >= 0);
		remove_entries(entry_fd);
		assert_int_equal(unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR), 0);
	}
	(void)closedir(list);
}

static inline void remove_folder(const char *path)
{
	int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	assert_true(folder_fd >= 0);
	remove_entries(folder_fd);
	assert_int_equal(rmdir(path), 0);
}

static inline struct registry *rig_open(struct rig *rig)
{
	struct error err = { "" };
	int result = registry_open(&rig->paths, &rig->registry, &err);

	assert_string_equal(err.text, "");
	assert_int_equal(result, 0);
	return rig->registry;
}

static inline void rig_done(struct rig *rig)
{
	rig->registry = registry_close(rig->registry);
	remove_folder(rig->folder);
}

static inline int rig_setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	rig_init(rig);
	*state = rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_done(*state);
	free(*state);
	return 0;
}

static inline struct ip_prefix prefix_of(const char *text)
{
	struct ip_prefix prefix;

	assert_true(ip_prefix_parse(text, &prefix));
	return prefix;
}

static inline struct ip_addr addr_of(const char *text)
{
	struct ip_addr addr;

	assert_true(ip_addr_parse(text, &addr));
	return addr;
}

static inline struct ip_endpoint endpoint_of(const char *addr, uint16_t port)
{
	return (struct ip_endpoint){ .addr = addr_of(addr), .port = port };
}

static inline void assert_prefix(const struct ip_prefix *prefix, const char *text)
{
	char buffer[IP_PREFIX_TEXT_SIZE];

	assert_string_equal(ip_prefix_format(prefix, buffer), text);
}

static inline void assert_addr(const struct ip_addr *addr, const char *text)
{
	char buffer[IP_ADDR_TEXT_SIZE];

	assert_string_equal(ip_addr_format(addr, buffer), text);
}

static inline struct registry_holding *must_hold(struct registry *registry,
						 const struct registry_request *request)
{
	struct registry_holding *holding = NULL;
	struct error err = { "" };
	int result = registry_hold(registry, request, &holding, &err);

	assert_string_equal(err.text, "");
	assert_int_equal(result, 0);
	return holding;
}

static inline void must_not_hold(struct registry *registry, const struct registry_request *request,
				 int expected, const char *sentence)
{
	struct registry_holding *holding = NULL;
	struct error err = { "" };
	int result = registry_hold(registry, request, &holding, &err);

	assert_string_equal(err.text, sentence);
	assert_int_equal(result, expected);
	assert_null(holding);
}

/* A request for this very subnet. */
static inline struct registry_request wanting(const char *label, const char *subnet)
{
	return (struct registry_request){ .label = label, .wanted = prefix_of(subnet) };
}

/* A child that holds what is asked for, and reports. It lives until rig_child_end(). */
struct rig_child {
	pid_t pid;
	int go_fd;	    /* closing it ends the child in good order */
	int result;	    /* of its registry_hold() */
	struct error error; /* its sentence */
	struct ip_prefix subnet;
};

struct rig_report {
	int result;
	struct error error;
	struct ip_prefix subnet;
};

typedef int rig_after_fn(struct registry_holding *holding);

static inline void rig_child_main(struct rig *rig, const struct registry_request *request,
				  rig_after_fn *after, int go_fd, int report_fd)
{
	struct registry *registry = NULL;
	struct registry_holding *holding = NULL;
	struct rig_report report = { .result = 0 };
	char byte;

	report.result = registry_open(&rig->paths, &registry, &report.error);
	if (report.result == 0)
		report.result = registry_hold(registry, request, &holding, &report.error);
	if (report.result == 0 && after)
		report.result = after(holding);
	if (holding)
		report.subnet = holding->subnet;
	if (write(report_fd, &report, sizeof(report)) != sizeof(report))
		_exit(1);
	if (read(go_fd, &byte, 1) != 0) /* ends when the parent closes its end */
		_exit(1);
	(void)registry_holding_release(holding);
	(void)registry_close(registry);
	_exit(0);
}

static inline struct rig_child
rig_child_start(struct rig *rig, const struct registry_request *request, rig_after_fn *after)
{
	struct rig_child child = { .pid = -1 };
	struct rig_report report;
	int go[2];
	int reports[2];

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(reports, O_CLOEXEC), 0);
	(void)fflush(NULL);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		(void)close(go[1]);
		rig_child_main(rig, request, after, go[0], reports[1]);
	}
	(void)close(go[0]);
	(void)close(reports[1]);
	assert_int_equal(read(reports[0], &report, sizeof(report)), (ssize_t)sizeof(report));
	(void)close(reports[0]);
	child.go_fd = go[1];
	child.result = report.result;
	child.error = report.error;
	child.subnet = report.subnet;
	return child;
}

/* SIGKILL leaves everything as it stands; otherwise the child releases and closes. */
static inline void rig_child_end(struct rig_child *child, bool is_killed)
{
	int status = 0;

	if (is_killed)
		assert_int_equal(kill(child->pid, SIGKILL), 0);
	(void)close(child->go_fd);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	if (is_killed)
		assert_true(WIFSIGNALED(status));
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline unsigned rig_owner_files(const struct rig *rig)
{
	DIR *list = opendir(rig->runtime);
	unsigned count = 0;

	assert_non_null(list);
	for (struct dirent *entry = readdir(list); entry; entry = readdir(list))
		count += strncmp(entry->d_name, "owner-", 6) == 0;
	(void)closedir(list);
	return count;
}
