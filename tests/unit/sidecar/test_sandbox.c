/*
 * A process in its sandbox, as root and as an ordinary user (as root both are tried), and what each layer that the
 * kernel refuses costs. What it is in there, it reports by a pipe:
 *
 *     test ── fork ──> runner (takes a user) ── sandbox_fork ──> inmate: enters, reports, waits for the end
 */
#include "sidecar/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/fd.h"
#include "sidecar/sandbox_kernel.h"

#define ORDINARY 12345 /* a user that nobody else is */

/* What the kernel refuses in this run, and how. */
static struct {
	int unshare_flags;
	bool map;
	bool mount;
	bool pivot_root;
	bool setgroups;
	bool setresuid;
	bool landlock_create;
	bool landlock_restrict;
	int prctl_option;
	bool capset;
	uint64_t only_capability;
	int with;
} refused;

static int refuse(void)
{
	errno = refused.with ? refused.with : EPERM;
	return -1;
}

static int fake_unshare(int flags)
{
	return flags & refused.unshare_flags ? refuse() : sandbox_kernel_real.unshare(flags);
}

static int fake_write_proc(int proc_fd, const char *path, const char *text)
{
	return refused.map ? refuse() : sandbox_kernel_real.write_proc(proc_fd, path, text);
}

static int fake_mount(const char *source, const char *target, const char *type, unsigned long flags,
		      const void *data)
{
	return refused.mount ? refuse()
			     : sandbox_kernel_real.mount(source, target, type, flags, data);
}

static int fake_pivot_root(const char *new_root, const char *put_old)
{
	return refused.pivot_root ? refuse() : sandbox_kernel_real.pivot_root(new_root, put_old);
}

static int fake_setgroups(size_t count, const gid_t *groups)
{
	return refused.setgroups ? refuse() : sandbox_kernel_real.setgroups(count, groups);
}

static int fake_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	return refused.setresuid ? refuse() : sandbox_kernel_real.setresuid(real, effective, saved);
}

static int fake_prctl(int option, unsigned long first, unsigned long second)
{
	return option == refused.prctl_option ? refuse()
					      : sandbox_kernel_real.prctl(option, first, second);
}

static int fake_capget(cap_user_header_t header, cap_user_data_t data)
{
	int r = sandbox_kernel_real.capget(header, data);

	if (refused.only_capability) {
		data[0].effective = (uint32_t)refused.only_capability;
		data[1].effective = 0;
	}
	return r;
}

static int fake_capset(cap_user_header_t header, const struct __user_cap_data_struct *data)
{
	return refused.capset ? refuse() : sandbox_kernel_real.capset(header, data);
}

static int fake_create_ruleset(const void *attributes, size_t size, unsigned flags)
{
	return refused.landlock_create
		       ? refuse()
		       : sandbox_kernel_real.landlock_create_ruleset(attributes, size, flags);
}

static int fake_restrict_self(int ruleset_fd, unsigned flags)
{
	return refused.landlock_restrict
		       ? refuse()
		       : sandbox_kernel_real.landlock_restrict_self(ruleset_fd, flags);
}

static struct sandbox_kernel fake_kernel(void)
{
	return (struct sandbox_kernel){
		.unshare = fake_unshare,
		.write_proc = fake_write_proc,
		.mount = fake_mount,
		.pivot_root = fake_pivot_root,
		.setgroups = fake_setgroups,
		.setresgid = sandbox_kernel_real.setresgid,
		.setresuid = fake_setresuid,
		.capget = fake_capget,
		.capset = fake_capset,
		.prctl = fake_prctl,
		.landlock_create_ruleset = fake_create_ruleset,
		.landlock_restrict_self = fake_restrict_self,
	};
}

/* --- the inmate ------------------------------------------------------------------------- */

static const char *const namespaces[] = { "user", "pid", "mnt", "ipc", "uts", "net" };

static void read_namespaces(int proc_fd, char (*ret_names)[64])
{
	for (size_t i = 0; i < ARRAY_COUNT(namespaces); i++) {
		char path[64];

		snprintf(path, sizeof(path), "self/ns/%s", namespaces[i]);
		memset(ret_names[i], 0, sizeof(ret_names[i]));
		if (readlinkat(proc_fd, path, ret_names[i], sizeof(ret_names[i]) - 1) < 0)
			abort();
	}
}

static void report_open(FILE *report, const char *what, const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	fprintf(report, "%s: %s\n", what, fd >= 0 ? "opened" : strerrorname_np(errno));
	(void)fd_close(fd);
}

static void report_inside(FILE *report, const struct sandbox *sandbox, int proc_fd,
			  char (*before)[64])
{
	char after[ARRAY_COUNT(namespaces)][64];
	char directory[64];
	struct rlimit core;
	struct stat root;
	const char *sentence;

	for (size_t i = 0; (sentence = sandbox_missing(sandbox, i)); i++)
		fprintf(report, "missing: %s\n", sentence);
	read_namespaces(proc_fd, after);
	for (size_t i = 0; i < ARRAY_COUNT(namespaces); i++)
		fprintf(report, "%s: %s\n", namespaces[i],
			strcmp(before[i], after[i]) == 0 ? "same" : "own");
	fprintf(report, "user now: %u %u\n", geteuid(), getegid());
	fprintf(report, "parent seen: %s\n", getppid() ? "yes" : "no");
	fprintf(report, "directory: %s\n",
		getcwd(directory, sizeof(directory)) ? directory : strerrorname_np(errno));
	report_open(report, "read", "/etc/passwd", O_RDONLY | O_CLOEXEC);
	report_open(report, "list", "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	report_open(report, "above", "../../etc/passwd", O_RDONLY | O_CLOEXEC);
	report_open(report, "create", "/tmp/of-the-sandbox-test", O_CREAT | O_WRONLY | O_CLOEXEC);
	/* Landlock alone refuses what an open directory leads to. */
	int fd = openat(proc_fd, "version", O_RDONLY | O_CLOEXEC);
	fprintf(report, "by an open directory: %s\n", fd >= 0 ? "opened" : strerrorname_np(errno));
	(void)fd_close(fd);
	if (stat("/", &root) == 0)
		fprintf(report, "links of the root: %u\n", (unsigned)root.st_nlink);
	if (getrlimit(RLIMIT_CORE, &core) == 0)
		fprintf(report, "core: %u %u\n", (unsigned)core.rlim_cur, (unsigned)core.rlim_max);
	fprintf(report, "dumpable: %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

static void be_inmate(struct sandbox *sandbox, int channel_fd, FILE *report, int proc_fd,
		      char (*before)[64])
{
	struct error err = {};
	char end;

	int r = sandbox_enter(sandbox, &err);
	if (r < 0)
		fprintf(report, "error: %s: %s\n", strerrorname_np(-r), err.text);
	else
		report_inside(report, sandbox, proc_fd, before);
	fflush(report);
	/* The runner reads what the kernel says of this process, and hangs up. */
	if (write(channel_fd, "r", 1) == 1)
		(void)!read(channel_fd, &end, 1);
	_exit(0);
}

/* --- the runner ------------------------------------------------------------------------- */

static void report_status(FILE *report, pid_t pid)
{
	char path[64];
	char line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *status = fopen(path, "re");
	if (!status)
		abort();
	while (fgets(line, sizeof(line), status))
		fputs(line, report);
	(void)fclose(status);
}

/* As a program would be that such a user has started. */
static void become_ordinary(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(ORDINARY, ORDINARY, ORDINARY) < 0 ||
	    setresuid(ORDINARY, ORDINARY, ORDINARY) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		abort();
}

struct plan {
	bool ordinary;
	struct sandbox_options options;
	void (*run)(const struct plan *plan, FILE *report);
};

static void run_inmate(const struct plan *plan, FILE *report)
{
	const struct sandbox_kernel kernel = fake_kernel();
	struct sandbox sandbox = { .kernel = &kernel };
	struct error err = {};
	int channel_fd = -1;
	char before[ARRAY_COUNT(namespaces)][64];
	char ready;

	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	read_namespaces(proc_fd, before);
	pid_t child = sandbox_fork(&sandbox, &plan->options, &channel_fd, &err);
	if (child == 0)
		be_inmate(&sandbox, channel_fd, report, proc_fd, before);
	if (child < 0) {
		fprintf(report, "error: %s: %s\n", strerrorname_np((int)-child), err.text);
		return;
	}
	if (read(channel_fd, &ready, 1) == 1)
		report_status(report, child);
	fprintf(report, "parent is: %u %u\n", geteuid(), getegid());
	(void)fd_close(channel_fd);
	(void)waitpid(child, NULL, 0);
}

static char report_text[1 << 14];

/* Runs plan->run in a process of its own; its report is in report_text then. */
static void carry_out(const struct plan *plan)
{
	int ends[2];
	size_t used = 0;
	ssize_t size;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t runner = fork();
	assert_true(runner >= 0);
	if (runner == 0) {
		FILE *report = fdopen(ends[1], "w");
		(void)fd_close(ends[0]);
		if (plan->ordinary)
			become_ordinary();
		plan->run(plan, report);
		fflush(report);
		_exit(0);
	}
	(void)fd_close(ends[1]);
	while ((size = read(ends[0], report_text + used, sizeof(report_text) - 1 - used)) > 0)
		used += (size_t)size;
	report_text[used] = '\0';
	(void)fd_close(ends[0]);
	int status;
	assert_int_equal(waitpid(runner, &status, 0), runner);
	assert_int_equal(status, 0);
}

static bool says(const char *line)
{
	char whole[600];

	snprintf(whole, sizeof(whole), "\n%s", line);
	return strncmp(report_text, line, strlen(line)) == 0 || strstr(report_text, whole);
}

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

static int reset(void **state)
{
	(void)state;
	memset(&refused, 0, sizeof(refused));
	return 0;
}

static struct plan plan_as(bool ordinary)
{
	return (struct plan){ .ordinary = ordinary, .run = run_inmate };
}

/* Who is not root can only be an ordinary user; root tries both. */
static bool next_user(int *round, struct plan *plan)
{
	bool may_be_root = geteuid() == 0;

	if (*round >= (may_be_root ? 2 : 1))
		return false;
	*plan = plan_as(may_be_root && *round == 1);
	(*round)++;
	return true;
}

static bool is_as_root(const struct plan *plan)
{
	return geteuid() == 0 && !plan->ordinary;
}

static void assert_rights_gone(void)
{
	assert_says("CapInh:\t0000000000000000\n");
	assert_says("CapPrm:\t0000000000000000\n");
	assert_says("CapEff:\t0000000000000000\n");
	assert_says("CapAmb:\t0000000000000000\n");
	assert_says("NoNewPrivs:\t1\n");
	assert_says("core: 0 0\n");
	assert_says("dumpable: 0\n");
}

/* --- tests ------------------------------------------------------------------------------ */

static void has_every_layer(void **state)
{
	struct plan plan;
	(void)state;
	for (int round = 0; next_user(&round, &plan);) {
		char line[64];
		unsigned user = plan.ordinary ? ORDINARY : geteuid() == 0 ? 65534 : geteuid();
		unsigned group = plan.ordinary ? ORDINARY : geteuid() == 0 ? 65534 : getegid();

		carry_out(&plan);
		assert_says_not("error:");
		assert_says_not("missing:");
		assert_rights_gone();
		assert_says("CapBnd:\t0000000000000000\n");
		snprintf(line, sizeof(line), "Uid:\t%u\t%u\t%u\t%u\n", user, user, user, user);
		assert_says(line);
		snprintf(line, sizeof(line), "Gid:\t%u\t%u\t%u\t%u\n", group, group, group, group);
		assert_says(line);
		snprintf(line, sizeof(line), "user now: %u %u\n", user, group);
		assert_says(line);
		if (is_as_root(&plan))
			assert_says("Groups:\t \n");
		for (size_t i = 0; i < 5; i++) {
			snprintf(line, sizeof(line), "%s: own\n", namespaces[i]);
			assert_says(line);
		}
		assert_says("net: same\n");
		assert_says("parent seen: no\n");
		assert_says("directory: /\n");
		assert_says("read: ENOENT\n");
		assert_says("above: ENOENT\n");
		assert_says("list: EACCES\n"); /* there, and refused by Landlock */
		assert_says("create: ENOENT\n");
		assert_says("links of the root: 2\n");
		assert_says("by an open directory: EACCES\n");
		/* Where it was who it is, it is so still. */
		snprintf(line, sizeof(line), "parent is: %u %u\n", is_as_root(&plan) ? 0 : user,
			 is_as_root(&plan) ? getegid() : group);
		assert_says(line);
	}
}

static void becomes_the_user_that_is_asked_for(void **state)
{
	struct plan plan = plan_as(false);
	(void)state;
	if (geteuid() != 0)
		skip();
	plan.options = (struct sandbox_options){ .has_user = true, .user = 1234, .group = 4321 };
	carry_out(&plan);
	assert_says_not("missing:");
	assert_says("Uid:\t1234\t1234\t1234\t1234\n");
	assert_says("Gid:\t4321\t4321\t4321\t4321\n");
	assert_says("Groups:\t \n");
	assert_says("user: own\n");
	assert_rights_gone();
	/* Root itself, if that is what is wanted: it can do nothing that others cannot. */
	plan.options = (struct sandbox_options){ .has_user = true };
	carry_out(&plan);
	assert_says_not("missing:");
	assert_says("Uid:\t0\t0\t0\t0\n");
	assert_says("user: own\n");
	assert_rights_gone();
}

static void an_ordinary_user_becomes_nobody_else(void **state)
{
	struct plan plan = plan_as(geteuid() == 0);
	(void)state;
	plan.options = (struct sandbox_options){ .has_user = true, .user = 1, .group = 1 };
	carry_out(&plan);
	assert_says("error: EPERM: cannot become user 1, group 1: Operation not permitted (only "
		    "root may)\n");
	plan.options = (struct sandbox_options){ .has_user = true,
						 .user = geteuid() == 0 ? ORDINARY : geteuid(),
						 .group = geteuid() == 0 ? ORDINARY : getegid() };
	carry_out(&plan);
	assert_says_not("error:");
	assert_says_not("missing:");
}

/* With strict, the sentence is an error's. */
static void assert_missed(struct plan *plan, const char *sentence)
{
	char line[600];

	carry_out(plan);
	assert_says_not("error:");
	snprintf(line, sizeof(line), "missing: no %s", sentence);
	assert_says(line);
	assert_rights_gone();
	plan->options.strict = true;
	carry_out(plan);
	snprintf(line, sizeof(line), "error: %s: the sandbox has no %s",
		 strerrorname_np(refused.with ? refused.with : EPERM), sentence);
	char *end = strstr(line, "; the sandbox goes on");
	if (end)
		strcpy(end, "\n");
	assert_says(line);
	plan->options.strict = false;
	carry_out(plan); /* for what else the caller asks */
}

static void goes_on_without_mount_namespace(void **state)
{
	struct plan plan;
	(void)state;
	refused.unshare_flags = CLONE_NEWNS;
	for (int round = 0; next_user(&round, &plan);) {
		assert_missed(&plan, "mount namespace, and no empty root in it: Operation not "
				     "permitted; the sandbox goes on without it\n");
		assert_says("mnt: same\n");
		assert_says("user: own\n");
		assert_says("pid: own\n");
		/* Landlock alone. */
		assert_says("read: EACCES\n");
		assert_says("list: EACCES\n");
		assert_says("create: EACCES\n");
		assert_says("by an open directory: EACCES\n");
	}
}

static void goes_on_without_empty_root(void **state)
{
	struct plan plan;
	(void)state;
	refused.pivot_root = true;
	refused.with = EINVAL;
	for (int round = 0; next_user(&round, &plan);) {
		assert_missed(&plan, "empty root: Invalid argument; the sandbox goes on");
		assert_says("mnt: own\n");
		assert_says("read: EACCES\n");
		assert_says("create: EACCES\n");
	}
	refused.pivot_root = false;
	refused.mount = true;
	for (int round = 0; next_user(&round, &plan);)
		assert_missed(&plan, "empty root: Invalid argument; the sandbox goes on");
}

static void goes_on_without_ipc_and_uts_namespace(void **state)
{
	struct plan plan;
	(void)state;
	refused.with = ENOSPC;
	for (int round = 0; next_user(&round, &plan);) {
		refused.unshare_flags = CLONE_NEWIPC;
		assert_missed(&plan, "IPC namespace: No space left on device; the sandbox goes on");
		assert_says("ipc: same\n");
		assert_says("uts: own\n");
		refused.unshare_flags = CLONE_NEWUTS;
		assert_missed(&plan, "UTS namespace: No space left on device; the sandbox goes on");
		assert_says("ipc: own\n");
		assert_says("uts: same\n");
	}
}

#define SYSCTLS                                                                                    \
	" (the sysctls kernel.unprivileged_userns_clone, "                                         \
	"kernel.apparmor_restrict_unprivileged_userns and user.max_*_namespaces may forbid it); "  \
	"the sandbox goes on without it\n"

/* As root, it is one layer less. */
static void root_goes_on_without_user_namespace(void **state)
{
	struct plan plan = plan_as(false);
	(void)state;
	if (geteuid() != 0)
		skip();
	refused.unshare_flags = CLONE_NEWUSER;
	assert_missed(&plan, "user namespace: Operation not permitted" SYSCTLS);
	assert_says("user: same\n");
	assert_says("pid: own\n");
	assert_says("mnt: own\n");
	assert_says("read: ENOENT\n");
	assert_says("Uid:\t65534\t65534\t65534\t65534\n");
	assert_says("CapBnd:\t0000000000000000\n");
	/* A kernel that makes it, and refuses its map: the process did not go in. */
	refused.unshare_flags = 0;
	refused.map = true;
	assert_missed(&plan, "user namespace: Operation not permitted" SYSCTLS);
	assert_says("user: same\n");
	assert_says("user now: 65534 65534\n");
}

/* The others depend on it. */
static void an_ordinary_user_goes_on_without_user_namespace(void **state)
{
	struct plan plan = plan_as(geteuid() == 0);
	unsigned user = plan.ordinary ? ORDINARY : geteuid();
	char line[64];
	(void)state;
	refused.unshare_flags = CLONE_NEWUSER;
	snprintf(line, sizeof(line), "Uid:\t%u\t%u\t%u\t%u\n", user, user, user, user);
	for (int round = 0; round < 2; round++) {
		assert_missed(&plan, "user and PID namespaces: Operation not permitted" SYSCTLS);
		assert_says("missing: no mount namespace, and no empty root in it: Operation not "
			    "permitted; the sandbox goes on without it\n");
		assert_says("missing: no IPC namespace: Operation not permitted; ");
		assert_says("missing: no UTS namespace: Operation not permitted; ");
		assert_says_not("missing: no user namespace");
		assert_says("user: same\n");
		assert_says("pid: same\n");
		assert_says("parent seen: yes\n");
		assert_says("read: EACCES\n");
		assert_says(line);
		refused.unshare_flags = 0;
		refused.map = true;
	}
}

static void root_goes_on_without_pid_namespace(void **state)
{
	struct plan plan = plan_as(false);
	(void)state;
	if (geteuid() != 0)
		skip();
	refused.unshare_flags = CLONE_NEWPID;
	assert_missed(&plan, "PID namespace: Operation not permitted; the sandbox goes on");
	assert_says("pid: same\n");
	assert_says("user: own\n");
	assert_says("mnt: own\n");
}

/* A few capabilities, say for low ports: they are kept until everything is open. */
static void keeps_capabilities_until_it_enters(void **state)
{
	struct plan plan = plan_as(geteuid() == 0);
	(void)state;
	refused.only_capability = 1U << CAP_NET_BIND_SERVICE;
	assert_missed(&plan,
		      "PID namespace: Operation not permitted (it would cost this process the "
		      "capabilities that it was given, for want of CAP_SYS_ADMIN); the sandbox "
		      "goes on without it\n");
	assert_says("pid: same\n");
	assert_says("user: own\n");
}

static void goes_on_without_landlock(void **state)
{
	struct plan plan;
	(void)state;
	for (int round = 0; next_user(&round, &plan);) {
		refused.with = ENOSYS;
		refused.landlock_create = true;
		refused.landlock_restrict = false;
		assert_missed(&plan, "Landlock: Function not implemented; the sandbox goes on");
		/* The empty root alone. */
		assert_says("read: ENOENT\n");
		assert_says("above: ENOENT\n");
		assert_says("list: opened\n");
		assert_says("links of the root: 2\n");
		assert_says("create: ENOENT\n");
		refused.with = E2BIG;
		refused.landlock_create = false;
		refused.landlock_restrict = true;
		assert_missed(&plan, "Landlock: Argument list too long; the sandbox goes on");
	}
}

static void goes_on_as_root_where_there_is_nobody_else(void **state)
{
	struct plan plan = plan_as(false);
	(void)state;
	if (geteuid() != 0)
		skip();
	refused.setgroups = true;
	assert_missed(&plan, "user of its own: Operation not permitted (root is all that it can be "
			     "here); the sandbox goes on without it\n");
	assert_says("Uid:\t0\t0\t0\t0\n");
	plan.options = (struct sandbox_options){ .has_user = true, .user = 1, .group = 1 };
	refused.with = EINVAL;
	carry_out(&plan);
	assert_says("error: EINVAL: cannot become user 1, group 1: Invalid argument (is there such "
		    "a user in this user namespace?)\n");
}

/* What every kernel has is no layer that may be missing. */
static void needs_the_rest(void **state)
{
	static const struct {
		int prctl_option;
		bool capset;
		const char *sentence;
	} cases[] = {
		{ PR_SET_NO_NEW_PRIVS, false, "cannot set no_new_privs: " },
		{ PR_SET_DUMPABLE, false, "cannot forbid core dumps: " },
		{ PR_CAP_AMBIENT, false, "cannot give up the capabilities: " },
		{ PR_CAPBSET_DROP, false, "cannot give up capability 0: " },
		{ 0, true, "cannot give up the capabilities: " },
	};
	struct plan plan;
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (int round = 0; next_user(&round, &plan);) {
			char line[200];

			refused.prctl_option = cases[i].prctl_option;
			refused.capset = cases[i].capset;
			carry_out(&plan);
			snprintf(line, sizeof(line), "error: EPERM: %sOperation not permitted\n",
				 cases[i].sentence);
			assert_says(line);
		}
	}
}

/* The inmate holds the report open, so its end is the inmate's. */
static void run_and_leave(const struct plan *plan, FILE *report)
{
	struct sandbox sandbox = {};
	struct error err = {};
	int channel_fd = -1;
	char byte;

	pid_t child = sandbox_fork(&sandbox, &plan->options, &channel_fd, &err);
	if (child == 0) {
		if (sandbox_enter(&sandbox, &err) < 0)
			_exit(1);
		fputs("entered\n", report);
		fflush(report);
		(void)!write(channel_fd, "r", 1);
		for (;;)
			(void)pause();
	}
	/* The runner ends, and nobody else tells the inmate. */
	(void)!read(channel_fd, &byte, 1);
}

static void dies_with_its_parent(void **state)
{
	struct plan plan;
	(void)state;
	for (int round = 0; next_user(&round, &plan);) {
		plan.run = run_and_leave;
		carry_out(&plan); /* ends only if the inmate does */
		assert_string_equal(report_text, "entered\n");
	}
}

/* It died before the child could ask for the signal. */
static void run_orphan(const struct plan *plan, FILE *report)
{
	struct sandbox sandbox = {};
	struct error err = {};
	int channel_fd = -1;

	pid_t child = sandbox_fork(&sandbox, &plan->options, &channel_fd, &err);
	char byte;
	if (child != 0) {
		(void)!read(channel_fd, &byte, 1); /* sandbox_fork() came back there */
		(void)fd_close(channel_fd);
		(void)waitpid(child, NULL, 0);
		return;
	}
	(void)!write(channel_fd, "r", 1);
	(void)!read(channel_fd, &byte, 1); /* its end */
	int r = sandbox_enter(&sandbox, &err);
	fprintf(report, "%s: %s\n", r < 0 ? strerrorname_np(-r) : "entered", err.text);
	fflush(report);
	_exit(0);
}

static void an_orphan_does_not_start(void **state)
{
	struct plan plan;
	(void)state;
	for (int round = 0; next_user(&round, &plan);) {
		plan.run = run_orphan;
		carry_out(&plan);
		assert_string_equal(report_text,
				    "EPIPE: the process that reads files for this one has gone\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(has_every_layer, reset),
		cmocka_unit_test_setup(becomes_the_user_that_is_asked_for, reset),
		cmocka_unit_test_setup(an_ordinary_user_becomes_nobody_else, reset),
		cmocka_unit_test_setup(goes_on_without_mount_namespace, reset),
		cmocka_unit_test_setup(goes_on_without_empty_root, reset),
		cmocka_unit_test_setup(goes_on_without_ipc_and_uts_namespace, reset),
		cmocka_unit_test_setup(root_goes_on_without_user_namespace, reset),
		cmocka_unit_test_setup(an_ordinary_user_goes_on_without_user_namespace, reset),
		cmocka_unit_test_setup(root_goes_on_without_pid_namespace, reset),
		cmocka_unit_test_setup(keeps_capabilities_until_it_enters, reset),
		cmocka_unit_test_setup(goes_on_without_landlock, reset),
		cmocka_unit_test_setup(goes_on_as_root_where_there_is_nobody_else, reset),
		cmocka_unit_test_setup(needs_the_rest, reset),
		cmocka_unit_test_setup(dies_with_its_parent, reset),
		cmocka_unit_test_setup(an_orphan_does_not_start, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
