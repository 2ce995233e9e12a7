#include "vm/qemu_img.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/qemu_log.h"
#include "vm/qemu_process.h"

#define PROGRAM	      "qemu-img"
#define LOG_LINES     1
#define SIZE_SIZE     24
#define ARGUMENT_MOST 16

/* Not string literals: argv is not const, though nobody writes there. */
struct command {
	char *argv[ARGUMENT_MOST];
	size_t count;
};

static void add(struct command *command, const char *argument)
{
	union {
		const char *constant;
		char *variable;
	} word = { .constant = argument };

	command->argv[command->count++] = word.variable;
}

static int wait_for(pid_t pid, int log_fd, struct error *err)
{
	char end[QEMU_END_TEXT_SIZE];
	char words[256];
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
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
