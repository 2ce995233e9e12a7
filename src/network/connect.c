/*
 * Connections to guests for the program itself: no port on the host, so nobody else can use them. NAT
 * gets one end of a pair of our own, as if a forward had accepted it; the other end is handed out once
 * the guest has answered, so that whoever gets it knows that somebody is there.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "host/tcp_pair.h"
#include "network/network_internal.h"

struct connect_request {
	struct nat_opening opening;
	struct vmnet_network *network;
	struct ip_endpoint guest;
	int inner_fd; /* NAT's */
	int outer_fd; /* until it is handed out */
	void (*connected)(void *context, vmnet_return_t status, int fd, const char *error);
	void *context;
};

/* The request may be decided, and freed, before nat_connect() has returned to who asked. */
struct connect_call {
	struct connect_request *request;
	int status;
};

static void connect_explain(const struct connect_request *request, int status, struct error *err)
{
	char text[IP_ADDR_TEXT_SIZE];
	unsigned port = request->guest.port;

	ip_addr_format(&request->guest.addr, text);
	switch (-status) {
	case ECONNREFUSED:
		error_set(err, "the guest %s refuses connections to its TCP port %u", text, port);
		break;
	case ETIMEDOUT:
		error_set(err,
			  "the guest does not answer on TCP port %u of %s: it is not up yet, has "
			  "another address, or drops what comes there",
			  port, text);
		break;
	case EACCES:
		error_set(err, "the network's rules do not let the host connect to the guest");
		break;
	case ENOSPC:
		error_set(err, "the network has as many connections as it can have");
		break;
	case EMFILE:
	case ENFILE:
		error_set(err, "no file descriptor is left; raise the limit (ulimit -n)");
		break;
	case ECONNABORTED:
	case ESHUTDOWN:
		error_set(err, "the network ends");
		break;
	default:
		error_set(err, "cannot connect to TCP port %u of %s: %s", port, text,
			  strerror(-status));
		break;
	}
}

/* In the network's thread; or, where that has ended, in the one that frees the network. */
static void connect_decided(struct nat_opening *opening, int status)
{
	struct connect_request *request = container_of(opening, struct connect_request, opening);
	struct error err = {};

	if (status == 0) {
		request->connected(request->context, VMNET_SUCCESS, request->outer_fd, "");
	} else {
		fd_close(request->outer_fd);
		connect_explain(request, status, &err);
		request->connected(request->context, configuration_status_of(status), -1, err.text);
	}
	free(request);
}

static void connect_in_thread(void *context)
{
	struct connect_call *call = context;
	struct connect_request *request = call->request;

	call->status = nat_connect(request->network->nat, &request->guest, request->inner_fd,
				   &request->opening);
}

static int connect_judge(const struct vmnet_network *network, const struct sockaddr_in *guest,
			 struct ip_endpoint *ret_guest, struct error *err)
{
	char text[IP_ADDR_TEXT_SIZE];
	char subnet[IP_PREFIX_TEXT_SIZE];
	struct ip_addr addr = ip_addr_from_v4(ntohl(guest->sin_addr.s_addr));

	if (guest->sin_family != AF_INET || guest->sin_port == 0) {
		error_set(err, "an IPv4 address and a port from 1 to 65535 are needed");
		return -EINVAL;
	}
	if (!configuration_judge_address(&network->subnet, &addr, NULL)) {
		error_set(err, "the address %s is no guest's in %s", ip_addr_format(&addr, text),
			  ip_prefix_format(&network->subnet, subnet));
		return -EINVAL;
	}
	*ret_guest = (struct ip_endpoint){ addr, ntohs(guest->sin_port) };
	return 0;
}

static vmnet_return_t connect_fail(int status, const struct error *err, struct vmnet_error *error)
{
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "%s", err->text);
	return configuration_status_of(status);
}

/* Consumes the request and its descriptors. */
static int connect_start(struct connect_request *request)
{
	struct connect_call call = { .request = request };
	int outer_fd = request->outer_fd;
	int inner_fd = request->inner_fd;
	int status = network_run(request->network, connect_in_thread, &call);

	if (status < 0)
		fd_close(inner_fd); /* nat_connect() was not called */
	else
		status = call.status;
	if (status < 0) {
		fd_close(outer_fd);
		free(request);
	}
	return status;
}

vmnet_return_t vmnet_network_connect(vmnet_network_ref network, const struct sockaddr_in *guest,
				     void (*connected)(void *context, vmnet_return_t status, int fd,
						       const char *error),
				     void *context, struct vmnet_error *error)
{
	struct connect_request wanted = {
		.opening.decided = connect_decided,
		.network = network,
		.connected = connected,
		.context = context,
	};
	struct error err = {};
	int fds[2];
	int status = connect_judge(network, guest, &wanted.guest, &err);

	if (status < 0)
		return connect_fail(status, &err, error);
	struct connect_request *request = malloc(sizeof(*request));
	status = request ? tcp_pair_new(fds) : -ENOMEM;
	if (status == 0) {
		wanted.outer_fd = fds[0];
		wanted.inner_fd = fds[1];
		*request = wanted;
		status = connect_start(request);
	} else {
		free(request);
	}
	if (status < 0) {
		connect_explain(&wanted, status, &err);
		return connect_fail(status, &err, error);
	}
	return VMNET_SUCCESS;
}
