/*
 * Theory of operation
 *
 * At most one question is under way. An answer that does not come in time is given up, but it stays owed: until
 * it has come (its bytes are then read over) every further question fails at once, without being sent and
 * without waiting. So a late answer cannot be taken for another question's, and an informant that stands still costs
 * the network one wait, not one for each packet.
 *
 * A stream that ends, or says what is no answer, is given up for ever.
 *
 * Guests decide how often "does another network have that?" is asked. The answer holds for a range of addresses (the
 * other network, or the gap between two) and for a while, both said by the informant: 10 ms for "no", a second
 * for "yes". The ranges are remembered, and questions beyond what a budget allows are not asked: the
 * answer is then "yes".
 */
#include "network/informant_client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "network/informant_message.h"

/* One question takes about 30 us: a guest that always asks anew takes a sixteenth of the thread. */
#define CLIENT_ASK_EVERY_NS (500 * NS_PER_US)
#define CLIENT_ASK_BURST_NS (64 * CLIENT_ASK_EVERY_NS)

struct informant_client_file {
	struct file_source source;
	struct informant_client *client;
	enum informant_file file;
};

struct informant_client_range {
	bool held;
	uint32_t first;
	uint32_t last;
	uint64_t until_ns; /* 0 = free */
};

struct informant_client {
	int fd; /* -1 = given up */
	const struct log *log;
	bool complained;
	uint64_t deadline_ns;

	uint32_t sequence; /* of the last question */
	bool owed;	   /* its answer has not been read to the end */
	bool in_body;
	size_t header_got;
	uint8_t header[INFORMANT_HEADER_SIZE];
	size_t body_left;

	struct informant_client_file files[INFORMANT_FILES];
	struct host_files host_files;
	struct informant_client_range ranges[INFORMANT_RANGES];
	uint64_t budget_ns; /* the time from which on the next question is free */
};

/* --- the socket ------------------------------------------------------------------------- */

/* Until the deadline. */
static int client_wait(const struct informant_client *client, short events)
{
	struct pollfd wanted = { .fd = client->fd, .events = events };

	for (;;) {
		uint64_t now_ns = clock_now(&clock_boottime);
		uint64_t left_ns = client->deadline_ns > now_ns ? client->deadline_ns - now_ns : 0;
		int ready = poll(&wanted, 1, (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS));

		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* Adds to *got, up to size. */
static int client_receive(struct informant_client *client, uint8_t *bytes, size_t size, size_t *got)
{
	while (*got < size) {
		ssize_t count = recv(client->fd, bytes + *got, size - *got, MSG_DONTWAIT);

		if (count > 0) {
			*got += (size_t)count;
			continue;
		}
		if (count == 0)
			return -EPIPE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int status = client_wait(client, POLLIN);
		if (status < 0)
			return status;
	}
	return 0;
}

static int client_send(struct informant_client *client, const uint8_t *bytes, size_t size)
{
	for (;;) {
		ssize_t count = send(client->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (count == (ssize_t)size)
			return 0;
		if (count >= 0) /* there was no other on the way: not a socket as it was given */
			return -EPROTO;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int status = client_wait(client, POLLOUT);
		if (status < 0)
			return status;
	}
}

/* --- answers ---------------------------------------------------------------------------- */

static int client_read_header(struct informant_client *client, struct informant_header *ret_header)
{
	int status =
		client_receive(client, client->header, sizeof(client->header), &client->header_got);

	if (status < 0)
		return status;
	if (!informant_parse_header(client->header, ret_header) ||
	    ret_header->sequence != client->sequence)
		return -EPROTO;
	client->header_got = 0;
	client->in_body = true;
	client->body_left = ret_header->size;
	client->owed = ret_header->size > 0;
	return 0;
}

/* The rest of the body, or what of it is left: into `bytes`, or nowhere (NULL). */
static int client_read_body(struct informant_client *client, uint8_t *bytes)
{
	uint8_t nowhere[4096] = { 0 };

	while (client->body_left > 0) {
		size_t most = client->body_left;
		size_t got = 0;

		if (!bytes && most > sizeof(nowhere))
			most = sizeof(nowhere);
		int status = client_receive(client, bytes ? bytes : nowhere, most, &got);
		client->body_left -= got;
		if (status < 0)
			return status;
	}
	client->owed = false;
	return 0;
}

/* What is owed since an earlier question, if it is there by now. */
static int client_settle(struct informant_client *client)
{
	struct informant_header header = { .size = 0 };
	int status = 0;

	client->deadline_ns = 0;
	if (client->owed && !client->in_body)
		status = client_read_header(client, &header);
	if (status == 0 && client->owed)
		status = client_read_body(client, NULL);
	return status;
}

/* --- questions -------------------------------------------------------------------------- */

/* Said once, and again after it went well meanwhile. Returns -EAGAIN, or what came when it is nothing of ours. */
static int client_fail(struct informant_client *client, int status)
{
	bool late = status == -ETIMEDOUT;

	if (!late)
		client->fd = fd_close(client->fd);
	if (!late || !client->complained)
		log_write(
			client->log, LOG_LEVEL_WARNING,
			"informant: %s; resolvers and hosts stay as they were, private addresses that "
			"are not known to be free are closed",
			late			? "it does not answer in time"
			: status == -EPROTO	? "it says what is no answer"
			: status == -EPIPE	? "it has ended"
			: status == -ECONNRESET ? "it has ended"
						: strerror(-status));
	client->complained = true;
	return -EAGAIN;
}

/* Sends and reads the header. The body is to be read, or stays owed. */
static int client_exchange(struct informant_client *client, struct informant_question *question,
			   uint64_t patience_ns, struct informant_header *ret_header)
{
	uint8_t bytes[INFORMANT_QUESTION_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	int status = client_settle(client);

	if (status < 0)
		return status;
	client->deadline_ns = clock_now(&clock_boottime) + patience_ns;
	question->sequence = ++client->sequence;
	informant_build_question(&writer, question);
	assert(writer_ok(&writer));
	status = client_send(client, bytes, writer.position);
	if (status < 0)
		return status;
	client->owed = true;
	client->in_body = false;
	status = client_read_header(client, ret_header);
	return status == 0 && ret_header->kind != question->kind ? -EPROTO : status;
}

/* 0 when the informant has said its best, *ret_header.status among it; -EAGAIN. */
static int client_ask(struct informant_client *client, struct informant_question *question,
		      struct informant_header *ret_header)
{
	if (client->fd < 0)
		return -EAGAIN;
	int status = client_exchange(client, question, INFORMANT_PATIENCE_NS, ret_header);
	return status < 0 ? client_fail(client, status) : 0;
}

static void client_succeed(struct informant_client *client)
{
	if (client->complained)
		log_write(client->log, LOG_LEVEL_INFO, "informant: it answers again");
	client->complained = false;
}

/* The body of an answer of a fixed size. */
static int client_ask_small(struct informant_client *client, struct informant_question *question,
			    uint8_t *bytes)
{
	struct informant_header header = { .size = 0 };
	int status = client_ask(client, question, &header);

	if (status < 0)
		return status;
	status = client_read_body(client, bytes);
	if (status < 0)
		return client_fail(client, status);
	client_succeed(client);
	return header.status;
}

/* --- files ------------------------------------------------------------------------------ */

static int client_look(struct file_source *source, struct file_identity *ret_identity)
{
	struct informant_client_file *file =
		container_of(source, struct informant_client_file, source);
	struct informant_question question = { .kind = INFORMANT_LOOK, .file = file->file };
	uint8_t bytes[INFORMANT_IDENTITY_SIZE];
	int status = client_ask_small(file->client, &question, bytes);

	if (status == 0 && !informant_parse_identity(bytes, ret_identity))
		return client_fail(file->client, -EPROTO);
	return status;
}

static int client_read(struct file_source *source, size_t most, char **ret_text, size_t *ret_size)
{
	struct informant_client_file *file =
		container_of(source, struct informant_client_file, source);
	struct informant_client *client = file->client;
	struct informant_question question = { .kind = INFORMANT_READ, .file = file->file };
	struct informant_header header = { .size = 0 };
	int status = client_ask(client, &question, &header);

	if (status < 0)
		return status;
	if (header.size > most)
		return client_fail(client, -EPROTO);
	char *text = malloc(header.size > 0 ? header.size : 1);
	if (!text)
		return -EAGAIN; /* the body is read over at the next question */
	status = client_read_body(client, (uint8_t *)text);
	if (status == 0)
		client_succeed(client);
	else
		status = client_fail(client, status);
	if (status == 0)
		status = header.status;
	if (status < 0) {
		free(text);
		return status;
	}
	*ret_text = text;
	*ret_size = header.size;
	return 0;
}

/* --- what other networks have ----------------------------------------------------------- */

static struct informant_client_range *client_find(struct informant_client *client, uint32_t addr,
						  uint64_t now_ns)
{
	for (size_t i = 0; i < INFORMANT_RANGES; i++) {
		struct informant_client_range *range = &client->ranges[i];

		if (range->until_ns > now_ns && range->first <= addr && addr <= range->last)
			return range;
	}
	return NULL;
}

/* In the place of what is believed for the shortest time. */
static void client_remember(struct informant_client *client, const struct held_answer *answer,
			    uint64_t now_ns)
{
	struct informant_client_range *place = &client->ranges[0];

	for (size_t i = 1; i < INFORMANT_RANGES; i++) {
		if (client->ranges[i].until_ns < place->until_ns)
			place = &client->ranges[i];
	}
	*place = (struct informant_client_range){
		.held = answer->held,
		.first = answer->first,
		.last = answer->last,
		.until_ns = now_ns + answer->for_ns,
	};
}

/* May one more be asked? */
static bool client_spend(struct informant_client *client, uint64_t now_ns)
{
	if (client->budget_ns < now_ns)
		client->budget_ns = now_ns;
	if (client->budget_ns - now_ns > CLIENT_ASK_BURST_NS)
		return false;
	client->budget_ns += CLIENT_ASK_EVERY_NS;
	return true;
}

bool informant_client_is_held(struct informant_client *client, const struct ip_addr *addr,
			      uint64_t now_ns)
{
	uint32_t number = ip_addr_to_v4(addr);
	const struct informant_client_range *known = client_find(client, number, now_ns);
	struct informant_question question = { .kind = INFORMANT_HELD, .addr = *addr };
	uint8_t bytes[INFORMANT_HELD_SIZE];
	struct held_answer answer;

	if (known)
		return known->held;
	if (!client_spend(client, now_ns) || client_ask_small(client, &question, bytes) < 0)
		return true;
	if (!informant_parse_held(bytes, &answer) || number < answer.first ||
	    number > answer.last) {
		(void)client_fail(client, -EPROTO);
		return true;
	}
	client_remember(client, &answer, now_ns);
	return answer.held;
}

/* --- its life --------------------------------------------------------------------------- */

static int client_greet(struct informant_client *client, int64_t holding, int64_t owner)
{
	struct informant_question question = {
		.kind = INFORMANT_HELLO,
		.version = INFORMANT_VERSION,
		.holding = holding,
		.owner = owner,
	};
	struct informant_header header = { .size = 0 };
	int status = client_exchange(client, &question, INFORMANT_HELLO_NS, &header);

	return status == 0 ? header.status : status;
}

int informant_client_new(int fd, int64_t holding, int64_t owner, const struct log *log,
			 struct informant_client **ret_client, struct error *err)
{
	struct informant_client *client = calloc(1, sizeof(*client));

	if (!client) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	client->fd = fd;
	client->log = log;
	for (size_t i = 0; i < INFORMANT_FILES; i++) {
		client->files[i] = (struct informant_client_file){
			.source = { .look = client_look, .read = client_read },
			.client = client,
			.file = (enum informant_file)i,
		};
	}
	client->host_files.resolv_conf = &client->files[INFORMANT_RESOLV_CONF].source;
	client->host_files.hosts = &client->files[INFORMANT_HOSTS].source;
	int status = client_greet(client, holding, owner);
	if (status < 0) {
		error_set(err, "the informant does not answer as it should: %s", strerror(-status));
		free(client);
		return status;
	}
	*ret_client = client;
	return 0;
}

struct informant_client *informant_client_free(struct informant_client *client)
{
	if (!client)
		return NULL;
	(void)fd_close(client->fd);
	free(client);
	return NULL;
}

const struct host_files *informant_client_files(const struct informant_client *client)
{
	return &client->host_files;
}
