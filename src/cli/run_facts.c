#include "cli/run_facts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/fd.h"
#include "cli/forward_text.h"
#include "cli/run_network.h"

static bool is_open_to_all(const struct vmnet_port_forward *forward)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;

	if (forward->external_family == AF_INET)
		return forward->external_address.v4.s_addr == INADDR_ANY;
	return forward->external_family == AF_INET6 &&
	       memcmp(&forward->external_address.v6, &any6, sizeof(any6)) == 0;
}

static void print_forwards(FILE *stream, vmnet_network_ref network, const char *home_path)
{
	size_t count = vmnet_network_get_port_forwards(network, NULL, 0);
	autofree struct vmnet_port_forward *forwards = calloc(count + 1, sizeof(*forwards));
	bool open_to_all = false;

	if (!forwards)
		return;
	size_t found = vmnet_network_get_port_forwards(network, forwards, count);
	for (size_t i = 0; i < found && i < count; i++) {
		char text[FORWARD_TEXT_SIZE];
		fprintf(stream, "forward: %s\n", forward_text_format(&forwards[i], text));
		open_to_all = open_to_all || is_open_to_all(&forwards[i]);
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
	print_forwards(stream, network->network, home_path);
}
