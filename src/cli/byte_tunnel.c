/*
 * Theory of operation
 *
 * One thread a way, because reading and writing block: what is on standard input and output may be
 * shared with other programs, so that it cannot be made non-blocking; and one way that waits must not
 * hold up the other. The calling thread has the way from the socket to the output.
 */

#include "cli/byte_tunnel.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

/* The way to the socket. */
struct upload {
	int input_fd;
	int socket_fd;
	int read_status; /* 0 or negative errno */
	int send_status;
	char buffer[BUFFER_SIZE];
};

static ssize_t read_some(int fd, void *buffer, size_t size)
{
	ssize_t got;

	do {
		got = read(fd, buffer, size);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		size -= (size_t)done;
	}
	return 0;
}

/* write() would raise SIGPIPE in a program that does not ignore it. */
static int send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		size -= (size_t)done;
	}
	return 0;
}

static void *run_upload(void *context)
{
	struct upload *upload = context;
	ssize_t got;

	while ((got = read_some(upload->input_fd, upload->buffer, sizeof(upload->buffer))) > 0) {
		upload->send_status = send_all(upload->socket_fd, upload->buffer, (size_t)got);
		if (upload->send_status < 0)
			return NULL;
	}
	upload->read_status = (int)got;
	/* SHUT_RD ends the other way, and with it the program. SHUT_WR fails where the far end is gone,
	 * which the other way sees. */
	(void)shutdown(upload->socket_fd, got < 0 ? SHUT_RD : SHUT_WR);
	return NULL;
}

static int download(const struct byte_tunnel *tunnel, struct error *err)
{
	static char buffer[BUFFER_SIZE];
	ssize_t got;

	while ((got = read_some(tunnel->socket_fd, buffer, sizeof(buffer))) > 0) {
		int r = write_all(tunnel->output_fd, buffer, (size_t)got);
		if (r < 0) {
			error_set(err, "cannot write: %s", strerror(-r));
			return r;
		}
	}
	if (got < 0)
		error_set(err, "the connection was broken off: %s", strerror((int)-got));
	return (int)got;
}

static int explain_upload(const struct upload *upload, struct error *err)
{
	if (upload->read_status < 0) {
		error_set(err, "cannot read: %s", strerror(-upload->read_status));
		return upload->read_status;
	}
	if (upload->send_status < 0) {
		error_set(err, "the connection was broken off before all was sent: %s",
			  strerror(-upload->send_status));
		return -ECONNRESET;
	}
	return 0;
}

/* Bytes are missing, and the far end is not to take what it has for all: its socket is reset when the
 * program ends. */
static void mark_broken(int socket_fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(socket_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)); /* of TCP */
}

static int run_both(struct byte_tunnel *tunnel, struct error *err)
{
	/* Not on the stack: where this returns early, the thread still has it. */
	static struct upload upload;
	pthread_t thread;

	upload = (struct upload){ .input_fd = tunnel->input_fd, .socket_fd = tunnel->socket_fd };
	int r = -pthread_create(&thread, NULL, run_upload, &upload);
	if (r < 0) {
		error_set(err, "cannot start a thread: %s", strerror(-r));
		return r;
	}
	r = download(tunnel, err);
	if (r < 0)
		return r;
	tunnel->output_fd = fd_close(tunnel->output_fd);
	if (isatty(tunnel->input_fd))
		return 0;
	(void)pthread_join(thread, NULL); /* it is ours, and joined once */
	return explain_upload(&upload, err);
}

int byte_tunnel_run(struct byte_tunnel *tunnel, struct error *err)
{
	int r = run_both(tunnel, err);

	if (r < 0)
		mark_broken(tunnel->socket_fd);
	return r;
}
