/*
 * Datagrams at a steady rate, and how many of them arrive.
 *
 * Up, the client sends and then asks the server how many came; down, it asks the server to send and
 * counts. The sender wakes up each tick and sends what is due by then in one call. When it could
 * not run for a while it sends at most CATCH_UP_NS worth of what it missed and leaves the rest
 * out: a burst that no sender at that rate makes would blame the path for the scheduler. So the
 * rate that was reached is reported beside the one that was asked for.
 */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define MAGIC	       0x62756470U
#define SIZE_MIN       32
#define SIZE_MAX_BYTES 1472
#define BATCH_MAX      64
#define BUFFER_SIZE    (16 << 20)
#define TICK_NS	       (200 * 1000ULL)
#define CATCH_UP_NS    (2 * PROBE_NS_PER_MS)
#define DRAIN_NS       (100 * PROBE_NS_PER_MS)
#define TRIES	       20

enum kind {
	KIND_DATA = 1,
	KIND_ASK_COUNT, /* how many datagrams of this run came, or were sent? */
	KIND_COUNT,
	KIND_ASK_SEND, /* send to me */
};

/* Both ends run on one machine: no byte order. */
struct message {
	uint32_t magic;
	uint32_t run;
	uint32_t kind;
	uint32_t size;
	union {
		uint64_t count;
		struct {
			float seconds;
			float rate;
		} send;
		uint64_t number;
	};
};

struct udp_options {
	const char *address; /* NULL: server */
	uint16_t port;
	bool down;
	size_t size;
	double rate;
	double seconds;
	double limit;
};

enum {
	KEY_SERVER = 256,
	KEY_PORT,
	KEY_DOWN,
	KEY_SIZE,
	KEY_RATE,
	KEY_SECONDS,
	KEY_LIMIT,
};

struct batch {
	uint8_t bytes[BATCH_MAX][SIZE_MAX_BYTES];
	struct iovec pieces[BATCH_MAX];
	struct mmsghdr messages[BATCH_MAX];
};

/* What one side knows of the run. */
struct run {
	uint32_t number;
	uint64_t received;
	uint64_t sent;
	double lasted; /* of the sending side */
};

static void batch_init(struct batch *batch, size_t size)
{
	memset(batch, 0, sizeof(*batch));
	for (int i = 0; i < BATCH_MAX; i++) {
		batch->pieces[i] = (struct iovec){ batch->bytes[i], size };
		batch->messages[i].msg_hdr.msg_iov = &batch->pieces[i];
		batch->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static void send_batch(int fd, struct batch *batch, struct run *run, unsigned count)
{
	struct message message = { .magic = MAGIC, .run = run->number, .kind = KIND_DATA };

	for (unsigned i = 0; i < count; i++) {
		message.number = run->sent + i;
		memcpy(batch->bytes[i], &message, sizeof(message));
	}
	for (unsigned done = 0; done < count;) {
		int sent = sendmmsg(fd, batch->messages + done, count - done, 0);

		/* A full queue of the own device (ENOBUFS) or an ICMP error: one sent, and lost. */
		done += sent > 0 ? (unsigned)sent : 1;
	}
	run->sent += count;
}

static void send_paced(int fd, const struct probe_address *to, struct run *run, size_t size,
		       double rate, double seconds)
{
	static struct batch batch;
	struct sockaddr_storage address;
	double per_ns = rate / 1e9;
	uint64_t start, now, end, paced_from;
	uint64_t paced = 0; /* datagrams accounted for since paced_from */

	batch_init(&batch, size);
	if (to) {
		address = to->socket;
		for (int i = 0; i < BATCH_MAX; i++) {
			batch.messages[i].msg_hdr.msg_name = &address;
			batch.messages[i].msg_hdr.msg_namelen = to->size;
		}
	}
	start = paced_from = probe_now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	for (now = start; now < end; now = probe_now_ns()) {
		uint64_t due = (uint64_t)((double)(now - paced_from) * per_ns);
		uint64_t most = (uint64_t)(CATCH_UP_NS * per_ns) + 1;

		if (due > paced + most)
			paced = due - most;
		while (paced < due) {
			unsigned count =
				due - paced < BATCH_MAX ? (unsigned)(due - paced) : BATCH_MAX;

			send_batch(fd, &batch, run, count);
			paced += count;
		}
		probe_sleep_until(now + TICK_NS);
	}
	run->lasted = (double)(probe_now_ns() - start) / 1e9;
}

/* Takes what has arrived; datagrams of the run are counted. Gives the first message that is none,
 * with the address that it came from. */
static bool receive(int fd, struct run *run, struct message *ret_message,
		    struct probe_address *ret_from)
{
	static struct batch batch;
	static struct sockaddr_storage from[BATCH_MAX];
	int count;

	batch_init(&batch, SIZE_MAX_BYTES);
	for (int i = 0; i < BATCH_MAX; i++) {
		batch.messages[i].msg_hdr.msg_name = &from[i];
		batch.messages[i].msg_hdr.msg_namelen = sizeof(from[i]);
	}
	count = recvmmsg(fd, batch.messages, BATCH_MAX, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		struct message message;

		memcpy(&message, batch.bytes[i], sizeof(message));
		if (batch.messages[i].msg_len < sizeof(message) || message.magic != MAGIC)
			continue;
		if (message.kind != KIND_DATA) {
			/* The side that asks waits for the answer: no more than one at a time. */
			*ret_message = message;
			*ret_from = (struct probe_address){
				.socket = from[i],
				.size = batch.messages[i].msg_hdr.msg_namelen,
			};
			return true;
		}
		if (message.run != run->number)
			*run = (struct run){ .number = message.run };
		run->received++;
	}
	return false;
}

static _Noreturn void serve(const struct udp_options *options)
{
	int fd = probe_open_server(SOCK_DGRAM, options->port);
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	struct run run = {};
	struct message message;
	struct probe_address from;

	probe_set_buffers(fd, BUFFER_SIZE);
	probe_precise_timers();
	probe_say_ready(options->port);
	for (;;) {
		(void)poll(&entry, 1, -1);
		if (!receive(fd, &run, &message, &from))
			continue;
		if (message.kind == KIND_ASK_COUNT) {
			if (message.run != run.number)
				run = (struct run){ .number = message.run };
			message.kind = KIND_COUNT;
			message.count = run.sent > 0 ? run.sent : run.received;
			(void)sendto(fd, &message, sizeof(message), 0,
				     (struct sockaddr *)&from.socket, from.size);
		} else if (message.kind == KIND_ASK_SEND && message.run != run.number &&
			   message.size >= SIZE_MIN && message.size <= SIZE_MAX_BYTES) {
			run = (struct run){ .number = message.run };
			send_paced(fd, &from, &run, message.size, (double)message.send.rate,
				   (double)message.send.seconds);
		}
	}
}

static bool await(int fd, uint64_t until_ns)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	uint64_t now = probe_now_ns();

	return now < until_ns && poll(&entry, 1, (int)((until_ns - now) / PROBE_NS_PER_MS) + 1) > 0;
}

/* The server's count of this run. Data that arrives meanwhile is counted. */
static uint64_t ask_count(int fd, struct run *run)
{
	struct message question = { .magic = MAGIC, .run = run->number, .kind = KIND_ASK_COUNT };
	struct message answer;
	struct probe_address from;

	for (int i = 0; i < TRIES; i++) {
		uint64_t until = probe_now_ns() + DRAIN_NS;

		(void)send(fd, &question, sizeof(question), 0); /* the next try is the remedy */
		while (await(fd, until)) {
			if (receive(fd, run, &answer, &from) && answer.kind == KIND_COUNT &&
			    answer.run == run->number)
				return answer.count;
		}
	}
	probe_fail("the server does not say how many datagrams it counted");
}

static void client_up(int fd, const struct udp_options *options, struct run *run)
{
	send_paced(fd, NULL, run, options->size, options->rate, options->seconds);
	/* What is still queued on the way may arrive; what takes longer than this is lost. */
	probe_sleep_until(probe_now_ns() + DRAIN_NS);
	run->received = ask_count(fd, run);
}

static void client_down(int fd, const struct udp_options *options, struct run *run)
{
	struct message question = {
		.magic = MAGIC,
		.run = run->number,
		.kind = KIND_ASK_SEND,
		.size = (uint32_t)options->size,
		.send = { .seconds = (float)options->seconds, .rate = (float)options->rate },
	};
	struct message answer;
	struct probe_address from;
	uint64_t end;

	for (int i = 0; i < TRIES && run->received == 0; i++) {
		(void)send(fd, &question, sizeof(question), 0); /* the next try is the remedy */
		if (await(fd, probe_now_ns() + DRAIN_NS))
			(void)receive(fd, run, &answer, &from);
	}
	end = probe_now_ns() + (uint64_t)(options->seconds * 1e9) + DRAIN_NS;
	while (await(fd, end))
		(void)receive(fd, run, &answer, &from);
	run->sent = ask_count(fd, run);
	run->lasted = options->seconds;
}

static void run_client(const struct udp_options *options)
{
	struct probe_address address = probe_address(options->address, options->port);
	int fd = probe_open_client(SOCK_DGRAM, &address);
	struct run run = { .number = (uint32_t)probe_now_ns() | 1 };
	double loss;

	probe_set_buffers(fd, BUFFER_SIZE);
	probe_precise_timers();
	if (options->down)
		client_down(fd, options, &run);
	else
		client_up(fd, options, &run);
	loss = run.sent > run.received
		       ? 100.0 * (double)(run.sent - run.received) / (double)run.sent
		       : 0;
	printf("{\"sent\": %llu, \"received\": %llu, \"loss_percent\": %.4f, \"sent_per_second\": %.1f, "
	       "\"received_per_second\": %.1f}\n",
	       (unsigned long long)run.sent, (unsigned long long)run.received, loss,
	       (double)run.sent / run.lasted, (double)run.received / run.lasted);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct udp_options *options = state->input;

	switch (key) {
	case KEY_SERVER:
		options->address = NULL;
		return 0;
	case KEY_PORT:
		options->port = (uint16_t)probe_parse_number(state, "--port", argument, 1, 65535);
		return 0;
	case KEY_DOWN:
		options->down = true;
		return 0;
	case KEY_SIZE:
		options->size = (size_t)probe_parse_number(state, "--size", argument, SIZE_MIN,
							   SIZE_MAX_BYTES);
		return 0;
	case KEY_RATE:
		options->rate = probe_parse_number(state, "--rate", argument, 1, 1e8);
		return 0;
	case KEY_SECONDS:
		options->seconds = probe_parse_number(state, "--seconds", argument, 0.01, 3600);
		return 0;
	case KEY_LIMIT:
		options->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (options->address)
			argp_error(state, "unexpected argument \"%s\"", argument);
		options->address = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "server", KEY_SERVER, NULL, 0, "Count, and send when asked to", 0 },
		{ "port", KEY_PORT, "N", 0, "Port of the server (default 7400)", 0 },
		{ "down", KEY_DOWN, NULL, 0, "The server sends, the client counts", 0 },
		{ "size", KEY_SIZE, "BYTES", 0, "Payload of a datagram (default 1400)", 0 },
		{ "rate", KEY_RATE, "N", 0, "Datagrams a second (default 60000)", 0 },
		{ "seconds", KEY_SECONDS, "S", 0, "How long to send (default 1)", 0 },
		{ "limit", KEY_LIMIT, "S", 0, "The server ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "--server\nADDRESS",
		.doc = "Sends datagrams at a steady rate and counts how many arrive.\v"
		       "Examples:\n"
		       "  bench-udp --server --port 7400\n"
		       "  bench-udp 198.51.100.2 --port 7400 --rate 60000 --size 1400\n"
		       "  bench-udp 198.51.100.2 --port 7400 --rate 60000 --size 64 --down\n",
	};
	struct udp_options options = {
		.port = 7400,
		.size = 1400,
		.rate = 60000,
		.seconds = 1,
		.limit = 600,
	};

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	if (!options.address) {
		probe_limit(options.limit);
		serve(&options);
	}
	probe_limit(2 * options.seconds + 10);
	run_client(&options);
	return 0;
}
