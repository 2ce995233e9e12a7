/* A resolv.conf of any bytes: at most so many servers, each once, each an address. */

#include "fuzz.h"

#include <string.h>

#include "host/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text_view text = { .start = (const char *)data, .length = size };
	struct resolv_conf_server servers[RESOLV_CONF_MAX];
	size_t count = resolv_conf_parse(text, servers);

	FUZZ_CHECK(count <= RESOLV_CONF_MAX);
	for (size_t i = 0; i < count; i++) {
		char buffer[IP_ADDR_TEXT_SIZE];
		struct ip_addr again;

		FUZZ_CHECK(servers[i].at.port == 53);
		FUZZ_CHECK(memchr(servers[i].interface, '\0', RESOLV_CONF_INTERFACE_SIZE));
		FUZZ_CHECK(servers[i].interface[0] == '\0' ||
			   ip_addr_is_link_local(&servers[i].at.addr));
		FUZZ_CHECK(ip_addr_parse(ip_addr_format(&servers[i].at.addr, buffer), &again));
		FUZZ_CHECK(ip_addr_equal(&again, &servers[i].at.addr));
		for (size_t j = 0; j < i; j++)
			FUZZ_CHECK(!ip_endpoint_equal(&servers[i].at, &servers[j].at));
	}
	return 0;
}
