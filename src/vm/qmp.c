#include "vm/qmp.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

#define ID_CAPABILITIES "capabilities"

int qmp_init(struct qmp *qmp, int fd)
{
	*qmp = (struct qmp){ .fd = fd, .state = QMP_GREETING };
	int r = fd_set_nonblocking(fd);
	if (r < 0)
		return r;
	qmp->buffer = malloc(QMP_BUFFER_SIZE);
	return qmp->buffer ? 0 : -ENOMEM;
}

void qmp_done(struct qmp *qmp)
{
	free(qmp->buffer);
	qmp->buffer = NULL;
	qmp->state = QMP_CLOSED;
}

/* fd: -1 = none. It goes with the first byte (unix(7)). */
static int send_with_fd(struct qmp *qmp, char *text, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	size_t size = strlen(text);
	struct iovec iov = { .iov_base = text, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	ssize_t n = sendmsg(qmp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	/* A few bytes into an empty socket: less means QEMU does not read at all. */
	return (size_t)n == size ? 0 : -EAGAIN;
}

static int send_text(struct qmp *qmp, const char *text)
{
	size_t size = strlen(text);
	ssize_t n = send(qmp->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EAGAIN;
}

static void take_migration(struct qmp *qmp, const json_t *message)
{
	const json_t *data = json_object_get(message, "data");
	const char *status = json_string_value(json_object_get(data, "status"));

	if (status && strcmp(status, "completed") == 0)
		qmp->migration = QMP_MIGRATION_COMPLETED;
	else if (status && (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0))
		qmp->migration = QMP_MIGRATION_FAILED;
}

static void take_event(struct qmp *qmp, const json_t *message, const char *event)
{
	if (strcmp(event, "MIGRATION") == 0)
		take_migration(qmp, message);
	if (strcmp(event, "SHUTDOWN") != 0)
		return;
	const json_t *data = json_object_get(message, "data");
	const char *reason = json_string_value(json_object_get(data, "reason"));

	qmp->guest_stopped = json_is_true(json_object_get(data, "guest"));
	snprintf(qmp->stop_cause, sizeof(qmp->stop_cause), "%s", reason ? reason : "unknown");
}

static void take_message(struct qmp *qmp, const json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event"));
	const char *id = json_string_value(json_object_get(message, "id"));

	if (event) {
		take_event(qmp, message, event);
	} else if (qmp->state == QMP_GREETING && json_object_get(message, "QMP")) {
		/* The answer comes from QEMU's main loop, which runs once the machine is set up. */
		int r = send_text(qmp, "{\"execute\":\"qmp_capabilities\",\"id\":\"" ID_CAPABILITIES
				       "\"}\n");
		qmp->state = r < 0 ? QMP_CLOSED : QMP_NEGOTIATING;
	} else if (qmp->state == QMP_NEGOTIATING && id && strcmp(id, ID_CAPABILITIES) == 0) {
		qmp->state = json_object_get(message, "return") ? QMP_READY : QMP_CLOSED;
	} else if (qmp->state == QMP_READY && id && qmp->answered) {
		const json_t *error = json_object_get(message, "error");
		const char *text = json_string_value(json_object_get(error, "desc"));
		qmp->answered(qmp, id, error ? NULL : json_object_get(message, "return"),
			      text ? text : "");
	}
}

/* False for what is no JSON object. */
static bool take_line(struct qmp *qmp, const char *line, size_t size)
{
	while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == ' '))
		size--;
	if (size == 0)
		return true;
	json_t *message = json_loadb(line, size, 0, NULL);
	bool good = json_is_object(message);
	if (good)
		take_message(qmp, message);
	json_decref(message);
	return good;
}

static void take_lines(struct qmp *qmp)
{
	size_t start = 0;

	while (qmp->state != QMP_CLOSED) {
		const char *newline = memchr(qmp->buffer + start, '\n', qmp->used - start);
		if (!newline)
			break;
		size_t end = (size_t)(newline - qmp->buffer);
		if (!take_line(qmp, qmp->buffer + start, end - start))
			qmp->state = QMP_CLOSED;
		start = end + 1;
	}
	memmove(qmp->buffer, qmp->buffer + start, qmp->used - start);
	qmp->used -= start;
}

void qmp_read(struct qmp *qmp)
{
	bool was_ready = qmp->state == QMP_READY;

	while (qmp->state != QMP_CLOSED && (was_ready || qmp->state != QMP_READY)) {
		/* A line that fills the buffer is not one of QEMU's. */
		if (qmp->used == QMP_BUFFER_SIZE) {
			qmp->state = QMP_CLOSED;
			return;
		}
		ssize_t n = recv(qmp->fd, qmp->buffer + qmp->used, QMP_BUFFER_SIZE - qmp->used,
				 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			qmp->state = QMP_CLOSED;
			return;
		}
		qmp->used += (size_t)n;
		take_lines(qmp);
	}
}

int qmp_execute(struct qmp *qmp, const char *id, const char *command, const json_t *arguments)
{
	return qmp_execute_with_fd(qmp, id, command, arguments, -1);
}

int qmp_execute_with_fd(struct qmp *qmp, const char *id, const char *command,
			const json_t *arguments, int fd)
{
	if (qmp->state != QMP_READY)
		return -ENOTCONN;
	json_t *message =
		json_pack("{s:s, s:s, s:O*}", "execute", command, "id", id, "arguments", arguments);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	if (!text)
		return -ENOMEM;
	int r = send_with_fd(qmp, text, fd);
	if (r == 0)
		r = send_text(qmp, "\n");
	free(text);
	return r;
}

int qmp_power_down(struct qmp *qmp)
{
	if (qmp->state != QMP_READY)
		return -ENOTCONN;
	return send_text(qmp, "{\"execute\":\"system_powerdown\"}\n");
}
