#include "vm/qemu_version.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

bool qemu_version_parse(const char *text, struct qemu_version *ret_version)
{
	static const char lead[] = "QEMU emulator version ";
	const char *found = strstr(text, lead);
	if (!found)
		return false;
	const char *number = found + sizeof(lead) - 1;
	struct text_view rest = { number, strspn(number, "0123456789.") };
	struct text_view major_text;
	struct text_view minor_text;
	uint16_t major;
	uint16_t minor;

	if (!text_view_cut(rest, '.', &major_text, &rest))
		return false;
	(void)text_view_cut(rest, '.', &minor_text, &rest); /* a third number is optional */
	if (!text_parse_u16(major_text, &major) || !text_parse_u16(minor_text, &minor))
		return false;
	*ret_version = (struct qemu_version){ .major = major, .minor = minor };
	return true;
}

static int spawn(const char *program, int output_fd, pid_t *ret_pid)
{
	char *argument = strdup(program);
	char version[] = "--version";
	char *const argv[] = { argument, version, NULL };
	posix_spawn_file_actions_t actions;

	if (!argument)
		return -ENOMEM;
	int r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
		if (r == 0)
			r = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
		if (r == 0)
			r = posix_spawnp(ret_pid, program, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	free(argument);
	return -r;
}

static void read_all(int fd, char *buffer, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		ssize_t n = read(fd, buffer + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	buffer[used] = 0;
}

/* What the program says of its version, cut to the buffer. */
static int ask(const char *program, char *buffer, size_t size)
{
	int ends[2];
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	int r = spawn(program, ends[1], &pid);
	fd_close(ends[1]);
	if (r == 0)
		read_all(ends[0], buffer, size);
	fd_close(ends[0]);
	if (r < 0)
		return r;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int qemu_version_check(const char *program, struct qemu_version *ret_version, struct error *err)
{
	struct qemu_version version;
	char text[512];

	int r = ask(program, text, sizeof(text));
	if (r == -ENOENT) {
		error_set(err,
			  "QEMU is missing: there is no %s in PATH (on Debian: apt install "
			  "qemu-system-x86)",
			  program);
		return r;
	}
	if (r < 0) {
		error_set(err, "QEMU cannot be run: %s: %s", program, strerror(-r));
		return r;
	}
	if (!qemu_version_parse(text, &version)) {
		error_set(err, "%s --version does not answer as QEMU does", program);
		return -EINVAL;
	}
	if (version.major < QEMU_VERSION_LEAST_MAJOR ||
	    (version.major == QEMU_VERSION_LEAST_MAJOR &&
	     version.minor < QEMU_VERSION_LEAST_MINOR)) {
		error_set(err, "QEMU %u.%u is too old: %u.%u or newer is needed", version.major,
			  version.minor, QEMU_VERSION_LEAST_MAJOR, QEMU_VERSION_LEAST_MINOR);
		return -EOPNOTSUPP;
	}
	*ret_version = version;
	return 0;
}
