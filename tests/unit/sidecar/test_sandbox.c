/*
 * A process in its sandbox, as root and as an ordinary user (as root both are tried), and what each layer that the
 * kernel refuses costs.
 */
#include "sandbox_rig.h"

#include <errno.h>
#include <fcntl.h>
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

static void report_status(FILE *report, int proc_fd, pid_t pid)
{
	char path[64];
	char line[256];

	snprintf(path, sizeof(path), "%d/status", (int)pid);
	FILE *status = fdopen(openat(proc_fd, path, O_RDONLY | O_CLOEXEC), "r");
	if (!status)
		abort();
	while (fgets(line, sizeof(line), status))
		fputs(line, report);
	(void)fclose(status);
}

static void run_inmate(const struct plan *plan, FILE *report)
{
	const struct sandbox_kernel kernel = sandbox_rig_kernel();
	struct sandbox sandbox = { .kernel = &kernel };
	struct error err = {};
	int channel_fd = -1;
	char before[ARRAY_COUNT(namespaces)][64];
	char ready;

	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	read_namespaces(proc_fd, before);
	if (plan->directory && (chroot(plan->directory) < 0 || chdir("/") < 0))
		abort();
	pid_t child = sandbox_fork(&sandbox, &plan->options, &channel_fd, &err);
	if (child == 0)
		be_inmate(&sandbox, channel_fd, report, proc_fd, before);
	if (child < 0) {
		fprintf(report, "error: %s: %s\n", strerrorname_np((int)-child), err.text);
		return;
	}
	if (read(channel_fd, &ready, 1) == 1)
		report_status(report, proc_fd, child);
	fprintf(report, "parent is: %u %u\n", geteuid(), getegid());
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	if (sandbox_kernel_real.capget(&header, data) == 0)
		fprintf(report, "parent may: %x %x\n", data[0].permitted, data[1].permitted);
	(void)fd_close(channel_fd);
	(void)waitpid(child, NULL, 0);
}

static struct plan plan_as(bool ordinary)
{
	return (struct plan){ .ordinary = ordinary, .run = run_inmate };
}

static bool next_user(int *round, struct plan *plan)
{
	bool ordinary;

	if (!sandbox_rig_next(round, &ordinary))
		return false;
	*plan = plan_as(ordinary);
	return true;
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
		if (!is_as_root(&plan))
			assert_says("parent may: 0 0\n");
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

/* Where there is no /proc, say in a chroot. */
static void goes_on_without_proc(void **state)
{
	char directory[] = "/tmp/sandbox-test-XXXXXX";
	struct plan plan = plan_as(false);
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(directory));
	plan.directory = directory;
	carry_out(&plan);
	assert_says_not("error:");
	assert_says("missing: no empty root: Invalid argument; ");
	assert_says("missing: no user namespace: No such file or directory; ");
	assert_says("Uid:\t65534\t65534\t65534\t65534\n");
	assert_says("pid: own\n");
	assert_says("list: EACCES\n");
	assert_rights_gone();
	plan.options.strict = true;
	carry_out(&plan);
	assert_says("error: EINVAL: the sandbox has no empty root: ");
	assert_int_equal(rmdir(directory), 0);
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
		cmocka_unit_test_setup(has_every_layer, sandbox_rig_reset),
		cmocka_unit_test_setup(becomes_the_user_that_is_asked_for, sandbox_rig_reset),
		cmocka_unit_test_setup(an_ordinary_user_becomes_nobody_else, sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_without_mount_namespace, sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_without_empty_root, sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_without_ipc_and_uts_namespace, sandbox_rig_reset),
		cmocka_unit_test_setup(root_goes_on_without_user_namespace, sandbox_rig_reset),
		cmocka_unit_test_setup(an_ordinary_user_goes_on_without_user_namespace,
				       sandbox_rig_reset),
		cmocka_unit_test_setup(root_goes_on_without_pid_namespace, sandbox_rig_reset),
		cmocka_unit_test_setup(keeps_capabilities_until_it_enters, sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_without_landlock, sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_as_root_where_there_is_nobody_else,
				       sandbox_rig_reset),
		cmocka_unit_test_setup(goes_on_without_proc, sandbox_rig_reset),
		cmocka_unit_test_setup(needs_the_rest, sandbox_rig_reset),
		cmocka_unit_test_setup(dies_with_its_parent, sandbox_rig_reset),
		cmocka_unit_test_setup(an_orphan_does_not_start, sandbox_rig_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
