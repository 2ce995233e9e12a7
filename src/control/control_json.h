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

/* Each returns a new reference, NULL without memory. */
json_t *control_json_forward(const struct vmnet_port_forward *forward);
json_t *control_json_forwards(vmnet_network_ref network);
/* Those of the network that came from `wanted`: its protocol, address and port. */
json_t *control_json_matching_forwards(vmnet_network_ref network,
				       const struct vmnet_port_forward *wanted);
json_t *control_json_statistics(vmnet_network_ref network);
json_t *control_json_neighbours(vmnet_network_ref network);

/* Strict: an unknown key, a wrong type or a port out of range is refused with a sentence. A missing
 * externalAddress is "*", a missing internalAddress 0.0.0.0. */
bool control_json_parse_forward(const json_t *object, struct vmnet_port_forward *ret_forward,
				struct error *err) MUST_USE;

/* "tcp", "udp" to IPPROTO_TCP, IPPROTO_UDP. */
bool control_json_parse_protocol(const char *text, uint8_t *ret_protocol) MUST_USE;
const char *control_json_protocol_name(uint8_t protocol);
/* Fills the external family and address. */
bool control_json_parse_address(const char *text, struct vmnet_port_forward *forward) MUST_USE;
const char *control_json_format_address(const struct vmnet_port_forward *forward,
					char buffer[CONTROL_ADDRESS_TEXT_SIZE]);
