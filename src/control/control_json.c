#include "control/control_json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

/* Between two calls another thread may add one: the second call then reports more than there is
 * room for, and what fits is shown. */
#define SPARE_ENTRIES 16

const char *control_json_protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

bool control_json_parse_protocol(const char *text, uint8_t *ret_protocol)
{
	if (strcmp(text, "tcp") == 0)
		*ret_protocol = IPPROTO_TCP;
	else if (strcmp(text, "udp") == 0)
		*ret_protocol = IPPROTO_UDP;
	else
		return false;
	return true;
}

bool control_json_parse_address(const char *text, struct vmnet_port_forward *forward)
{
	if (strcmp(text, "*") == 0)
		forward->external_family = AF_UNSPEC;
	else if (strcmp(text, "localhost") == 0)
		forward->external_family = AF_LOCAL;
	else if (inet_pton(AF_INET, text, &forward->external_address.v4) == 1)
		forward->external_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &forward->external_address.v6) == 1)
		forward->external_family = AF_INET6;
	else
		return false;
	return true;
}

const char *control_json_format_address(const struct vmnet_port_forward *forward,
					char buffer[CONTROL_ADDRESS_TEXT_SIZE])
{
	const char *word = "*";

	switch (forward->external_family) {
	case AF_INET:
		return inet_ntop(AF_INET, &forward->external_address.v4, buffer,
				 CONTROL_ADDRESS_TEXT_SIZE);
	case AF_INET6:
		return inet_ntop(AF_INET6, &forward->external_address.v6, buffer,
				 CONTROL_ADDRESS_TEXT_SIZE);
	case AF_LOCAL:
		word = "localhost";
		break;
	default:
		break;
	}
	snprintf(buffer, CONTROL_ADDRESS_TEXT_SIZE, "%s", word);
	return buffer;
}

json_t *control_json_forward(const struct vmnet_port_forward *forward)
{
	char external[CONTROL_ADDRESS_TEXT_SIZE];
	char internal[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &forward->internal_address, internal, sizeof(internal));
	return json_pack("{ss ss si ss si}", "protocol",
			 control_json_protocol_name(forward->protocol), "externalAddress",
			 control_json_format_address(forward, external), "externalPort",
			 (int)forward->external_port, "internalAddress", internal, "internalPort",
			 (int)forward->internal_port);
}

static bool is_match(const struct vmnet_port_forward *forward,
		     const struct vmnet_port_forward *wanted)
{
	if (forward->protocol != wanted->protocol ||
	    forward->external_port != wanted->external_port)
		return false;
	if (wanted->external_family == AF_INET)
		return forward->external_family == AF_INET &&
		       forward->external_address.v4.s_addr == wanted->external_address.v4.s_addr;
	if (wanted->external_family == AF_INET6)
		return forward->external_family == AF_INET6 &&
		       memcmp(&forward->external_address.v6, &wanted->external_address.v6,
			      sizeof(struct in6_addr)) == 0;
	return true;
}

static bool is_match_of_any(const struct vmnet_port_forward *forward,
			    const struct vmnet_port_forward *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_match(forward, &wanted[i]))
			return true;
	}
	return false;
}

/* Part of a list would read as the whole: no memory is NULL. */
static json_t *give_up(json_t *list)
{
	json_decref(list);
	return NULL;
}

/* Those behind the `first` oldest that match one of `wanted`, NULL = all. */
static json_t *list_forwards(vmnet_network_ref network, size_t first,
			     const struct vmnet_port_forward *wanted, size_t wanted_count)
{
	size_t room = vmnet_network_get_port_forwards(network, NULL, 0) + SPARE_ENTRIES;
	autofree struct vmnet_port_forward *forwards = calloc(room, sizeof(*forwards));
	if (!forwards)
		return NULL;
	size_t count = vmnet_network_get_port_forwards(network, forwards, room);
	json_t *list = json_array();
	for (size_t i = first; i < count && i < room; i++) {
		if (wanted && !is_match_of_any(&forwards[i], wanted, wanted_count))
			continue;
		if (json_array_append_new(list, control_json_forward(&forwards[i])) < 0)
			return give_up(list);
	}
	return list;
}

json_t *control_json_matching_forwards(vmnet_network_ref network,
				       const struct vmnet_port_forward *wanted, size_t count)
{
	return list_forwards(network, 0, wanted, count);
}

json_t *control_json_newer_forwards(vmnet_network_ref network, size_t first)
{
	return list_forwards(network, first, NULL, 0);
}

json_t *control_json_forwards(vmnet_network_ref network)
{
	return list_forwards(network, 0, NULL, 0);
}

static void visit_drop(void *context, const char *name, uint64_t count)
{
	json_t *drops = context;

	if (count > 0)
		json_object_set_new(drops, name, json_integer((json_int_t)count));
}

json_t *control_json_statistics(vmnet_network_ref network)
{
	struct vmnet_statistics statistics = { 0 };
	json_t *drops = json_object();

	vmnet_network_get_statistics(network, &statistics);
	vmnet_network_visit_drops(network, visit_drop, drops);
	return json_pack("{sI sI sI sI sI sI sI sI sI so}", "framesFromGuests",
			 (json_int_t)statistics.frames_from_guests, "bytesFromGuests",
			 (json_int_t)statistics.bytes_from_guests, "framesToGuests",
			 (json_int_t)statistics.frames_to_guests, "bytesToGuests",
			 (json_int_t)statistics.bytes_to_guests, "ports",
			 (json_int_t)statistics.ports, "tcpFlows", (json_int_t)statistics.tcp_flows,
			 "udpFlows", (json_int_t)statistics.udp_flows, "icmpFlows",
			 (json_int_t)statistics.icmp_flows, "dropped",
			 (json_int_t)statistics.dropped, "drops", drops);
}

static json_t *neighbour_to_json(const struct vmnet_neighbour *neighbour)
{
	char address[INET_ADDRSTRLEN];
	char mac_text[MAC_ADDR_TEXT_SIZE];
	struct mac_addr mac;

	memcpy(mac.octet, neighbour->mac.ether_addr_octet, sizeof(mac.octet));
	inet_ntop(AF_INET, &neighbour->address, address, sizeof(address));
	json_t *object = json_pack("{ss ss sb}", "macAddress", mac_addr_format(&mac, mac_text),
				   "address", address, "leased", (int)neighbour->leased);
	if (neighbour->leased && neighbour->lease_left_s != UINT64_MAX)
		json_object_set_new(object, "leaseLeftSeconds",
				    json_integer((json_int_t)neighbour->lease_left_s));
	return object;
}

json_t *control_json_neighbours(vmnet_network_ref network)
{
	size_t room = vmnet_network_get_neighbours(network, NULL, 0) + SPARE_ENTRIES;
	autofree struct vmnet_neighbour *neighbours = calloc(room, sizeof(*neighbours));
	if (!neighbours)
		return NULL;
	size_t count = vmnet_network_get_neighbours(network, neighbours, room);
	json_t *list = json_array();
	for (size_t i = 0; i < count && i < room; i++) {
		if (json_array_append_new(list, neighbour_to_json(&neighbours[i])) < 0)
			return give_up(list);
	}
	return list;
}

static bool parse_port(const json_t *value, const char *key, int least, uint16_t *ret_port,
		       struct error *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < least || number > UINT16_MAX) {
		error_set(err, "%s should be a number from %d to %d", key, least, UINT16_MAX);
		return false;
	}
	*ret_port = (uint16_t)number;
	return true;
}

static bool parse_field(const char *key, const json_t *value, struct vmnet_port_forward *forward,
			struct error *err)
{
	const char *text = json_string_value(value);

	if (strcmp(key, "externalPort") == 0)
		return parse_port(value, key, 0, &forward->external_port, err);
	if (strcmp(key, "internalPort") == 0)
		return parse_port(value, key, 1, &forward->internal_port, err);
	if (strcmp(key, "protocol") == 0) {
		if (text && control_json_parse_protocol(text, &forward->protocol))
			return true;
		error_set(err, "protocol should be \"tcp\" or \"udp\"");
		return false;
	}
	if (strcmp(key, "externalAddress") == 0) {
		if (text && control_json_parse_address(text, forward))
			return true;
		error_set(err, "externalAddress should be an IP address, \"*\" or \"localhost\"");
		return false;
	}
	if (strcmp(key, "internalAddress") == 0) {
		if (text && inet_pton(AF_INET, text, &forward->internal_address) == 1)
			return true;
		error_set(err, "internalAddress should be an IPv4 address");
		return false;
	}
	error_set(err, "unknown key \"%s\"", key);
	return false;
}

bool control_json_parse_forward(const json_t *object, struct vmnet_port_forward *ret_forward,
				struct error *err)
{
	struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
					      .external_family = AF_UNSPEC };
	static const char *const required[] = { "externalPort", "internalPort" };

	if (!json_is_object(object)) {
		error_set(err, "a forward should be a JSON object");
		return false;
	}
	for (size_t i = 0; i < ARRAY_COUNT(required); i++) {
		if (!json_object_get(object, required[i])) {
			error_set(err, "%s is missing", required[i]);
			return false;
		}
	}
	/* The iterator of jansson 2.14 does not write, though it takes no const. */
	json_t *iterated = json_deep_copy(object);
	const char *key;
	json_t *value;
	bool good = iterated != NULL;
	json_object_foreach(iterated, key, value) good =
		good && parse_field(key, value, &forward, err);
	json_decref(iterated);
	if (good)
		*ret_forward = forward;
	return good;
}

static bool parse_list(const json_t *list, struct vmnet_port_forward *forwards, struct error *err)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (!control_json_parse_forward(entry, &forwards[i], err)) {
			error_prefix(err, "forward %zu of the list", i + 1);
			return false;
		}
	}
	return true;
}

bool control_json_parse_forwards(const json_t *root, struct vmnet_port_forward **ret_forwards,
				 size_t *ret_count, struct error *err)
{
	size_t count = json_is_array(root) ? json_array_size(root) : 1;

	if (count == 0 || count > CONTROL_FORWARDS_MOST) {
		error_set(err, "a list should have 1 to %zu forwards", CONTROL_FORWARDS_MOST);
		return false;
	}
	struct vmnet_port_forward *forwards = calloc(count, sizeof(*forwards));
	if (!forwards) {
		error_set(err, "out of memory");
		return false;
	}
	bool good = json_is_array(root) ? parse_list(root, forwards, err)
					: control_json_parse_forward(root, forwards, err);
	if (!good) {
		free(forwards);
		return false;
	}
	*ret_forwards = forwards;
	*ret_count = count;
	return true;
}

bool control_json_parse_removal(const char *protocol, const char *port, const char *address,
				struct vmnet_port_forward *ret_forward, struct error *err)
{
	struct vmnet_port_forward forward = { .external_family = AF_UNSPEC };

	if (!protocol || !control_json_parse_protocol(protocol, &forward.protocol))
		error_set(err, "protocol should be tcp or udp");
	else if (!port || !text_parse_u16(text_view_of(port), &forward.external_port) ||
		 forward.external_port == 0)
		error_set(err, "externalPort should be a number from 1 to 65535");
	else if (address && !control_json_parse_address(address, &forward))
		error_set(err, "externalAddress should be an IP address");
	else {
		*ret_forward = forward;
		return true;
	}
	return false;
}
