/* What a person writes as a subnet, and the texts of addresses in general: what is taken is written
 * back in one form, and what is refused gets a sentence. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "spec/subnet_spec.h"

static void check_addresses(const char *text)
{
	char buffer[IP_PREFIX_TEXT_SIZE];
	struct mac_addr mac;
	struct mac_addr mac_again;
	struct ip_addr addr;
	struct ip_addr addr_again;
	struct ip_prefix prefix;
	struct ip_prefix prefix_again;

	if (mac_addr_parse(text, &mac)) {
		FUZZ_CHECK(mac_addr_parse(mac_addr_format(&mac, buffer), &mac_again));
		FUZZ_CHECK(mac_addr_equal(&mac, &mac_again));
	}
	if (ip_addr_parse(text, &addr)) {
		FUZZ_CHECK(ip_addr_parse(ip_addr_format(&addr, buffer), &addr_again));
		FUZZ_CHECK(ip_addr_equal(&addr, &addr_again));
	}
	if (ip_prefix_parse(text, &prefix)) {
		FUZZ_CHECK(ip_prefix_parse(ip_prefix_format(&prefix, buffer), &prefix_again));
		FUZZ_CHECK(ip_addr_equal(&prefix.addr, &prefix_again.addr));
		FUZZ_CHECK(prefix.length == prefix_again.length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { .text = "" };
	struct ip_prefix subnet;
	struct ip_prefix again;
	char buffer[IP_PREFIX_TEXT_SIZE];
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	check_addresses(text);
	if (!subnet_spec_parse(text, &subnet, &err)) {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
		FUZZ_CHECK(!subnet_spec_parse(text, &subnet, NULL));
	} else {
		FUZZ_CHECK(err.text[0] == '\0');
		FUZZ_CHECK(subnet.length >= 8 && subnet.length <= 30);
		FUZZ_CHECK(ip_prefix_is_rfc1918(&subnet));
		FUZZ_CHECK(ip_prefix_first_v4(&subnet) == ip_addr_to_v4(&subnet.addr));
		FUZZ_CHECK(subnet_spec_parse(ip_prefix_format(&subnet, buffer), &again, &err));
		FUZZ_CHECK(ip_addr_equal(&again.addr, &subnet.addr));
	}
	free(text);
	return 0;
}
