/*
 * Theory of operation
 *
 * One question at a time, answered before the next is read: there is nothing to schedule. The engine may be hostile:
 * it can make this process read two files and look into a table as often as it likes, and hold it up by
 * not taking an answer, which costs only itself.
 *
 * The engine has closed the registry's files when it was confined, and its rows stand there until somebody finds
 * their owner dead. At the end of the stream that is us.
 */
#include "network/informant_server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "network/configuration.h"
#include "network/informant_message.h"
#include "network/paths.h"
#include "registry/holding_watch.h"

/* A process that was killed closes its descriptors in no order: its lock may end after its socket. */
#define SERVER_BURY_NS	    NS_PER_S
#define SERVER_BURY_STEP_NS NS_PER_MS

struct informant_server {
	int fd;
	struct file_source_path files[INFORMANT_FILES];
	struct holding_watch watch;
	bool greeted;
	int64_t holding;
	int64_t owner;
};

/* --- the socket ------------------------------------------------------------------------- */

/* Whoever made it may have made it non-blocking. 0 or negative errno. */
static int server_wait(const struct informant_server *server, short events)
{
	struct pollfd wanted = { .fd = server->fd, .events = events };

	return poll(&wanted, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

/* 1; 0 at the end of the stream, also amid a question; negative errno. */
static int server_receive(const struct informant_server *server, uint8_t *bytes, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t count = recv(server->fd, bytes + got, size - got, 0);
		int status = 0;

		if (count > 0)
			got += (size_t)count;
		else if (count == 0 || errno == ECONNRESET)
			return 0;
		else if (errno == EAGAIN)
			status = server_wait(server, POLLIN);
		else if (errno != EINTR)
			status = -errno;
		if (status < 0)
			return status;
	}
	return 1;
}

/* The same. */
static int server_send(const struct informant_server *server, const uint8_t *bytes, size_t size)
{
	size_t sent = 0;

	while (sent < size) {
		ssize_t count = send(server->fd, bytes + sent, size - sent, MSG_NOSIGNAL);
		int status = 0;

		if (count >= 0)
			sent += (size_t)count;
		else if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		else if (errno == EAGAIN)
			status = server_wait(server, POLLOUT);
		else if (errno != EINTR)
			status = -errno;
		if (status < 0)
			return status;
	}
	return 1;
}

/* The same. The header is completed and put before the body. */
static int server_answer(const struct informant_server *server,
			 const struct informant_question *question, int status, const void *body,
			 size_t size)
{
	uint8_t bytes[INFORMANT_HEADER_SIZE + INFORMANT_IDENTITY_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	const struct informant_header header = {
		.sequence = question->sequence,
		.kind = question->kind,
		.status = status,
		.size = status == 0 ? size : 0,
	};

	informant_build_header(&writer, &header);
	if (header.size <= writer_left(&writer)) { /* as one piece: one wake-up of the engine */
		writer_bytes(&writer, body, header.size);
		return server_send(server, bytes, writer.position);
	}
	int result = server_send(server, bytes, writer.position);
	return result == 1 ? server_send(server, body, header.size) : result;
}

/* --- the questions ---------------------------------------------------------------------- */

static int server_greet(struct informant_server *server, const struct informant_question *question)
{
	int status = question->version == INFORMANT_VERSION ? 0 : -EPROTONOSUPPORT;

	server->greeted = status == 0;
	server->holding = question->holding;
	server->owner = question->owner;
	return server_answer(server, question, status, NULL, 0);
}

static int server_look(struct informant_server *server, const struct informant_question *question)
{
	struct file_source *source = &server->files[question->file].source;
	uint8_t body[INFORMANT_IDENTITY_SIZE];
	struct writer writer = writer_of(body, sizeof(body));
	struct file_identity identity;
	int status = source->look(source, &identity);

	if (status == 0)
		informant_build_identity(&writer, &identity);
	return server_answer(server, question, status, body, writer.position);
}

static int server_read(struct informant_server *server, const struct informant_question *question)
{
	struct file_source *source = &server->files[question->file].source;
	char *text = NULL;
	size_t size = 0;
	int status = source->read(source, informant_file_most(question->file), &text, &size);
	int result = server_answer(server, question, status, text, size);

	free(text);
	return result;
}

static int server_held(struct informant_server *server, const struct informant_question *question)
{
	uint8_t body[INFORMANT_HELD_SIZE];
	struct writer writer = writer_of(body, sizeof(body));
	struct held_answer answer;

	holding_watch_ask(&server->watch, &question->addr, server->holding,
			  clock_now(&clock_boottime), &answer);
	informant_build_held(&writer, &answer);
	return server_answer(server, question, 0, body, writer.position);
}

/* HELLO is the first question, and asked once. */
static int server_respond(struct informant_server *server,
			  const struct informant_question *question)
{
	if ((question->kind == INFORMANT_HELLO) == server->greeted)
		return -EPROTO;
	switch (question->kind) {
	case INFORMANT_HELLO:
		return server_greet(server, question);
	case INFORMANT_LOOK:
		return server_look(server, question);
	case INFORMANT_READ:
		return server_read(server, question);
	case INFORMANT_HELD:
		return server_held(server, question);
	}
	return -EPROTO;
}

/* 1, 0 at the end, negative errno. */
static int server_serve_one(struct informant_server *server)
{
	uint8_t bytes[INFORMANT_QUESTION_SIZE];
	struct informant_question question;
	int result = server_receive(server, bytes, sizeof(bytes));

	if (result != 1)
		return result;
	return informant_parse_question(bytes, &question) ? server_respond(server, &question)
							  : -EPROTO;
}

/* --- its life --------------------------------------------------------------------------- */

static int server_open(struct informant_server *server, const struct informant_paths *paths,
		       struct error *err)
{
	int status =
		file_source_path_init(&server->files[INFORMANT_RESOLV_CONF], paths->resolv_conf);

	if (status == 0)
		status = file_source_path_init(&server->files[INFORMANT_HOSTS], paths->hosts);
	if (status == 0)
		return holding_watch_open(&server->watch, paths->runtime_directory, err);
	error_set(err, "out of memory");
	return status;
}

static void server_close_files(struct informant_server *server)
{
	for (size_t i = 0; i < INFORMANT_FILES; i++)
		file_source_path_done(&server->files[i]);
}

/*
 * The end of a lock cannot be awaited with a limit, and the owner is what the engine has named: it could be another
 * one, which lives for days. What stays is found dead by the next that looks.
 */
static void server_bury(struct informant_server *server)
{
	const struct timespec step = { .tv_nsec = (long)SERVER_BURY_STEP_NS };
	uint64_t until_ns = clock_now(&clock_boottime) + SERVER_BURY_NS;

	while (holding_watch_bury(&server->watch, server->owner, NULL) == -EBUSY &&
	       clock_now(&clock_boottime) < until_ns)
		(void)nanosleep(&step, NULL); /* a signal only ends it early */
}

int informant_server_run(int fd, const struct informant_paths *paths, struct error *err)
{
	struct informant_server server = { .fd = fd };
	int status = server_open(&server, paths, err);

	if (status < 0) {
		server_close_files(&server);
		return status;
	}
	do {
		status = server_serve_one(&server);
	} while (status == 1);
	if (server.greeted)
		server_bury(&server);
	holding_watch_close(&server.watch);
	server_close_files(&server);
	if (status == -EPROTO)
		error_set(err, "the network's process asked what it must not ask");
	else if (status < 0)
		error_set(err, "the connection to the network's process failed: %s",
			  strerror(-status));
	return status;
}

vmnet_return_t vmnet_informant_serve(int fd, const char *runtime_directory,
				     struct vmnet_error *error)
{
	char directory[CONFIGURATION_PATH_SIZE];
	struct informant_paths paths = {
		.resolv_conf = "/etc/resolv.conf",
		.hosts = "/etc/hosts",
		.runtime_directory = runtime_directory ? runtime_directory : directory,
	};
	struct error err = {};
	int status = 0;

	if (!runtime_directory)
		status = paths_runtime_directory(directory, sizeof(directory), &err);
	if (status == 0)
		status = informant_server_run(fd, &paths, &err);
	if (status < 0 && error)
		(void)snprintf(error->text, sizeof(error->text), "%s", err.text);
	return status == 0 ? VMNET_SUCCESS : configuration_status_of(status);
}
