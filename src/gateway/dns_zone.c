#include "gateway/dns_zone.h"

#include <stdio.h>
#include <string.h>

#include "gateway/gateway.h"

#define DNS_CLASS_ANY 255

struct found {
	struct ip_addr addrs[DNS_ZONE_ADDRS_MAX];
	size_t count;
};

static void found_add(struct found *found, const struct ip_addr *addr)
{
	if (found->count < DNS_ZONE_ADDRS_MAX)
		found->addrs[found->count++] = *addr;
}

static bool is_guest_name(const struct dns_zone *zone, const char *name)
{
	if (zone->guest_name[0] == '\0' || !ip_addr_is_v4(&zone->guest_addr))
		return false;
	return strcmp(name, zone->guest_name) == 0 || strcmp(name, zone->guest_full_name) == 0;
}

/* RFC 6761 6.3: never asked outside, always loopback, which is the guest's own. */
static bool is_localhost(const char *name)
{
	static const char suffix[] = ".localhost";
	size_t length = strlen(name);

	if (strcmp(name, "localhost") == 0)
		return true;
	return length >= sizeof(suffix) &&
	       strcmp(name + length - (sizeof(suffix) - 1), suffix) == 0;
}

/*
 * The host's own names stand for a loopback address in most /etc/hosts; to a guest that would be
 * itself. The host's address as the guest sees it is the gateway's; for IPv6 there is none.
 */
static void found_add_host(const struct dns_zone *zone, struct found *found,
			   const struct ip_addr *addr)
{
	if (!ip_addr_is_loopback(addr)) {
		found_add(found, addr);
		return;
	}
	if (!ip_addr_is_v4(addr))
		return;
	for (size_t i = 0; i < found->count; i++) {
		if (ip_addr_equal(&found->addrs[i], &zone->gateway_addr))
			return;
	}
	found_add(found, &zone->gateway_addr);
}

static bool find_in_hosts(const struct dns_zone *zone, const char *name, struct found *ret_found)
{
	static const enum ip_family families[] = { IP_FAMILY_V4, IP_FAMILY_V6 };
	struct ip_addr addrs[DNS_ZONE_ADDRS_MAX];
	bool known_at_all = false;

	if (!zone->host || name[0] == '\0')
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
		bool known = false;
		size_t count = host_call(zone->host, hosts_lookup, name, families[i], addrs,
					 DNS_ZONE_ADDRS_MAX, &known);

		for (size_t j = 0; j < count && j < DNS_ZONE_ADDRS_MAX; j++)
			found_add_host(zone, ret_found, &addrs[j]);
		known_at_all = known_at_all || known;
	}
	return known_at_all;
}

static bool find_addrs(const struct dns_zone *zone, const char *name, struct found *ret_found)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (is_localhost(name)) {
		struct ip_addr v4 = ip_addr_from_v4(INADDR_LOOPBACK);
		struct ip_addr v6 = ip_addr_from_v6(loopback6);

		found_add(ret_found, &v4);
		found_add(ret_found, &v6);
		return true;
	}
	if (strcmp(name, DNS_ZONE_HOST_NAME) == 0) {
		found_add(ret_found, &zone->gateway_addr);
		return true;
	}
	if (is_guest_name(zone, name)) {
		found_add(ret_found, &zone->guest_addr);
		return true;
	}
	return find_in_hosts(zone, name, ret_found);
}

static const char *find_pointer(const struct dns_zone *zone, const char *name)
{
	struct ip_addr addr;

	if (!dns_reverse_to_addr(name, &addr))
		return NULL;
	if (ip_addr_equal(&addr, &zone->gateway_addr))
		return DNS_ZONE_HOST_NAME;
	if (zone->guest_name[0] != '\0' && ip_addr_equal(&addr, &zone->guest_addr))
		return zone->guest_full_name;
	return NULL;
}

/* As many as there is room for: an answer that is short of some addresses still is one. */
static bool build(const struct dns_message *query, const struct found *found, struct writer *writer)
{
	const struct writer start = *writer;

	for (size_t count = found->count;; count--) {
		*writer = start;
		if (dns_build_addresses(writer, query, found->addrs, count, DNS_ZONE_TTL_S))
			return true;
		if (count == 0)
			return false;
	}
}

bool dns_zone_answer(const struct dns_zone *zone, const struct dns_message *query,
		     struct writer *writer)
{
	const struct dns_question *question = &query->question;
	struct found found = { .count = 0 };
	const char *pointer;

	if (question->class != DNS_CLASS_IN && question->class != DNS_CLASS_ANY)
		return false;
	if (find_addrs(zone, question->text, &found))
		return build(query, &found, writer);
	pointer = find_pointer(zone, question->text);
	if (!pointer)
		return false;
	if (question->type == DNS_TYPE_PTR || question->type == DNS_TYPE_ANY)
		return dns_build_pointer(writer, query, pointer, DNS_ZONE_TTL_S);
	return dns_build_status(writer, query, DNS_RCODE_NOERROR);
}

static void lower(char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
	}
}

void dns_zone_init(struct dns_zone *zone, const struct gateway_config *config, struct host *host)
{
	*zone = (struct dns_zone){ .host = host, .gateway_addr = config->addr };
	if (config->hostname[0] == '\0' || config->reservation_count == 0)
		return;
	zone->guest_addr = config->reservations[0].addr;
	snprintf(zone->guest_name, sizeof(zone->guest_name), "%.*s", GATEWAY_NAME_SIZE - 1,
		 config->hostname);
	if (config->domain[0] == '\0')
		snprintf(zone->guest_full_name, sizeof(zone->guest_full_name), "%s",
			 zone->guest_name);
	else
		snprintf(zone->guest_full_name, sizeof(zone->guest_full_name), "%.*s.%.*s",
			 GATEWAY_NAME_SIZE - 1, config->hostname, GATEWAY_NAME_SIZE - 1,
			 config->domain);
	lower(zone->guest_name);
	lower(zone->guest_full_name);
}
