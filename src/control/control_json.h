#pragma once
/*
 * What the control API says and takes, as JSON (docs: tartlet(1)). Addresses are texts; where a
 * forward listens is "*" (all addresses of both families), "localhost" (both loopback addresses) or
 * one address.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "vmnet/vmnet.h"

struct error;

#define CONTROL_ADDRESS_TEXT_SIZE INET6_ADDRSTRLEN
#define CONTROL_FORWARDS_MOST	  ((size_t)4096) /* in one request; as many as a network has */

/* Each returns a new reference, NULL without memory. */
json_t *control_json_forward(const struct vmnet_port_forward *forward);
json_t *control_json_forwards(vmnet_network_ref network);
/* Without the `first` oldest. */
json_t *control_json_newer_forwards(vmnet_network_ref network, size_t first);
/* Those of the network that came from one of `wanted`: its protocol, address and port. */
json_t *control_json_matching_forwards(vmnet_network_ref network,
				       const struct vmnet_port_forward *wanted, size_t count);
json_t *control_json_statistics(vmnet_network_ref network);
json_t *control_json_neighbours(vmnet_network_ref network);

/* Strict: an unknown key, a wrong type or a port out of range is refused with a sentence. A missing
 * externalAddress is "*", a missing internalAddress 0.0.0.0. */
bool control_json_parse_forward(const json_t *object, struct vmnet_port_forward *ret_forward,
				struct error *err) MUST_USE;
/* One forward, or a list of 1 to CONTROL_FORWARDS_MOST. The caller frees *ret_forwards. */
bool control_json_parse_forwards(const json_t *root, struct vmnet_port_forward **ret_forwards,
				 size_t *ret_count, struct error *err) MUST_USE;

/* The values of a query that says which forwards to remove, NULL where one is missing: without an
 * address those of all. False with a sentence. */
bool control_json_parse_removal(const char *protocol, const char *port, const char *address,
				struct vmnet_port_forward *ret_forward, struct error *err) MUST_USE;

/* "tcp", "udp" to IPPROTO_TCP, IPPROTO_UDP. */
bool control_json_parse_protocol(const char *text, uint8_t *ret_protocol) MUST_USE;
const char *control_json_protocol_name(uint8_t protocol);
/* Fills the external family and address. */
bool control_json_parse_address(const char *text, struct vmnet_port_forward *forward) MUST_USE;
const char *control_json_format_address(const struct vmnet_port_forward *forward,
					char buffer[CONTROL_ADDRESS_TEXT_SIZE]);
