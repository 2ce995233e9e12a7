/*
 * What a process that is locked in tries in vain, with all layers, and with each that is left alone: then the others
 * have to hold by themselves. Without any, the same attempts succeed: so they would be seen.
 */
#include "sandbox_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../sanitizer.h"
#include "base/compiler.h"
#include "base/fd.h"
#include "sidecar/sandbox_prove.h"

/* --- what is there to be reached -------------------------------------------------------- */

struct target {
	char directory[64];
	int path_fd;
	int abstract_fd;
};

static void path_of(const struct target *target, const char *name, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s/%s", target->directory, name);
}

static int listen_unix(const struct sockaddr_un *at, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)at, (socklen_t)size), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void target_init(struct target *target)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char path[80];

	snprintf(target->directory, sizeof(target->directory), "/tmp/sandbox-filter-XXXXXX");
	assert_non_null(mkdtemp(target->directory));
	assert_int_equal(chmod(target->directory, 0777), 0);
	path_of(target, "file", path, sizeof(path));
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(write(fd, "kept", 4), 4);
	(void)fd_close(fd);
	path_of(target, "socket", path, sizeof(path));
	memcpy(at.sun_path, path, strlen(path) + 1);
	target->path_fd = listen_unix(&at, sizeof(at));
	assert_int_equal(chmod(path, 0777), 0);
	at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(at.sun_path + 1, path, strlen(path));
	target->abstract_fd =
		listen_unix(&at, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path));
}

static bool is_unharmed(const struct target *target)
{
	struct stat status;
	char path[80];

	path_of(target, "other", path, sizeof(path));
	if (access(path, F_OK) == 0)
		return false;
	path_of(target, "file", path, sizeof(path));
	return stat(path, &status) == 0 && status.st_size == 4 && (status.st_mode & 07777) == 0666;
}

static void target_done(struct target *target)
{
	char path[80];

	(void)fd_close(target->path_fd);
	(void)fd_close(target->abstract_fd);
	for (size_t i = 0; i < 3; i++) {
		path_of(target, (const char *const[]){ "file", "other", "socket" }[i], path,
			sizeof(path));
		(void)remove(path);
	}
	assert_int_equal(rmdir(target->directory), 0);
}

/* --- who tries -------------------------------------------------------------------------- */

static bool unlocked; /* without the filter */

static void be_inmate(struct sandbox *sandbox, const struct plan *plan, FILE *report)
{
	struct error err = {};
	const char *sentence;

	int r = sandbox_enter(sandbox, &err);
	if (r == 0 && !unlocked)
		r = sandbox_lock(sandbox, &err);
	for (size_t i = 0; (sentence = sandbox_missing(sandbox, i)); i++)
		fprintf(report, "missing: %s\n", sentence);
	if (r < 0)
		fprintf(report, "error: %s\n", err.text);
	else
		sandbox_prove(report, plan->directory);
	(void)fflush(report);
	_exit(0);
}

static pid_t fork_inmate(struct sandbox *sandbox, const struct plan *plan, FILE *report,
			 int *ret_channel_fd)
{
	struct error err = {};

	pid_t child = sandbox_fork(sandbox, &plan->options, ret_channel_fd, &err);
	if (child < 0)
		fprintf(report, "error: %s\n", err.text);
	return child;
}

/* It may have made itself traced. Then it stands where it is another program, which is its end, but also at each signal,
 * such as that of a child that ended late. */
static void wait_for_end(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == SIGTRAP)
			(void)kill(child, SIGKILL);
		else
			(void)ptrace(PTRACE_CONT, child, NULL, NULL);
	}
}

static void run_prover(const struct plan *plan, FILE *report)
{
	const struct sandbox_kernel kernel = sandbox_rig_kernel();
	struct sandbox sandbox = { .kernel = &kernel };
	int channel_fd = -1;

	pid_t child = fork_inmate(&sandbox, plan, report, &channel_fd);
	if (child == 0)
		be_inmate(&sandbox, plan, report);
	if (child < 0)
		return;
	wait_for_end(child);
}

/* No sandbox at all. */
static void run_free(const struct plan *plan, FILE *report)
{
	pid_t child = fork();

	if (child == 0) {
		sandbox_prove(report, plan->directory);
		_exit(0);
	}
	wait_for_end(child);
}

static void prove(const struct target *target, bool ordinary,
		  void (*run)(const struct plan *plan, FILE *report))
{
	const struct plan plan = { .ordinary = ordinary,
				   .run = run,
				   .directory = target->directory };

	carry_out(&plan);
}

static int reset(void **state)
{
	unlocked = false;
	return sandbox_rig_reset(state);
}

/* --- tests ------------------------------------------------------------------------------ */

/* Of all lines, those that do not end in `error`. */
static void collect_others(const char *error, char *ret_others, size_t size)
{
	size_t used = 0;
	char line[256];

	ret_others[0] = '\0';
	for (const char *at = report_text; *at;) {
		size_t length = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)length, at);
		char *value = strstr(line, ": ");
		if (strncmp(line, "missing: ", 9) != 0 && strcmp(line, "end") != 0 &&
		    (!value || strcmp(value + 2, error) != 0))
			used += (size_t)snprintf(ret_others + used, size - used, "%s\n", line);
		at += length + (at[length] == '\n');
	}
}

static void assert_all_are(const char *error, const char *but)
{
	char others[2048];

	collect_others(error, others, sizeof(others));
	assert_string_equal(others, but);
	assert_says("read a file: ");
	assert_says("execute a program: ");
	assert_says("end\n");
}

/* By the filter, whatever else there is: it comes first. A pair of sockets is connected for good. */
#define PATH_NOT_THERE	  "connect to a unix socket: ENOENT\n"
#define PATH_IS_THERE	  "connect to a unix socket: EISCONN\n"
#define ABSTRACT_IS_THERE "connect to an abstract socket: EISCONN\n"

static void the_filter_refuses_all_of_it(void **state)
{
	bool ordinary;
	(void)state;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_says_not("missing: ");
		assert_all_are("EPERM", PATH_NOT_THERE ABSTRACT_IS_THERE);
		assert_true(is_unharmed(&target));
		target_done(&target);
	}
}

static void the_filter_refuses_alone(void **state)
{
	bool ordinary;
	(void)state;
	refused.unshare_flags =
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	refused.landlock_create = true;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_says("missing: no Landlock: ");
		assert_says("missing: no mount namespace, ");
		assert_all_are("EPERM", PATH_IS_THERE ABSTRACT_IS_THERE);
		assert_true(is_unharmed(&target));
		target_done(&target);
	}
}

static const char *const file_attempts[] = {
	"read a file",		"read a file by openat2", "write a file",      "create a file",
	"truncate a file",	"remove a file",	  "rename a file",     "link a file",
	"make a symbolic link", "make a directory",	  "make a named pipe", "open own memory",
	"execute a program",
};

static void assert_attempts(const char *const *names, size_t count, const char *error)
{
	for (size_t i = 0; i < count; i++) {
		char line[128];

		snprintf(line, sizeof(line), "%s: %s\n", names[i], error);
		assert_says(line);
	}
}

/* Rights that are gone with the capabilities, whatever the filter says. */
static void assert_without_rights(void)
{
	static const char *const names[] = { "mount",
					     "unmount the root",
					     "change the root",
					     "make a network namespace",
					     "set the host's name",
					     "raise a limit",
					     "take a group" };

	assert_attempts(names, ARRAY_COUNT(names), "EPERM");
	assert_says("become root: E"); /* EINVAL: there is no such user in the namespace */
}

static void the_other_layers_hold_without_the_filter(void **state)
{
	bool ordinary;
	(void)state;
	unlocked = true;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_says_not("missing: ");
		assert_attempts(file_attempts, ARRAY_COUNT(file_attempts), "ENOENT");
		assert_says("look at a file: ENOENT\n");
		assert_says("change a mode: ENOENT\n");
		assert_says("connect to a unix socket: ENOENT\n");
		assert_says("list the root: EACCES\n");
		assert_says("create a file in the root: E");
		assert_says("make a unix socket: done\n"); /* the filter's alone */
		assert_says("fork: done\n");
		assert_without_rights();
		assert_true(is_unharmed(&target));
		target_done(&target);
	}
}

/* Neither filter nor namespaces. */
static void landlock_holds_alone(void **state)
{
	bool ordinary;
	int abi = sandbox_kernel_real.landlock_create_ruleset(NULL, 0, 1);
	(void)state;
	unlocked = true;
	refused.unshare_flags =
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	if (abi < 1)
		skip();
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_says("missing: no mount namespace, ");
		for (size_t i = 0; i < ARRAY_COUNT(file_attempts); i++) {
			char line[128];

			if (strcmp(file_attempts[i], "truncate a file") == 0 && abi < 3)
				continue;
			snprintf(line, sizeof(line), "%s: %s\n", file_attempts[i], "EACCES");
			assert_says(line);
		}
		assert_says("list the root: EACCES\n");
		if (abi >= 6) {
			assert_says("connect to an abstract socket: EPERM\n");
			assert_says("signal the parent: EPERM\n");
		}
		/* What Landlock does not know of: SECURITY.md names it. */
		assert_says("look at a file: done\n");
		target_done(&target);
	}
}

/* Neither filter nor Landlock. */
static void the_empty_root_holds_alone(void **state)
{
	bool ordinary;
	(void)state;
	unlocked = true;
	refused.landlock_create = true;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_attempts(file_attempts, ARRAY_COUNT(file_attempts), "ENOENT");
		assert_says("list the root: done\n"); /* it is empty: test_sandbox.c */
		assert_says("create a file in the root: EROFS\n");
		assert_says("connect to a unix socket: ENOENT\n");
		assert_says("look at a file: ENOENT\n");
		assert_without_rights();
		assert_true(is_unharmed(&target));
		target_done(&target);
	}
}

/* So an attempt that came through would be seen. As an ordinary user, who harms nobody by it. */
static void the_attempts_succeed_without_a_sandbox(void **state)
{
	static const char *const names[] = { "read a file",
					     "read a file by openat2",
					     "write a file",
					     "create a file",
					     "truncate a file",
					     "look at a file",
					     "look at a file by statx",
					     "list the root",
					     "make a file in memory",
					     "open own memory",
					     "fork",
					     "fork by clone3",
					     "be traced",
					     "signal the parent",
					     "hold a process",
					     "make a unix socket",
					     "make a unix datagram socket",
					     "make a netlink socket",
					     "make a pair of datagram sockets",
					     "connect to a unix socket",
					     "connect to an abstract socket",
					     "execute new memory",
					     "execute written memory",
					     "share memory",
					     "be dumpable" };
	struct target target;
	(void)state;
	target_init(&target);
	prove(&target, geteuid() == 0, run_free);
	assert_attempts(names, ARRAY_COUNT(names), "done");
	assert_says_not("execute a program: "); /* it was: nothing came behind */
	assert_says_not("end\n");
	assert_false(is_unharmed(&target));
	target_done(&target);
}

static void a_kernel_without_filters_is_an_error(void **state)
{
	bool ordinary;
	(void)state;
	refused.load_filter = true;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		struct target target;

		target_init(&target);
		prove(&target, ordinary, run_prover);
		assert_string_equal(report_text, "error: cannot restrict the system calls: Invalid "
						 "argument\n");
		target_done(&target);
	}
}

/* A sanitizer has system calls of its own where threads begin and processes end, and asks abort() to wait. cmocka says
 * "not ok" of what is skipped, so it is left out by word. */
static bool is_left_out(void)
{
	if (IS_SANITIZED)
		print_message(
			"# not in a build with a sanitizer, which makes system calls of its own\n");
	return IS_SANITIZED;
}

/* --- what is left ----------------------------------------------------------------------- */

static void report_socket(FILE *report, const char *name, int family, int type)
{
	int fd = socket(family, type, 0);

	fprintf(report, "%s: %s\n", name, fd >= 0 ? "done" : strerrorname_np(errno));
	(void)fd_close(fd);
}

static void *live_and_end(void *context)
{
	int *ends = context;
	char byte;

	/* A thread that was there before the filter has it, too. */
	(void)!read(ends[0], &byte, 1);
	bool refused_there = open("/", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM;
	return refused_there ? context : NULL;
}

static void report_rest(FILE *report)
{
	char *large = malloc(1 << 20);
	int pair[2];

	report_socket(report, "TCP over IPv4", AF_INET, SOCK_STREAM | SOCK_CLOEXEC);
	report_socket(report, "TCP over IPv6", AF_INET6, SOCK_STREAM | SOCK_NONBLOCK);
	report_socket(report, "UDP over IPv4", AF_INET, SOCK_DGRAM);
	report_socket(report, "UDP over IPv6", AF_INET6, SOCK_DGRAM);
	report_socket(report, "SCTP", AF_INET, SOCK_SEQPACKET);
	fprintf(report, "memory: %s\n", large ? "done" : "none");
	free(large);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
		fprintf(report, "pair: %s\n", write(pair[0], "x", 1) == 1 ? "done" : "broken");
}

static void be_at_work(struct sandbox *sandbox, FILE *report)
{
	struct error err = {};
	int ends[2];
	pthread_t thread;
	void *result = NULL;

	if (pipe2(ends, O_CLOEXEC) < 0 || sandbox_enter(sandbox, &err) < 0 ||
	    pthread_create(&thread, NULL, live_and_end, ends) != 0 ||
	    sandbox_lock(sandbox, &err) < 0) {
		fprintf(report, "error: %s\n", err.text);
		return;
	}
	report_rest(report);
	(void)!write(ends[1], "x", 1);
	(void)pthread_join(thread, &result);
	fprintf(report, "thread: %s\n", result ? "has it, and ended" : "free");
}

static void run_worker(const struct plan *plan, FILE *report)
{
	struct sandbox sandbox = {};
	int channel_fd = -1;

	pid_t child = fork_inmate(&sandbox, plan, report, &channel_fd);
	if (child == 0) {
		be_at_work(&sandbox, report);
		(void)fflush(report);
		exit(0); /* as programs end */
	}
	int status = -1;
	(void)waitpid(child, &status, 0);
	fprintf(report, "status: %d\n", status);
}

static void leaves_what_a_network_needs(void **state)
{
	static const char *const names[] = { "TCP over IPv4", "TCP over IPv6", "UDP over IPv4",
					     "UDP over IPv6", "memory",	       "pair" };
	bool ordinary;
	(void)state;
	if (is_left_out())
		return;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		const struct plan plan = { .ordinary = ordinary, .run = run_worker };

		carry_out(&plan);
		assert_attempts(names, ARRAY_COUNT(names), "done");
		assert_says("SCTP: EPERM\n");
		assert_says("thread: has it, and ended\n");
		assert_says("status: 0\n");
	}
}

/* --- how it ends ------------------------------------------------------------------------ */

static void end_by_abort(void)
{
	abort();
}

static void end_by_x32(void)
{
#ifdef __x86_64__
	(void)syscall(0x40000000 | SYS_getpid);
#endif
}

static void end_by_i386(void)
{
#ifdef __x86_64__
	long result = 20; /* its getpid */

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#endif
}

static void (*end_of_inmate)(void);

static void run_end(const struct plan *plan, FILE *report)
{
	struct sandbox sandbox = {};
	struct error err = {};
	int channel_fd = -1;
	int status = -1;

	pid_t child = fork_inmate(&sandbox, plan, report, &channel_fd);
	if (child == 0) {
		if (sandbox_enter(&sandbox, &err) < 0 || sandbox_lock(&sandbox, &err) < 0)
			_exit(2);
		end_of_inmate();
		_exit(3);
	}
	(void)waitpid(child, &status, 0);
	fprintf(report, "killed: %s\n",
		WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "no");
}

static void it_can_end_itself(void **state)
{
	bool ordinary;
	(void)state;
	if (is_left_out())
		return;
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		const struct plan plan = { .ordinary = ordinary, .run = run_end };

		end_of_inmate = end_by_abort;
		carry_out(&plan);
		/* SIGABRT does not reach the first of a PID namespace; abort() has more. */
		assert_true(says("killed: SEGV\n") || says("killed: ABRT\n"));
	}
}

static void other_architectures_end_it(void **state)
{
	bool ordinary;
	(void)state;
#ifndef __x86_64__
	skip();
#endif
	for (int round = 0; sandbox_rig_next(&round, &ordinary);) {
		const struct plan plan = { .ordinary = ordinary, .run = run_end };

		end_of_inmate = end_by_x32;
		carry_out(&plan);
		assert_says("killed: SYS\n");
		end_of_inmate = end_by_i386;
		carry_out(&plan);
		/* SEGV: this kernel knows no other architecture. */
		assert_true(says("killed: SYS\n") || says("killed: SEGV\n"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_filter_refuses_all_of_it, reset),
		cmocka_unit_test_setup(the_filter_refuses_alone, reset),
		cmocka_unit_test_setup(the_other_layers_hold_without_the_filter, reset),
		cmocka_unit_test_setup(landlock_holds_alone, reset),
		cmocka_unit_test_setup(the_empty_root_holds_alone, reset),
		cmocka_unit_test_setup(the_attempts_succeed_without_a_sandbox, reset),
		cmocka_unit_test_setup(a_kernel_without_filters_is_an_error, reset),
		cmocka_unit_test_setup(leaves_what_a_network_needs, reset),
		cmocka_unit_test_setup(it_can_end_itself, reset),
		cmocka_unit_test_setup(other_architectures_end_it, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
