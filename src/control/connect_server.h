#pragma once
/*
 * GET /v1/connect?port=N with "Upgrade: tartlet-connect", on the control socket: behind the 101
 * stands one line, when the guest has answered:
 *
 *     {"connected": true}     and with it, as SCM_RIGHTS, a TCP socket connected to the guest's port
 *     {"error": "sentence"}
 *
 * and then the end. So the bytes go between the client and the network directly, and only who may
 * open the control socket gets at the guest.
 */

#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct error;

#define CONNECT_PROTOCOL  "tartlet-connect"
#define CONNECT_LINE_MOST 1024 /* with its newline */

struct connect_wish {
	struct sockaddr_in guest;
};

/* port: as in the URL, or NULL. False with a sentence. */
bool connect_wish_parse(const char *port, const struct ip_addr *guest,
			struct connect_wish *ret_wish, struct error *err) MUST_USE;

/* Does not wait. Answers on fd, also from another thread and when the server has ended, and closes
 * it. */
void connect_server_begin(vmnet_network_ref network, const struct connect_wish *wish, int fd);
