/*
 * Carries frames between a new TAP device of this namespace and a SOCK_SEQPACKET socket, one frame a
 * packet: the guest's side of an engine that has no TAP of its own (gvproxy, by its bess socket).
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

#define FRAME_MAX (14 + 4 + 65535)
#define BURST_MAX 64

struct wire_options {
	const char *device;
	const char *path;
	double limit;
};

enum {
	KEY_LIMIT = 256,
};

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (strlen(name) >= sizeof(request.ifr_name))
		probe_fail("\"%s\" is too long for a network device", name);
	memcpy(request.ifr_name, name, strlen(name));
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		probe_fail("no TAP device %s: %s", name, strerror(errno));
	return fd;
}

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		probe_fail("\"%s\" is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		probe_fail("cannot connect to %s: %s", path, strerror(errno));
	probe_set_buffers(fd, 1 << 20);
	return fd;
}

/* Frames that the other side does not take at once are lost, as on a wire. False: it is gone. */
static bool carry(int from, int to)
{
	static char frame[FRAME_MAX];

	for (int i = 0; i < BURST_MAX; i++) {
		ssize_t got = read(from, frame, sizeof(frame));

		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0)
			return false;
		(void)!write(to, frame, (size_t)got);
	}
	return true;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct wire_options *options = state->input;

	switch (key) {
	case KEY_LIMIT:
		options->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (!options->device)
			options->device = argument;
		else if (!options->path)
			options->path = argument;
		else
			argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->path)
			argp_error(state, "a device and a socket are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "limit", KEY_LIMIT, "S", 0, "Ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "DEVICE SOCKET",
		.doc = "Makes a TAP device and carries its frames over a SOCK_SEQPACKET socket, until "
		       "SIGTERM.\v"
		       "Example:\n"
		       "  bench-wire tap0 /run/engine.sock\n",
	};
	struct wire_options options = { .limit = 600 };
	struct pollfd entries[2] = { { .events = POLLIN }, { .events = POLLIN } };

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	probe_limit(options.limit);
	entries[0].fd = open_socket(options.path);
	entries[1].fd = open_tap(options.device);
	probe_set_nonblocking(entries[0].fd);
	probe_say_ready(1);
	while (poll(entries, 2, -1) > 0) {
		if (!carry(entries[1].fd, entries[0].fd) || !carry(entries[0].fd, entries[1].fd))
			probe_fail("the other side is gone");
	}
	return 0;
}
