#include "vm/qemu_query.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* A process group of its own: a Ctrl-C on the terminal is for us, and what a wrapper script started
 * ends with it. The mask is emptied because ours blocks signals. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none;

	sigemptyset(&none);
	int r = posix_spawnattr_setflags(attributes,
					 POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	if (r == 0)
		r = posix_spawnattr_setpgroup(attributes, 0);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attributes, &none);
	return r;
}

static int set_streams(posix_spawn_file_actions_t *actions, int output_fd)
{
	int r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, output_fd, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(actions, 2, "/dev/null", O_WRONLY, 0);
	return r;
}

static int spawn(char *const *argv, int output_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;

	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = set_attributes(&attributes);
		if (r == 0)
			r = set_streams(&actions, output_fd);
		if (r == 0)
			r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* 0 when the output has something to read, or its end. */
static int wait_output(int fd, int stop_fd, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
					{ .fd = stop_fd, .events = POLLIN } };
		uint64_t now_ns = clock_now(&clock_boottime);
		int left_ms = now_ns >= deadline_ns
				      ? 0
				      : (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
		int n = poll(fds, ARRAY_COUNT(fds), left_ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return fds[1].revents ? -ECANCELED : 0;
		if (n == 0 && left_ms == 0)
			return -ETIMEDOUT;
	}
}

static int read_all(int fd, const struct qemu_query_wait *wait, char *buffer, size_t size)
{
	uint64_t deadline_ns = clock_now(&clock_boottime) + (uint64_t)wait->time_ms * NS_PER_MS;
	size_t used = 0;

	while (used < size - 1) {
		int r = wait_output(fd, wait->stop_fd, deadline_ns);
		if (r < 0)
			return r;
		ssize_t n = read(fd, buffer + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	buffer[used] = 0;
	return 0;
}

int qemu_query(char *const *argv, const struct qemu_query_wait *wait, char *buffer, size_t size)
{
	int ends[2];
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	int r = spawn(argv, ends[1], &pid);
	fd_close(ends[1]);
	if (r == 0) {
		r = read_all(ends[0], wait, buffer, size);
		/* It has said all, or is not listened to any more: nothing that it does is awaited. */
		(void)kill(-pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	fd_close(ends[0]);
	return r;
}
