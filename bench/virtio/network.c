/*
 * A network of libvmnet whose guest comes by vhost-user, on a socket that a front end connects to
 * (bench-virtio, or QEMU). Ends at SIGTERM.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

#include "probe.h"

#define FORWARDS_MAX 16

struct network_options {
	const char *path;
	const char *subnet; /* a /30 */
	uint32_t mtu;
	uint32_t busy_poll_us;
	double limit;
	uint16_t forwards[FORWARDS_MAX][2]; /* external, internal */
	size_t forward_count;
};

enum {
	KEY_SUBNET = 256,
	KEY_MTU,
	KEY_BUSY_POLL,
	KEY_FORWARD,
	KEY_LIMIT,
};

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		probe_fail("\"%s\" is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 1) < 0)
		probe_fail("cannot listen on %s: %s", path, strerror(errno));
	return fd;
}

/* Who comes by it comes from outside; the guest's is the only other address of the /30. */
static bool add_forward(vmnet_network_configuration_ref config, struct in_addr subnet,
			const uint16_t ports[2])
{
	const struct vmnet_port_forward forward = {
		.protocol = IPPROTO_TCP,
		.external_family = AF_INET, /* 0.0.0.0 */
		.external_port = ports[0],
		.internal_address.s_addr = htonl(ntohl(subnet.s_addr) + 2),
		.internal_port = ports[1],
	};

	return vmnet_network_configuration_add_port_forward(config, &forward) == VMNET_SUCCESS;
}

static vmnet_network_configuration_ref configure(const struct network_options *options)
{
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
	struct in_addr subnet;
	struct in_addr mask;
	bool ok = inet_pton(AF_INET, options->subnet, &subnet) == 1 &&
		  inet_pton(AF_INET, "255.255.255.252", &mask) == 1;

	ok = ok && config &&
	     vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask) == VMNET_SUCCESS &&
	     vmnet_network_configuration_set_mtu(config, options->mtu) == VMNET_SUCCESS &&
	     vmnet_network_configuration_set_busy_poll(config, options->busy_poll_us) ==
		     VMNET_SUCCESS;
	for (size_t i = 0; ok && i < options->forward_count; i++)
		ok = add_forward(config, subnet, options->forwards[i]);
	if (!ok)
		probe_fail("no such network: subnet %s, MTU %u", options->subnet, options->mtu);
	return config;
}

static void parse_forward(struct argp_state *state, const char *text,
			  struct network_options *options)
{
	char *colon;
	unsigned long external = strtoul(text, &colon, 10);
	unsigned long internal = *colon == ':' ? strtoul(colon + 1, &colon, 10) : 0;

	if (*colon || external == 0 || external > UINT16_MAX || internal == 0 ||
	    internal > UINT16_MAX)
		argp_error(state, "--forward takes EXTERNAL:INTERNAL, not \"%s\"", text);
	if (options->forward_count == FORWARDS_MAX)
		argp_error(state, "at most %d forwards", FORWARDS_MAX);
	options->forwards[options->forward_count][0] = (uint16_t)external;
	options->forwards[options->forward_count++][1] = (uint16_t)internal;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct network_options *options = state->input;

	switch (key) {
	case KEY_SUBNET:
		options->subnet = argument;
		return 0;
	case KEY_MTU:
		options->mtu = (uint32_t)probe_parse_number(state, "--mtu", argument, 576, 65520);
		return 0;
	case KEY_BUSY_POLL:
		options->busy_poll_us =
			(uint32_t)probe_parse_number(state, "--busy-poll", argument, 0, 1000);
		return 0;
	case KEY_FORWARD:
		parse_forward(state, argument, options);
		return 0;
	case KEY_LIMIT:
		options->limit = probe_parse_number(state, "--limit", argument, 0.01, 86400);
		return 0;
	case ARGP_KEY_ARG:
		if (options->path)
			argp_error(state, "unexpected argument \"%s\"", argument);
		options->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->path)
			argp_error(state, "a socket is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "subnet", KEY_SUBNET, "ADDRESS", 0, "Of 4 addresses (default 10.9.0.0)", 0 },
		{ "mtu", KEY_MTU, "BYTES", 0, "Default 1500", 0 },
		{ "busy-poll", KEY_BUSY_POLL, "US", 0, "Default 50", 0 },
		{ "forward", KEY_FORWARD, "EXTERNAL:INTERNAL", 0, "A TCP port; may be repeated",
		  0 },
		{ "limit", KEY_LIMIT, "S", 0, "Ends after this (default 600)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "SOCKET",
		.doc = "A network whose guest comes to SOCKET by vhost-user, until SIGTERM.\v"
		       "Example:\n"
		       "  bench-network --subnet 10.9.0.0 /run/guest.sock\n",
	};
	struct network_options options = {
		.subnet = "10.9.0.0", .mtu = 1500, .busy_poll_us = 50, .limit = 600
	};
	struct vmnet_error error = { "" };

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	probe_limit(options.limit);
	vmnet_network_configuration_ref config = configure(&options);
	vmnet_network_ref network = vmnet_network_create(config, NULL);

	if (!network)
		probe_fail("%s", vmnet_network_configuration_get_error(config));
	vmnet_network_configuration_release(config);
	if (vmnet_network_attach_vhost_user_fd(network, listen_on(options.path), NULL, NULL,
					       &error) != VMNET_SUCCESS)
		probe_fail("%s: %s", options.path, error.text);
	probe_say_ready(1);
	for (;;)
		(void)pause();
}
