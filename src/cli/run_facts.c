#include "cli/run_facts.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "base/addr.h"
#include "cli/forward_text.h"
#include "cli/run_network.h"
#include "control/control_json.h"

static bool is_open_to_all(const struct vmnet_port_forward *forward)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;

	if (forward->external_family == AF_INET)
		return forward->external_address.v4.s_addr == INADDR_ANY;
	return forward->external_family == AF_INET6 &&
	       memcmp(&forward->external_address.v6, &any6, sizeof(any6)) == 0;
}

static void print_forwards(FILE *stream, const json_t *forwards, const char *home_path)
{
	bool open_to_all = false;
	const json_t *item;
	size_t i;

	json_array_foreach(forwards, i, item)
	{
		struct vmnet_port_forward forward;
		char text[FORWARD_TEXT_SIZE];
		if (!control_json_parse_forward(item, &forward, NULL))
			continue; /* we, or the report's parser, made the list */
		fprintf(stream, "forward: %s\n", forward_text_format(&forward, text));
		open_to_all = open_to_all || is_open_to_all(&forward);
	}
	if (open_to_all)
		fprintf(stream,
			"Forwards on 0.0.0.0 and [::] are reachable from the network "
			"(expose_address in %s/config.json changes the default).\n",
			home_path);
}

void run_facts_print(FILE *stream, const struct run_network *network, const char *home_path)
{
	char subnet[IP_PREFIX_TEXT_SIZE];
	char address[IP_ADDR_TEXT_SIZE];

	fprintf(stream, "subnet: %s\n", ip_prefix_format(&network->subnet, subnet));
	fprintf(stream, "address: %s\n", ip_addr_format(&network->address, address));
	json_t *forwards = run_network_forwards(network);
	print_forwards(stream, forwards, home_path);
	json_decref(forwards);
}
