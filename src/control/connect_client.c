#include "control/connect_client.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "control/connect_server.h"
#include "control/control_server.h"

#define ANSWER_MOST ((size_t)8192)
#define WAIT_S	    30

/* What came so far. */
struct answer {
	char text[ANSWER_MOST + 1];
	size_t size;
	int passed_fd; /* -1 = none yet */
};

static int open_control_socket(int directory_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval wait = { .tv_sec = WAIT_S };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory_fd,
		 CONTROL_SOCKET_NAME);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	int result = fd;
	fd = -1;
	return result;
}

static int send_request(int fd, uint16_t port)
{
	char text[256];
	int size = snprintf(text, sizeof(text),
			    "GET /v1/connect?port=%u HTTP/1.1\r\nHost: localhost\r\n"
			    "Connection: Upgrade\r\nUpgrade: " CONNECT_PROTOCOL "\r\n\r\n",
			    (unsigned)port);
	ssize_t sent = send(fd, text, (size_t)size, MSG_NOSIGNAL);

	if (sent < 0)
		return -errno;
	return sent == size ? 0 : -EPROTO; /* a few bytes into an empty socket */
}

static void take_descriptor(struct msghdr *message, struct answer *answer)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fd;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof(int)))
		return;
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	fd_close(answer->passed_fd); /* only the last one counts */
	answer->passed_fd = fd;
}

/* One piece more: its size, 0 at the end, or negative errno. */
static ssize_t receive_more(int fd, struct answer *answer)
{
	struct iovec part = { .iov_base = answer->text + answer->size,
			      .iov_len = ANSWER_MOST - answer->size };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  /* Not CMSG_SPACE(), whose padding is room for a second
				   * descriptor: what does not fit is closed by the kernel. */
				  .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t got;

	do {
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	take_descriptor(&message, answer);
	answer->size += (size_t)got;
	answer->text[answer->size] = 0;
	return got;
}

/* Up to the end of the line behind the header; of an answer that is no 101, up to its header. */
static bool is_complete(const struct answer *answer)
{
	const char *end = strstr(answer->text, "\r\n\r\n");

	if (!end)
		return false;
	return strncmp(answer->text, "HTTP/1.1 101 ", 13) != 0 || strchr(end + 4, '\n');
}

static int receive_answer(int fd, struct answer *answer)
{
	while (!is_complete(answer)) {
		ssize_t got = answer->size < ANSWER_MOST ? receive_more(fd, answer) : -EPROTO;

		if (got <= 0)
			return got < 0 ? (int)got : -EPROTO;
	}
	return 0;
}

static int understand(struct answer *answer, int *ret_fd, struct error *err)
{
	const char *line = strstr(answer->text, "\r\n\r\n") + 4;

	if (strncmp(answer->text, "HTTP/1.1 101 ", 13) != 0) {
		error_set(err, "the VM's control socket offers no connections: it was started by "
			       "another version of tartlet");
		return -EPROTO;
	}
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(root, "error"));
	int r = -EPROTO;
	if (text) {
		error_set(err, "%s", text);
		r = -EREMOTEIO;
	} else if (json_is_true(json_object_get(root, "connected")) && answer->passed_fd >= 0) {
		*ret_fd = answer->passed_fd;
		answer->passed_fd = -1;
		r = 0;
	} else {
		error_set(err, "the VM's control socket gives no connection");
	}
	json_decref(root);
	return r;
}

int connect_client_request(int directory_fd, uint16_t port, int *ret_fd, struct error *err)
{
	struct answer answer = { .passed_fd = -1 };
	autoclose int fd = open_control_socket(directory_fd);

	if (fd < 0) {
		error_set(err, "the VM's control socket does not answer");
		return -ECONNREFUSED;
	}
	int r = send_request(fd, port);
	if (r == 0)
		r = receive_answer(fd, &answer);
	if (r < 0)
		error_set(err, "the VM's control socket: %s", strerror(-r));
	else
		r = understand(&answer, ret_fd, err);
	fd_close(answer.passed_fd);
	return r;
}
