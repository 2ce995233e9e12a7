#pragma once
/*
 * The requests of softnet's control channel (JSON-RPC 2.0): softnet.policy.get and softnet.policy.set, on the
 * rules of a live network.
 *
 *     -> {"jsonrpc": "2.0", "id": 1, "method": "softnet.policy.set",
 *         "params": {"allow": ["@host"], "block": ["0.0.0.0/0"], "desiredRevision": "7"}}
 *     <- {"jsonrpc": "2.0", "id": 1, "result": {"allow": ["@host"], "block": ["0.0.0.0/0"],
 *         "desiredRevision": "7", "ruleCount": 2, "bridgeIsolation": true}}
 *
 * A set replaces all rules or none. The same revision with the same rules is a success that changes nothing; with
 * others it is refused. Every request has an id, a text of up to 256 bytes or an integer: there are no notifications,
 * since whoever asks wants to know.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "vmnet/vmnet.h"

#define POLICY_RPC_RULES_MOST	 4096 /* of both lists together */
#define POLICY_RPC_REVISION_MOST 256  /* bytes */

enum policy_rpc_code {
	POLICY_RPC_PARSE_ERROR = -32700,
	POLICY_RPC_INVALID_REQUEST = -32600,
	POLICY_RPC_METHOD_NOT_FOUND = -32601,
	POLICY_RPC_INVALID_PARAMS = -32602,
	POLICY_RPC_INTERNAL_ERROR = -32603,
	POLICY_RPC_REVISION_CONFLICT = -32001,
	POLICY_RPC_ISOLATION_CONFLICT = -32002,
};

/* All zero but for the network, which was created with rules; borrowed. */
struct policy_rpc {
	vmnet_network_ref network;
	char revision[POLICY_RPC_REVISION_MOST + 1]; /* "" = none was set yet */
};

/* The answer to one request (without its newline), also where that is none; the caller frees. NULL: no memory. */
char *policy_rpc_answer(struct policy_rpc *rpc, const char *request, size_t size);
/* To a request that was too long to be read; the caller frees. NULL: no memory. */
char *policy_rpc_too_long(void);
