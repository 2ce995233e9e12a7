#include "vm/qemu_img.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/held_signals.h"
#include "vm/qemu_log.h"
#include "vm/qemu_process.h"

#define PROGRAM	      "qemu-img"
#define LOG_LINES     1
#define SIZE_SIZE     24
#define ARGUMENT_MOST 16
#define PATH_SIZE     128

/* Not string literals: argv is not const, though nobody writes there. */
struct command {
	char *argv[ARGUMENT_MOST];
	size_t count;
	const int *inherited; /* descriptors that it may use under their numbers */
	size_t inherited_count;
};

static void add(struct command *command, const char *argument)
{
	union {
		const char *constant;
		char *variable;
	} word = { .constant = argument };

	command->argv[command->count++] = word.variable;
}

/* -EINTR, and it is killed, when a signal came that is held: it may work for long. */
static int wait_or_break_off(pid_t pid)
{
	autoclose int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	autoclose int signal_fd = held_signals_watch();
	struct pollfd watched[] = {
		{ .fd = pid_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};

	if (pid_fd < 0 || signal_fd < 0)
		return 0; /* then it is waited for until it ends */
	while (poll(watched, ARRAY_COUNT(watched), -1) < 0) {
		if (errno != EINTR)
			return 0;
	}
	if (watched[0].revents != 0)
		return 0;
	(void)kill(pid, SIGKILL);
	return -EINTR;
}

static int wait_for(pid_t pid, int log_fd, struct error *err)
{
	char end[QEMU_END_TEXT_SIZE];
	char words[256];
	int status;

	int r = wait_or_break_off(pid);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (r < 0) {
		error_set(err, "%s was broken off", PROGRAM);
		return r;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (qemu_log_tail(log_fd, LOG_LINES, words, sizeof(words)))
		error_set(err, "%s", words);
	else
		error_set(err, "%s ended with %s", PROGRAM, qemu_process_end_text(status, end));
	return -EIO;
}

static int run(int directory_fd, const struct command *command, struct error *err)
{
	sigset_t mask;
	pid_t pid;

	autoclose int log_fd = memfd_create(PROGRAM, MFD_CLOEXEC);
	if (log_fd < 0 || sigprocmask(SIG_SETMASK, NULL, &mask) < 0) {
		int r = -errno;
		error_set(err, "cannot run %s: %s", PROGRAM, strerror(-r));
		return r;
	}
	const struct qemu_spawn spawn = {
		.argv = command->argv,
		.directory_fd = directory_fd,
		.log_fd = log_fd,
		.inherited = command->inherited,
		.inherited_count = command->inherited_count,
		.signal_mask = &mask,
	};
	int r = qemu_process_start(&spawn, &pid, err);
	if (r == -ENOENT)
		error_set(err,
			  "%s is missing: there is none in PATH (on Debian: apt install "
			  "qemu-utils)",
			  PROGRAM);
	return r < 0 ? r : wait_for(pid, log_fd, err);
}

int qemu_img_overlay(int directory_fd, const char *name, const char *backing,
		     enum disk_format backing_format, uint64_t size, struct error *err)
{
	struct command command = { 0 };
	char size_text[SIZE_SIZE];

	snprintf(size_text, sizeof(size_text), "%" PRIu64, size);
	add(&command, PROGRAM);
	add(&command, "create");
	add(&command, "-q");
	add(&command, "-f");
	add(&command, disk_format_name(DISK_FORMAT_QCOW2));
	add(&command, "-F");
	add(&command, disk_format_name(backing_format));
	add(&command, "-b");
	add(&command, backing);
	add(&command, "--");
	add(&command, name);
	add(&command, size_text);
	return run(directory_fd, &command, err);
}

int qemu_img_grow(int directory_fd, const char *name, enum disk_format format, uint64_t size,
		  struct error *err)
{
	struct command command = { 0 };
	char size_text[SIZE_SIZE];

	snprintf(size_text, sizeof(size_text), "%" PRIu64, size);
	add(&command, PROGRAM);
	add(&command, "resize");
	add(&command, "-q");
	add(&command, "-f");
	add(&command, disk_format_name(format));
	add(&command, "--");
	add(&command, name);
	add(&command, size_text);
	return run(directory_fd, &command, err);
}

int qemu_img_flatten(int directory_fd, const char *name, int to_directory_fd, const char *to_name,
		     struct error *err)
{
	struct command command = { .inherited = &to_directory_fd, .inherited_count = 1 };
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", to_directory_fd, to_name);
	add(&command, PROGRAM);
	add(&command, "convert");
	add(&command, "-q");
	add(&command, "-f");
	add(&command, disk_format_name(DISK_FORMAT_QCOW2));
	add(&command, "-O");
	add(&command, disk_format_name(DISK_FORMAT_QCOW2));
	add(&command, "--");
	add(&command, name);
	add(&command, path);
	return run(directory_fd, &command, err);
}
