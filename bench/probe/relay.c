/*
 * A long cable: takes frames from two network devices and gives each out at the other one a fixed
 * time later. It stands between two veth pairs; there is no netem here.
 *
 *     host --veth-- ONE [ relay ] OTHER --veth-- server
 *
 * The devices are read and written by packet sockets with a virtio-net header, so that a
 * super-frame of 64 KiB with its checksum still to be computed passes as what it is. Each direction
 * has a ring of frames that wait for their time; when it is full, the newest frame is dropped and
 * counted. Frames leave in order, and nothing limits their rate.
 */

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define FRAME_MAX   (10 + 14 + 4 + 65535) /* virtio-net header, Ethernet with a tag, IP */
#define BUFFER_SIZE (64 << 20)
#define BURST_MAX   64

struct relay_options {
	const char *devices[2];
	unsigned given;
	double delay_ms;
	double queue_mb;
	double limit;
};

enum {
	KEY_DELAY_MS = 256,
	KEY_QUEUE_MB,
	KEY_LIMIT,
};

/* One frame in the ring; its bytes follow. A record does not wrap: where the rest of the ring is too
 * short for one, a record of size 0 says that the next is at the start. */
struct record {
	uint64_t due_ns;
	uint32_t size;
	uint32_t padding;
};

struct direction {
	int from_fd;
	int to_fd;
	uint8_t *ring;
	size_t capacity;
	size_t head; /* oldest record */
	size_t tail; /* where the next one goes */
	size_t waiting;
	uint64_t passed;
	uint64_t dropped;
	uint64_t refused; /* by the device that it was for */
};

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static int open_device(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int one = 1;
	int fd;

	if (address.sll_ifindex == 0)
		probe_fail("there is no network device %s", name);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		probe_fail("no packet socket: %s", strerror(errno));
	probe_set_buffers(fd, BUFFER_SIZE);
	/* The header first: frames come in from bind() on. */
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		probe_fail("cannot use the network device %s: %s", name, strerror(errno));
	return fd;
}

static size_t record_size(size_t frame_size)
{
	return sizeof(struct record) + (frame_size + 7) / 8 * 8;
}

/* Room for a record that is not yet taken, contiguous; NULL when the ring is full. */
static uint8_t *ring_room(struct direction *direction, size_t size)
{
	struct record wrap = {};

	if (direction->waiting == 0)
		direction->head = direction->tail = 0;
	if (direction->tail >= direction->head) {
		if (direction->capacity - direction->tail >= size + sizeof(wrap))
			return direction->ring + direction->tail;
		if (direction->head <= size)
			return NULL;
		memcpy(direction->ring + direction->tail, &wrap, sizeof(wrap));
		direction->tail = 0;
		return direction->ring;
	}
	return direction->head - direction->tail > size ? direction->ring + direction->tail : NULL;
}

static void take_frames(struct direction *direction, uint64_t delay_ns)
{
	static uint8_t spare[FRAME_MAX];

	for (int i = 0; i < BURST_MAX; i++) {
		uint8_t *room = ring_room(direction, record_size(FRAME_MAX));
		struct record record = { .due_ns = probe_now_ns() + delay_ns };
		ssize_t got = recv(direction->from_fd, room ? room + sizeof(record) : spare,
				   FRAME_MAX, 0);

		if (got <= 0)
			return;
		if (!room) {
			direction->dropped++;
			continue;
		}
		record.size = (uint32_t)got;
		memcpy(room, &record, sizeof(record));
		direction->tail += record_size((size_t)got);
		direction->waiting++;
	}
}

/* The oldest frame; NULL when there is none. */
static uint8_t *oldest(struct direction *direction, struct record *ret_record)
{
	if (direction->waiting == 0)
		return NULL;
	memcpy(ret_record, direction->ring + direction->head, sizeof(*ret_record));
	if (ret_record->size == 0) {
		direction->head = 0;
		memcpy(ret_record, direction->ring, sizeof(*ret_record));
	}
	return direction->ring + direction->head + sizeof(*ret_record);
}

/* Gives out what is due. Returns when the next one is, UINT64_MAX for never. */
static uint64_t give_frames(struct direction *direction)
{
	struct record record;
	const uint8_t *frame;

	while ((frame = oldest(direction, &record))) {
		if (record.due_ns > probe_now_ns())
			return record.due_ns;
		if (send(direction->to_fd, frame, record.size, 0) == (ssize_t)record.size)
			direction->passed++;
		else
			direction->refused++;
		direction->head += record_size(record.size);
		direction->waiting--;
	}
	return UINT64_MAX;
}

static void relay(struct direction directions[2], uint64_t delay_ns)
{
	struct pollfd entries[2] = {
		{ .fd = directions[0].from_fd, .events = POLLIN },
		{ .fd = directions[1].from_fd, .events = POLLIN },
	};

	while (!ended) {
		uint64_t next = UINT64_MAX;
		uint64_t now;
		struct timespec wait;

		for (int i = 0; i < 2; i++) {
			uint64_t due;

			take_frames(&directions[i], delay_ns);
			due = give_frames(&directions[i]);
			next = due < next ? due : next;
		}
		now = probe_now_ns();
		next = next > now ? next - now : 0;
		wait = (struct timespec){
			.tv_sec = (time_t)(next / PROBE_NS_PER_S % 3600),
			.tv_nsec = (long)(next % PROBE_NS_PER_S),
		};
		(void)ppoll(entries, 2, &wait, NULL);
	}
}

static void direction_init(struct direction *direction, int from_fd, int to_fd, double queue_mb)
{
	*direction = (struct direction){
		.from_fd = from_fd,
		.to_fd = to_fd,
		.capacity = (size_t)(queue_mb * 1e6) / 8 * 8,
	};
	direction->ring = malloc(direction->capacity);
	if (!direction->ring)
		probe_fail("no memory for a queue of %g MB", queue_mb);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct relay_options *options = state->input;

	switch (key) {
	case KEY_DELAY_MS:
		options->delay_ms = probe_parse_number(state, "--delay-ms", argument, 0, 10000);
		return 0;
	case KEY_QUEUE_MB:
		options->queue_mb = probe_parse_number(state, "--queue-mb", argument, 1, 1024);
		return 0;
	case KEY_LIMIT:
		options->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (options->given == 2)
			argp_error(state, "unexpected argument \"%s\"", argument);
		options->devices[options->given++] = argument;
		return 0;
	case ARGP_KEY_END:
		if (options->given != 2)
			argp_error(state, "two network devices are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "delay-ms", KEY_DELAY_MS, "MS", 0, "One way (default 25)", 0 },
		{ "queue-mb", KEY_QUEUE_MB, "MB", 0, "Most that waits, each way (default 64)", 0 },
		{ "limit", KEY_LIMIT, "S", 0, "Ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "DEVICE DEVICE",
		.doc = "Passes frames between two network devices, each a fixed time late, until "
		       "SIGTERM; then it prints its counters.\v"
		       "Example:\n"
		       "  bench-relay r0 r1 --delay-ms 25\n",
	};
	struct relay_options options = { .delay_ms = 25, .queue_mb = 64, .limit = 600 };
	struct direction directions[2];
	int fds[2];

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	probe_limit(options.limit);
	probe_precise_timers();
	if (signal(SIGTERM, end) == SIG_ERR || signal(SIGINT, end) == SIG_ERR)
		probe_fail("no signals: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		fds[i] = open_device(options.devices[i]);
	direction_init(&directions[0], fds[0], fds[1], options.queue_mb);
	direction_init(&directions[1], fds[1], fds[0], options.queue_mb);
	probe_say_ready(1);
	relay(directions, (uint64_t)(options.delay_ms * 1e6));
	for (int i = 0; i < 2; i++) {
		printf("{\"from\": \"%s\", \"passed\": %llu, \"dropped\": %llu, \"refused\": %llu}\n",
		       options.devices[i], (unsigned long long)directions[i].passed,
		       (unsigned long long)directions[i].dropped,
		       (unsigned long long)directions[i].refused);
		free(directions[i].ring);
	}
	return 0;
}
