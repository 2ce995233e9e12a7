#include "control/connect_server.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

/* A client that waits for its guest. */
struct client {
	int fd;
};

bool connect_wish_parse(const char *port, const struct ip_addr *guest,
			struct connect_wish *ret_wish, struct error *err)
{
	uint16_t number;

	if (!port || !text_parse_u16(text_view_of(port), &number) || number == 0) {
		error_set(err, "port should be a number from 1 to 65535");
		return false;
	}
	ret_wish->guest = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(number),
		.sin_addr.s_addr = htonl(ip_addr_to_v4(guest)),
	};
	return true;
}

/* A line into an empty socket, with a descriptor where there is one. A client that is gone misses
 * nothing. */
static void send_line(int fd, const char *line, int passed_fd)
{
	struct iovec part = { .iov_base = (char *)(uintptr_t)line, .iov_len = strlen(line) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (passed_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed_fd, sizeof(int));
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_error(int fd, const char *text)
{
	json_t *root = json_pack("{ss}", "error", text);
	char *json = root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	char line[CONNECT_LINE_MOST];

	if (json && (size_t)snprintf(line, sizeof(line), "%s\n", json) < sizeof(line))
		send_line(fd, line, -1);
	free(json);
	json_decref(root);
}

/* On the network's thread. */
static void connected(void *context, vmnet_return_t status, int fd, const char *error)
{
	struct client *client = context;

	if (status == VMNET_SUCCESS)
		send_line(client->fd, "{\"connected\": true}\n", fd);
	else
		send_error(client->fd, error);
	fd_close(fd);
	fd_close(client->fd);
	free(client);
}

void connect_server_begin(vmnet_network_ref network, const struct connect_wish *wish, int fd)
{
	struct client *client = malloc(sizeof(*client));
	struct vmnet_error error = { .text = "out of memory" };

	if (client) {
		client->fd = fd;
		if (vmnet_network_connect(network, &wish->guest, connected, client, &error) ==
		    VMNET_SUCCESS)
			return;
	}
	send_error(fd, error.text);
	fd_close(fd);
	free(client);
}
