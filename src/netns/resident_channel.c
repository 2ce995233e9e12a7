#include "netns/resident_channel.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Room for one descriptor beside a message. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int resident_channel_open(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

static int send_message(int socket_fd, const struct msghdr *message, size_t size)
{
	ssize_t sent;

	do {
		sent = sendmsg(socket_fd, message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == size ? 0 : -EPROTO;
}

static int receive_message(int socket_fd, struct msghdr *message, size_t size)
{
	ssize_t received;

	do {
		received = recvmsg(socket_fd, message, MSG_CMSG_CLOEXEC);
	} while (received < 0 && errno == EINTR);
	if (received < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (received == 0)
		return -EPIPE;
	return (size_t)received == size && !(message->msg_flags & MSG_TRUNC) ? 0 : -EPROTO;
}

int resident_channel_send(int socket_fd, const void *message, size_t size)
{
	/* sendmsg() only reads what the piece points at. */
	struct iovec piece = { .iov_base = (void *)(uintptr_t)message, .iov_len = size };
	const struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1 };

	return send_message(socket_fd, &header, size);
}

int resident_channel_receive(int socket_fd, void *message, size_t size)
{
	struct iovec piece = { .iov_base = message, .iov_len = size };
	struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1 };

	return receive_message(socket_fd, &header, size);
}

int resident_channel_send_report(int socket_fd, const struct resident_report *report)
{
	struct resident_report copy = *report;
	struct iovec piece = { .iov_base = &copy, .iov_len = sizeof(copy) };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	union control control = {};

	copy.fd = -1;
	if (report->fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(part), &report->fd, sizeof(int));
	}
	return send_message(socket_fd, &message, sizeof(copy));
}

int resident_channel_receive_report(int socket_fd, struct resident_report *ret_report)
{
	struct resident_report report = { .fd = -1 };
	struct iovec piece = { .iov_base = &report, .iov_len = sizeof(report) };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	int r = receive_message(socket_fd, &message, sizeof(report));
	if (r < 0)
		return r;
	report.fd = -1;
	const struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
	    part->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&report.fd, CMSG_DATA(part), sizeof(int));
	*ret_report = report;
	return 0;
}
