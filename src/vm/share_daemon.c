#include "vm/share_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "vm/qemu_query.h"

#define NAME "virtiofsd"

bool share_daemon_version_is_of_qemu(const char *text)
{
	static const char lead[] = NAME " ";
	size_t length = sizeof(lead) - 1;

	return strncmp(text, lead, length) != 0 || text[length] < '0' || text[length] > '9';
}

static bool find_in(const char *folders, struct share_daemon *daemon)
{
	struct text_view rest = text_view_of(folders);
	struct text_view folder;
	bool more = folders[0] != 0;

	while (more) {
		more = text_view_cut(rest, ':', &folder, &rest);
		int length = snprintf(daemon->path, sizeof(daemon->path), "%.*s/" NAME,
				      (int)folder.length, folder.start);
		/* Only absolute ones: the daemon is started in another directory. */
		if (length > 0 && (size_t)length < sizeof(daemon->path) && daemon->path[0] == '/' &&
		    access(daemon->path, X_OK) == 0)
			return true;
	}
	return false;
}

int share_daemon_find(const struct qemu_query_wait *wait, struct share_daemon *ret_daemon,
		      struct error *err)
{
	const char *path = getenv("PATH");
	struct share_daemon daemon;
	char option[] = "--version";
	char *const argv[] = { daemon.path, option, NULL };
	char version[128];

	if (!find_in(path ? path : "", &daemon) &&
	    !find_in("/usr/libexec:/usr/lib/qemu:/usr/lib", &daemon)) {
		error_set(err, "there is no virtiofsd (on Debian: apt install virtiofsd, or "
			       "qemu-system-common of Debian 12)");
		return -ENOENT;
	}
	int r = qemu_query(argv, wait, version, sizeof(version));
	if (r < 0) {
		error_set(err, "%s does not say its version: %s", daemon.path, strerror(-r));
		return r;
	}
	daemon.of_qemu = share_daemon_version_is_of_qemu(version);
	*ret_daemon = daemon;
	return 0;
}

/* In the daemon's list of options a comma ends one. The caller frees. */
static char *escape(const char *path)
{
	char *escaped = malloc(2 * strlen(path) + 1);
	char *to = escaped;

	if (!escaped)
		return NULL;
	for (; *path; path++) {
		if (*path == ',' || *path == '\\')
			*to++ = '\\';
		*to++ = *path;
	}
	*to = 0;
	return escaped;
}

static char *format(const char *text, const char *value)
{
	char *made;

	return asprintf(&made, "%s%s", text, value) < 0 ? NULL : made;
}

int share_daemon_args_build(const struct share_daemon *daemon, const char *directory, int listen_fd,
			    struct share_daemon_args *ret_args)
{
	struct share_daemon_args args = { 0 };
	autofree char *source = daemon->of_qemu ? escape(directory) : strdup(directory);
	char number[16];
	size_t n = 0;

	if (!source)
		return -ENOMEM;
	snprintf(number, sizeof(number), "%d", listen_fd);
	args.argv[n++] = strdup(daemon->path);
	args.argv[n++] = format("--fd=", number);
	args.argv[n++] = strdup("--rlimit-nofile=0"); /* ours is raised already */
	if (daemon->of_qemu) {
		args.argv[n++] = strdup("-o");
		args.argv[n++] = format("sandbox=namespace,source=", source);
	} else {
		args.argv[n++] = strdup("--sandbox=namespace");
		args.argv[n++] = format("--shared-dir=", source);
	}
	for (size_t i = 0; i < n; i++) {
		if (!args.argv[i]) {
			for (size_t k = 0; k < n; k++)
				free(args.argv[k]);
			return -ENOMEM;
		}
	}
	*ret_args = args;
	return 0;
}

void share_daemon_args_done(struct share_daemon_args *args)
{
	for (size_t i = 0; i < SHARE_DAEMON_ARGS; i++)
		free(args->argv[i]);
	*args = (struct share_daemon_args){ 0 };
}

void share_confinement_init(struct share_confinement *confinement, const char *directory,
			    bool read_only)
{
	*confinement = (struct share_confinement){
		.directory = directory,
		.read_only = read_only,
		.is_root = geteuid() == 0,
	};
	snprintf(confinement->uid_map, sizeof(confinement->uid_map), "0 %u 1", geteuid());
	snprintf(confinement->gid_map, sizeof(confinement->gid_map), "0 %u 1", getegid());
}

static int write_file(const char *path, const char *text)
{
	size_t size = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = write(fd, text, size) == (ssize_t)size ? 0 : -EIO;
	fd_close(fd);
	return r;
}

/* setgroups() is forbidden there, since to give up a group can give rights; QEMU's daemon wants to give them
 * all up, and ends when it cannot. It keeps the caller's, believing that it has none. */
static int keep_groups(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { ARRAY_COUNT(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int become_root(const struct share_confinement *confinement)
{
	int r = write_file("/proc/self/setgroups", "deny");

	if (r == 0)
		r = write_file("/proc/self/uid_map", confinement->uid_map);
	if (r == 0)
		r = write_file("/proc/self/gid_map", confinement->gid_map);
	if (r == 0)
		r = keep_groups();
	return r;
}

int share_confinement_enter(const void *context)
{
	const struct share_confinement *confinement = context;
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	if (unshare(CLONE_NEWNS | (confinement->is_root ? 0 : CLONE_NEWUSER)) < 0)
		return -errno;
	int r = confinement->is_root ? 0 : become_root(confinement);
	if (r < 0)
		return r;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (!confinement->read_only)
		return 0;
	if (mount(confinement->directory, confinement->directory, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	/* With all that is mounted below. */
	return mount_setattr(AT_FDCWD, confinement->directory, AT_RECURSIVE, &attributes,
			     sizeof(attributes)) < 0
		       ? -errno
		       : 0;
}

int share_confinement_try(const struct share_confinement *confinement)
{
	int status;

	pid_t pid = fork();
	if (pid == 0)
		_exit(-share_confinement_enter(confinement));
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}
