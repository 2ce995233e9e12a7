#include "vm/systemd_scope.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "vm/vm_label.h"

bool systemd_scope_available(const char *runtime_directory)
{
	char path[4096];
	struct stat status;

	if (!runtime_directory || runtime_directory[0] != '/')
		return false;
	int length = snprintf(path, sizeof(path), "%s/systemd/private", runtime_directory);
	return length > 0 && (size_t)length < sizeof(path) && stat(path, &status) == 0 &&
	       S_ISSOCK(status.st_mode);
}

bool systemd_scope_is_own_unit(const char *exec_pid, pid_t pid)
{
	uint64_t number;

	return exec_pid && text_parse_u64(text_view_of(exec_pid), INT32_MAX, &number) &&
	       number == (uint64_t)pid;
}

void systemd_scope_build(const char *label, pid_t pid, struct systemd_scope_call *call)
{
	/* StartTransientUnit(name, mode, properties, auxiliary units). */
	static char busctl[] = "busctl", user[] = "--user", timeout[] = "--timeout=3",
		    quiet[] = "--quiet", verb[] = "call", service[] = "org.freedesktop.systemd1",
		    object[] = "/org/freedesktop/systemd1",
		    interface[] = "org.freedesktop.systemd1.Manager",
		    method[] = "StartTransientUnit", signature[] = "ssa(sv)a(sa(sv))",
		    mode[] = "fail", three[] = "3", pids[] = "PIDs", pids_type[] = "au",
		    one[] = "1", description[] = "Description", text_type[] = "s",
		    collect[] = "CollectMode", collect_value[] = "inactive-or-failed", none[] = "0";
	char safe[VM_LABEL_SAFE_SIZE];

	snprintf(call->pid, sizeof(call->pid), "%ld", (long)pid);
	if (label) {
		vm_label_safe(label, safe);
		snprintf(call->unit, sizeof(call->unit), "tartlet-%s-%ld.scope", safe, (long)pid);
	} else {
		snprintf(call->unit, sizeof(call->unit), "tartlet-%ld.scope", (long)pid);
	}
	snprintf(call->description, sizeof(call->description), "Virtual machine %s",
		 label ? label : "");
	char *const argv[] = {
		busctl,	    user,      timeout,	      quiet,	 verb,
		service,    object,    interface,     method,	 signature,
		call->unit, mode,      three,	      pids,	 pids_type,
		one,	    call->pid, description,   text_type, call->description,
		collect,    text_type, collect_value, none,	 NULL,
	};
	_Static_assert(sizeof(argv) <= sizeof(call->argv), "the call fits");
	for (size_t i = 0; i < sizeof(argv) / sizeof(argv[0]); i++)
		call->argv[i] = argv[i];
}

int systemd_scope_make(struct systemd_scope_call *call)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	for (int fd = 0; fd <= 2 && r == 0; fd++)
		r = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawnp(&pid, call->argv[0], &actions, NULL, call->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
