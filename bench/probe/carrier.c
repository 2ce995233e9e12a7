#include "carrier.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "probe.h"

enum {
	KEY_LIMIT = 256,
};

struct parse {
	struct carrier carrier;
	double limit;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct parse *parse = state->input;

	switch (key) {
	case KEY_LIMIT:
		parse->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (!parse->carrier.device)
			parse->carrier.device = argument;
		else if (!parse->carrier.path)
			parse->carrier.path = argument;
		else
			argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		if (!parse->carrier.path)
			argp_error(state, "a device and a socket are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct carrier carrier_start(int argc, char **argv, const char *doc)
{
	static const struct argp_option table[] = {
		{ "limit", KEY_LIMIT, "S", 0, "Ends after this (default 600)", 0 },
		{},
	};
	const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "DEVICE SOCKET",
		.doc = doc,
	};
	struct parse result = { .limit = 600 };

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &result) != 0)
		exit(64);
	probe_limit(result.limit);
	return result.carrier;
}

int carrier_open_tap(const struct carrier *carrier, short flags)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	const char *name = carrier->device;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (strlen(name) >= sizeof(request.ifr_name))
		probe_fail("\"%s\" is too long for a network device", name);
	memcpy(request.ifr_name, name, strlen(name));
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		probe_fail("no TAP device %s: %s", name, strerror(errno));
	return fd;
}

int carrier_connect(const struct carrier *carrier, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = carrier->path;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		probe_fail("\"%s\" is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		probe_fail("cannot connect to %s: %s", path, strerror(errno));
	return fd;
}
