/*
 * Control service of the test guest, TCP port 2: reads one line, runs it with sh -c, sends what the
 * command prints (both streams, as it comes) and then "\0exit N\n", N being the exit code, or 128 +
 * the signal. Closing the connection ends the command. One process per connection; nothing here
 * is meant for a guest that anybody relies on.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return;
		bytes += sent;
		size -= (size_t)sent;
	}
}

/* Byte by byte, so that nothing beyond the line is taken; a line is short. */
static int read_line(int fd, char *line, size_t size)
{
	size_t used = 0;

	while (used + 1 < size) {
		ssize_t got = read(fd, line + used, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		if (line[used] == '\n') {
			line[used] = '\0';
			return 0;
		}
		used++;
	}
	return -1;
}

static pid_t start(const char *line, int output)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setsid();
	signal(SIGPIPE, SIG_DFL);
	if (!freopen("/dev/null", "r", stdin) || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	close(output);
	execl("/bin/sh", "sh", "-c", line, (char *)NULL);
	_exit(127);
}

/* Copies output until the command ends; true when the caller has gone away before that. */
static int copy_output(int connection, int output)
{
	char bytes[65536];
	struct pollfd fds[2] = {
		{ .fd = output, .events = POLLIN },
		{ .fd = connection, .events = POLLIN | POLLRDHUP },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents != 0)
			return 1;
		if (fds[0].revents != 0) {
			ssize_t got = read(output, bytes, sizeof(bytes));

			if (got <= 0)
				return 0;
			send_all(connection, bytes, (size_t)got);
		}
	}
}

static void serve(int connection)
{
	char line[LINE_MAX_BYTES];
	char end[32];
	int ends[2];
	int status = 0;
	int size;
	pid_t pid;

	if (read_line(connection, line, sizeof(line)) < 0)
		return;
	if (pipe(ends) < 0)
		die("pipe");
	pid = start(line, ends[1]);
	if (pid < 0)
		die("fork");
	close(ends[1]);
	if (copy_output(connection, ends[0]))
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	size = snprintf(end, sizeof(end), "%cexit %d\n", 0,
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	send_all(connection, end, (size_t)size);
}

int main(void)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(2) };
	int one = 1;
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 64) < 0)
		die("port 2");
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0)
			continue;
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve(connection);
			_exit(0);
		}
		close(connection);
	}
}
