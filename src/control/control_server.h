#pragma once
/*
 * The control API of a running VM: HTTP and JSON on the unix socket control.sock (mode 0600) in the
 * VM's directory, on a thread of its own.
 *
 *     GET    /v1/status       who runs, which subnet and address
 *     GET    /v1/forwards     one object per bound socket
 *     POST   /v1/forwards     a forward object or a list of them, all or none; 201 with what was
 *                             bound
 *     DELETE /v1/forwards?protocol=tcp&externalPort=2222[&externalAddress=127.0.0.1]
 *     DELETE /v1/forwards     with forwards as for POST: those of them that are there
 *     GET    /v1/statistics   frames, flows, drops by reason
 *     GET    /v1/neighbours   the guests the network knows
 *     GET    /v1/connect?port=22   with "Upgrade: tartlet-connect": a socket that is connected to the
 *                             guest's TCP port (connect_server.h)
 *
 * An error is {"error": "sentence"} with a 4xx or 5xx status.
 */

#include "base/addr.h"
#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct control_server;
struct error;

#define CONTROL_SOCKET_NAME "control.sock"

struct control_server_options {
	vmnet_network_ref network; /* retained while the server runs */
	int directory_fd;	   /* borrowed: outlives the server */
	const char *name;	   /* copied */
	const char *label;	   /* copied; NULL = none */
	struct mac_addr mac;
	struct ip_prefix subnet;
	struct ip_addr address;
	/* On the server's thread, after forwards were added or removed; may be NULL. */
	void (*forwards_changed)(void *context);
	void *context;
};

/*
 * Replaces a socket that a killed run left behind: the caller holds the VM's lock. 0 or negative
 * errno with a sentence.
 */
int control_server_start(const struct control_server_options *options,
			 struct control_server **ret_server, struct error *err) MUST_USE;
/* Ends the thread and removes the socket. NULL is allowed. Returns NULL. */
struct control_server *control_server_stop(struct control_server *server);
