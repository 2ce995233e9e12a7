#include "sandbox_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/fd.h"

struct sandbox_rig_refused refused;

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

static int fake_load_filter(scmp_filter_ctx filter)
{
	return refused.load_filter ? -EINVAL : sandbox_kernel_real.load_filter(filter);
}

struct sandbox_kernel sandbox_rig_kernel(void)
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
		.load_filter = fake_load_filter,
	};
}

/* As a program would be that such a user has started. */
static void become_ordinary(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(ORDINARY, ORDINARY, ORDINARY) < 0 ||
	    setresuid(ORDINARY, ORDINARY, ORDINARY) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		abort();
}

/* cmocka handles these. */
static void die_of_faults(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS };

	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		(void)signal(numbers[i], SIG_DFL);
}

char report_text[1 << 14];

void carry_out(const struct plan *plan)
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
		die_of_faults();
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

bool says(const char *line)
{
	char whole[600];

	snprintf(whole, sizeof(whole), "\n%s", line);
	return strncmp(report_text, line, strlen(line)) == 0 || strstr(report_text, whole);
}

int sandbox_rig_reset(void **state)
{
	(void)state;
	memset(&refused, 0, sizeof(refused));
	return 0;
}

bool sandbox_rig_next(int *round, bool *ret_ordinary)
{
	bool may_be_root = geteuid() == 0;

	if (*round >= (may_be_root ? 2 : 1))
		return false;
	*ret_ordinary = may_be_root && *round == 1;
	(*round)++;
	return true;
}

bool is_as_root(const struct plan *plan)
{
	return geteuid() == 0 && !plan->ordinary;
}
