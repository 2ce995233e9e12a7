#include "spec/subnet_spec.h"

#include "base/error.h"
#include "base/printable.h"

#define LENGTH_LEAST 8
#define LENGTH_MOST  30 /* gateway and one guest */

bool subnet_spec_parse(const char *typed, struct ip_prefix *ret_subnet, struct error *err)
{
	struct ip_prefix subnet;
	char canonical_text[IP_PREFIX_TEXT_SIZE];
	char buffer[128];
	const char *text = printable(typed, buffer, sizeof(buffer));

	if (!ip_prefix_parse(typed, &subnet) || !ip_addr_is_v4(&subnet.addr)) {
		error_set(err, "invalid subnet \"%s\": expected an IPv4 prefix such as 10.9.8.0/30",
			  text);
		return false;
	}
	if (subnet.length < LENGTH_LEAST || subnet.length > LENGTH_MOST) {
		error_set(err, "invalid subnet \"%s\": its length should be /%d to /%d", text,
			  LENGTH_LEAST, LENGTH_MOST);
		return false;
	}
	/* Before its bits: no advice that would be refused in its turn. */
	if (!ip_prefix_is_rfc1918(&subnet)) {
		error_set(err,
			  "invalid subnet \"%s\": it should lie inside 10.0.0.0/8, "
			  "172.16.0.0/12 or 192.168.0.0/16",
			  text);
		return false;
	}
	struct ip_prefix canonical = ip_prefix_canonical(&subnet);
	if (!ip_addr_equal(&canonical.addr, &subnet.addr)) {
		error_set(err,
			  "invalid subnet \"%s\": bits are set behind its length; did you mean "
			  "%s?",
			  text, ip_prefix_format(&canonical, canonical_text));
		return false;
	}
	*ret_subnet = subnet;
	return true;
}
