#include "cli/forward_text.h"

#include <stdio.h>

#include "control/control_json.h"
#include "vmnet/vmnet.h"

const char *forward_text_format(const struct vmnet_port_forward *forward,
				char buffer[FORWARD_TEXT_SIZE])
{
	char address[CONTROL_ADDRESS_TEXT_SIZE];
	bool v6 = forward->external_family == AF_INET6;

	control_json_format_address(forward, address);
	snprintf(buffer, FORWARD_TEXT_SIZE, "%s %s%s%s:%u -> %u",
		 control_json_protocol_name(forward->protocol), v6 ? "[" : "", address,
		 v6 ? "]" : "", (unsigned)forward->external_port, (unsigned)forward->internal_port);
	return buffer;
}

const char *forward_text_from_json(const json_t *object, char buffer[FORWARD_TEXT_SIZE])
{
	struct vmnet_port_forward forward;

	if (!control_json_parse_forward(object, &forward, NULL)) {
		snprintf(buffer, FORWARD_TEXT_SIZE, "?");
		return buffer;
	}
	return forward_text_format(&forward, buffer);
}
