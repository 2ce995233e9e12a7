/* By the kernel's own numbers, since the C library might know a way around, or refuse by itself. */

#include "sidecar/sandbox_prove.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

/* Descriptors that are looked at: no sandboxed process has as many. */
#define OPEN_MOST 1024

struct proof {
	char file[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char other[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int report_fd;
};

/* 0 or the error of what was tried. What it opened is closed. */
typedef long attempt_fn(const struct proof *proof);

static long closed(long fd)
{
	if (fd < 0)
		return errno;
	(void)close((int)fd);
	return 0;
}

static long done(long result)
{
	return result < 0 ? errno : 0;
}

/* --- files ------------------------------------------------------------------------------ */

static long read_file(const struct proof *proof)
{
	return closed(syscall(SYS_openat, AT_FDCWD, proof->file, O_RDONLY | O_CLOEXEC));
}

static long read_file_otherwise(const struct proof *proof)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC };

	return closed(syscall(SYS_openat2, AT_FDCWD, proof->file, &how, sizeof(how)));
}

static long write_file(const struct proof *proof)
{
	return closed(syscall(SYS_openat, AT_FDCWD, proof->file, O_WRONLY | O_CLOEXEC));
}

/* What the process has open already, but for where its caller sent its standard streams. */
static long write_open_file(const struct proof *proof)
{
	struct stat status;
	/* There is none, or none that may be written to. */
	long error = EPERM;

	for (int fd = STDERR_FILENO + 1; fd < OPEN_MOST; fd++) {
		if (fd == proof->report_fd || syscall(SYS_fstat, fd, &status) < 0 ||
		    !S_ISREG(status.st_mode))
			continue;
		if (syscall(SYS_write, fd, "x", 1) == 1)
			error = 0;
	}
	return error;
}

static long create_file(const struct proof *proof)
{
	return closed(
		syscall(SYS_openat, AT_FDCWD, proof->other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static long truncate_file(const struct proof *proof)
{
	return done(syscall(SYS_truncate, proof->file, 0));
}

static long remove_file(const struct proof *proof)
{
	return done(syscall(SYS_unlinkat, AT_FDCWD, proof->file, 0));
}

static long rename_file(const struct proof *proof)
{
	return done(syscall(SYS_renameat2, AT_FDCWD, proof->file, AT_FDCWD, proof->other, 0));
}

static long link_file(const struct proof *proof)
{
	return done(syscall(SYS_linkat, AT_FDCWD, proof->file, AT_FDCWD, proof->other, 0));
}

static long make_symlink(const struct proof *proof)
{
	return done(syscall(SYS_symlinkat, "target", AT_FDCWD, proof->other));
}

static long make_directory(const struct proof *proof)
{
	return done(syscall(SYS_mkdirat, AT_FDCWD, proof->other, 0700));
}

static long make_pipe_file(const struct proof *proof)
{
	return done(syscall(SYS_mknodat, AT_FDCWD, proof->other, S_IFIFO | 0600, 0));
}

static long change_mode(const struct proof *proof)
{
	return done(syscall(SYS_fchmodat, AT_FDCWD, proof->file, 0600));
}

static long look_at_file(const struct proof *proof)
{
	struct stat status;

	return done(syscall(SYS_newfstatat, AT_FDCWD, proof->file, &status, 0));
}

static long look_at_file_otherwise(const struct proof *proof)
{
	char status[256];

	return done(syscall(SYS_statx, AT_FDCWD, proof->file, 0, 0, status));
}

static long list_root(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static long create_in_root(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_openat, AT_FDCWD, "/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static long make_memory_file(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_memfd_create, "memory", 0));
}

static long open_own_memory(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static long watch_files(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_inotify_init1, 0));
}

/* --- processes -------------------------------------------------------------------------- */

static long as_parent(long child)
{
	if (child == 0)
		_exit(0);
	return done(child);
}

static long fork_process(const struct proof *proof)
{
	(void)proof;
	return as_parent(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static long fork_otherwise(const struct proof *proof)
{
	const uint64_t arguments[8] = { 0, 0, 0, 0, SIGCHLD };

	(void)proof;
	return as_parent(syscall(SYS_clone3, arguments, sizeof(arguments)));
}

static long be_traced(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
}

/* In a PID namespace, the parent cannot be named: 1 is this process itself then. */
static long parent(void)
{
	long pid = syscall(SYS_getppid);

	return pid > 0 ? pid : 1;
}

static long trace_parent(const struct proof *proof)
{
	(void)proof;
	if (syscall(SYS_ptrace, PTRACE_SEIZE, parent(), 0, 0) < 0)
		return errno;
	/* It goes on: only who stands can be let go. */
	(void)syscall(SYS_ptrace, PTRACE_INTERRUPT, parent(), 0, 0);
	(void)syscall(SYS_wait4, parent(), NULL, __WALL, NULL);
	(void)syscall(SYS_ptrace, PTRACE_DETACH, parent(), 0, 0);
	return 0;
}

static long signal_parent(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_kill, parent(), 0));
}

static long signal_everybody(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_kill, -1, 0));
}

static long signal_thread(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_tgkill, parent(), parent(), 0));
}

static long hold_process(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_pidfd_open, parent(), 0));
}

static long read_memory_of_parent(const struct proof *proof)
{
	char byte;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { &byte, 1 };

	(void)proof;
	return done(syscall(SYS_process_vm_readv, parent(), &local, 1, &remote, 1, 0));
}

static long set_priority(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_setpriority, PRIO_PROCESS, 0, 1));
}

/* The last of all: where it is done, nothing comes behind it. */
static long execute(const struct proof *proof)
{
	char *const arguments[] = { (char[]){ "true" }, NULL };

	(void)proof;
	return done(syscall(SYS_execve, "/bin/true", arguments, NULL));
}

/* --- sockets ---------------------------------------------------------------------------- */

static long make_socket(int family, int type, int protocol)
{
	return closed(syscall(SYS_socket, family, type | SOCK_CLOEXEC, protocol));
}

static long unix_stream(const struct proof *proof)
{
	(void)proof;
	return make_socket(AF_UNIX, SOCK_STREAM, 0);
}

static long unix_datagram(const struct proof *proof)
{
	(void)proof;
	return make_socket(AF_UNIX, SOCK_DGRAM, 0);
}

static long netlink_socket(const struct proof *proof)
{
	(void)proof;
	return make_socket(AF_NETLINK, SOCK_RAW, 0);
}

static long packet_socket(const struct proof *proof)
{
	(void)proof;
	return make_socket(AF_PACKET, SOCK_RAW, 0);
}

static long raw_tcp_socket(const struct proof *proof)
{
	(void)proof;
	return make_socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
}

static long unix_datagram_pair(const struct proof *proof)
{
	int ends[2] = { -1, -1 };

	(void)proof;
	if (syscall(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	(void)close(ends[0]);
	return closed(ends[1]);
}

/* By the best unix socket that there is. */
static long call_unix(const struct sockaddr_un *to, size_t size)
{
	long fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2] = { -1, -1 };

	if (fd < 0 && syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	if (fd < 0)
		fd = ends[0];
	long result = done(syscall(SYS_connect, fd, to, size));
	(void)close((int)fd);
	if (ends[1] >= 0)
		(void)close(ends[1]);
	return result;
}

static long call_unix_path(const struct proof *proof)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	memcpy(to.sun_path, proof->socket, sizeof(to.sun_path));
	return call_unix(&to, sizeof(to));
}

static long call_unix_abstract(const struct proof *proof)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length = strnlen(proof->socket, sizeof(to.sun_path) - 1);

	memcpy(to.sun_path + 1, proof->socket, length);
	return call_unix(&to, offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static long answer_calls_of_terminal(const struct proof *proof)
{
	char byte = '\n';

	(void)proof;
	return done(syscall(SYS_ioctl, 0, TIOCSTI, &byte));
}

/* --- rights ----------------------------------------------------------------------------- */

static long mount_something(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_mount, "proof", "/", "tmpfs", 0, NULL));
}

static long unmount_root(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_umount2, "/", MNT_DETACH));
}

static long change_root(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_chroot, "/"));
}

static long make_user_namespace(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_unshare, CLONE_NEWUSER));
}

static long make_network_namespace(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_unshare, CLONE_NEWNET));
}

static long become_root(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_setuid, 0));
}

static long take_groups(const struct proof *proof)
{
	const gid_t root = 0;

	(void)proof;
	return done(syscall(SYS_setgroups, 1, &root));
}

static long be_dumpable(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static long another_filter(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
}

static long raise_limit(const struct proof *proof)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	(void)proof;
	return done(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL));
}

static long set_host_name(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_sethostname, "proof", 5));
}

/* --- memory, and the kernel's larger doors ---------------------------------------------- */

static long execute_new_memory(const struct proof *proof)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)proof;
	if (memory == MAP_FAILED)
		return errno;
	return done(munmap(memory, 4096));
}

static long execute_written_memory(const struct proof *proof)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)proof;
	if (memory == MAP_FAILED)
		return errno;
	long result = done(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
	(void)munmap(memory, 4096);
	return result;
}

static long uring(const struct proof *proof)
{
	char parameters[120] = { 0 };

	(void)proof;
	return closed(syscall(SYS_io_uring_setup, 1, parameters));
}

static long bpf(const struct proof *proof)
{
	union bpf_attr attributes;

	(void)proof;
	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = 4;
	attributes.value_size = 4;
	attributes.max_entries = 1;
	return closed(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

static long user_faults(const struct proof *proof)
{
	(void)proof;
	return closed(syscall(SYS_userfaultfd, 1));
}

static long key_ring(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static long performance_counter(const struct proof *proof)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE,
					      .size = sizeof(attributes),
					      .exclude_kernel = 1 };

	(void)proof;
	return closed(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

static long shared_memory(const struct proof *proof)
{
	(void)proof;
	return done(syscall(SYS_shmget, 0, 4096, 01600));
}

static const struct {
	const char *name;
	attempt_fn *attempt;
} attempts[] = {
	{ "read a file", read_file },
	{ "read a file by openat2", read_file_otherwise },
	{ "look at a file", look_at_file },
	{ "look at a file by statx", look_at_file_otherwise },
	{ "write a file", write_file },
	{ "write to an open file", write_open_file },
	{ "change a mode", change_mode },
	{ "create a file", create_file },
	{ "truncate a file", truncate_file },
	{ "remove a file", remove_file },
	{ "rename a file", rename_file },
	{ "link a file", link_file },
	{ "make a symbolic link", make_symlink },
	{ "make a directory", make_directory },
	{ "make a named pipe", make_pipe_file },
	{ "list the root", list_root },
	{ "create a file in the root", create_in_root },
	{ "make a file in memory", make_memory_file },
	{ "open own memory", open_own_memory },
	{ "watch files", watch_files },
	{ "fork", fork_process },
	{ "fork by clone3", fork_otherwise },
	{ "trace the parent", trace_parent },
	{ "signal the parent", signal_parent },
	{ "signal everybody", signal_everybody },
	{ "signal a thread", signal_thread },
	{ "hold a process", hold_process },
	{ "read the parent's memory", read_memory_of_parent },
	{ "set a priority", set_priority },
	{ "make a unix socket", unix_stream },
	{ "make a unix datagram socket", unix_datagram },
	{ "make a netlink socket", netlink_socket },
	{ "make a packet socket", packet_socket },
	{ "make a raw TCP socket", raw_tcp_socket },
	{ "make a pair of datagram sockets", unix_datagram_pair },
	{ "connect to a unix socket", call_unix_path },
	{ "connect to an abstract socket", call_unix_abstract },
	{ "type into the terminal", answer_calls_of_terminal },
	{ "mount", mount_something },
	{ "unmount the root", unmount_root },
	{ "change the root", change_root },
	{ "make a network namespace", make_network_namespace },
	{ "become root", become_root },
	{ "take a group", take_groups },
	{ "be dumpable", be_dumpable },
	{ "set another filter", another_filter },
	{ "raise a limit", raise_limit },
	{ "set the host's name", set_host_name },
	{ "execute new memory", execute_new_memory },
	{ "execute written memory", execute_written_memory },
	{ "io_uring", uring },
	{ "bpf", bpf },
	{ "userfaultfd", user_faults },
	{ "keyctl", key_ring },
	{ "perf_event_open", performance_counter },
	{ "share memory", shared_memory },
	{ "make a user namespace", make_user_namespace },
	{ "be traced", be_traced },
	{ "execute a program", execute },
};

void sandbox_prove(FILE *report, const char *directory)
{
	struct proof proof = { .report_fd = fileno(report) };

	snprintf(proof.file, sizeof(proof.file), "%s/file", directory);
	snprintf(proof.other, sizeof(proof.other), "%s/other", directory);
	snprintf(proof.socket, sizeof(proof.socket), "%s/socket", directory);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
		(void)fflush(report); /* a child has nothing to write again */
		long error = attempts[i].attempt(&proof);
		const char *name = error ? strerrorname_np((int)error) : "done";
		fprintf(report, "%s: %s\n", attempts[i].name, name ? name : "?");
	}
	fputs("end\n", report);
	(void)fflush(report);
}
