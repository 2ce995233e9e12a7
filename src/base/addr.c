#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

const struct mac_addr mac_addr_broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

/* RFC 4291, 2.5.5.2: 80 zero bits, 16 one bits, then the IPv4 address. */
static const uint8_t mapped_start[12] = { [10] = 0xff, [11] = 0xff };

bool mac_addr_equal(const struct mac_addr *a, const struct mac_addr *b)
{
	return memcmp(a->octet, b->octet, sizeof(a->octet)) == 0;
}

bool mac_addr_is_multicast(const struct mac_addr *addr)
{
	return addr->octet[0] & 1;
}

bool mac_addr_is_zero(const struct mac_addr *addr)
{
	static const struct mac_addr zero;

	return mac_addr_equal(addr, &zero);
}

/* -1 when it is none. Not isxdigit(): that depends on the locale. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool mac_addr_parse(const char *text, struct mac_addr *ret_addr)
{
	struct mac_addr addr;

	for (size_t i = 0; i < sizeof(addr.octet); i++) {
		int value = hex_digit(*text);

		if (value < 0)
			return false;
		text++;
		if (hex_digit(*text) >= 0) {
			value = value * 16 + hex_digit(*text);
			text++;
		}
		addr.octet[i] = (uint8_t)value;
		if (i + 1 < sizeof(addr.octet) && *text++ != ':')
			return false;
	}
	if (*text != '\0')
		return false;
	*ret_addr = addr;
	return true;
}

const char *mac_addr_format(const struct mac_addr *addr, char buffer[MAC_ADDR_TEXT_SIZE])
{
	const uint8_t *o = addr->octet;

	snprintf(buffer, MAC_ADDR_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned int)o[0],
		 (unsigned int)o[1], (unsigned int)o[2], (unsigned int)o[3], (unsigned int)o[4],
		 (unsigned int)o[5]);
	return buffer;
}

struct ip_addr ip_addr_from_v4(uint32_t addr)
{
	struct ip_addr ip = { .family = IP_FAMILY_V4 };

	ip.octet[0] = (uint8_t)(addr >> 24);
	ip.octet[1] = (uint8_t)(addr >> 16);
	ip.octet[2] = (uint8_t)(addr >> 8);
	ip.octet[3] = (uint8_t)addr;
	return ip;
}

struct ip_addr ip_addr_from_v6(const uint8_t octet[16])
{
	struct ip_addr ip = { .family = IP_FAMILY_V6 };

	memcpy(ip.octet, octet, sizeof(ip.octet));
	return ip;
}

uint32_t ip_addr_to_v4(const struct ip_addr *addr)
{
	const uint8_t *o = addr->octet;

	assert(addr->family == IP_FAMILY_V4);
	return (uint32_t)o[0] << 24 | (uint32_t)o[1] << 16 | (uint32_t)o[2] << 8 | o[3];
}

bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && memcmp(a->octet, b->octet, sizeof(a->octet)) == 0;
}

bool ip_addr_is_v4(const struct ip_addr *addr)
{
	return addr->family == IP_FAMILY_V4;
}

bool ip_addr_is_unspecified(const struct ip_addr *addr)
{
	static const uint8_t zero[16];

	return addr->family == IP_FAMILY_NONE || memcmp(addr->octet, zero, sizeof(zero)) == 0;
}

bool ip_addr_is_loopback(const struct ip_addr *addr)
{
	static const uint8_t loopback_v6[16] = { [15] = 1 };
	struct ip_addr plain = ip_addr_unmap(addr);

	if (plain.family == IP_FAMILY_V4)
		return plain.octet[0] == 127;
	return plain.family == IP_FAMILY_V6 && memcmp(plain.octet, loopback_v6, 16) == 0;
}

bool ip_addr_is_multicast(const struct ip_addr *addr)
{
	if (addr->family == IP_FAMILY_V4)
		return (addr->octet[0] & 0xf0) == 0xe0;
	return addr->family == IP_FAMILY_V6 && addr->octet[0] == 0xff;
}

struct ip_addr ip_addr_unmap(const struct ip_addr *addr)
{
	struct ip_addr plain = { .family = IP_FAMILY_V4 };

	if (addr->family != IP_FAMILY_V6 ||
	    memcmp(addr->octet, mapped_start, sizeof(mapped_start)) != 0)
		return *addr;
	memcpy(plain.octet, addr->octet + sizeof(mapped_start), 4);
	return plain;
}

bool ip_addr_is_link_local(const struct ip_addr *addr)
{
	return addr->family == IP_FAMILY_V6 && addr->octet[0] == 0xfe &&
	       (addr->octet[1] & 0xc0) == 0x80;
}

const char *ip_addr_why_no_listener(const struct ip_addr *addr)
{
	struct ip_addr plain = ip_addr_unmap(addr);
	uint32_t v4 = ip_addr_is_v4(&plain) ? ip_addr_to_v4(&plain) : 0;

	if (ip_addr_is_multicast(&plain))
		return "is a group address";
	if (v4 == INADDR_BROADCAST || v4 == (INADDR_LOOPBACK | 0x00ffffff))
		return "is a broadcast address";
	if (ip_addr_is_link_local(&plain))
		return "is link-local and means nothing without an interface";
	return NULL;
}

bool ip_addr_parse(const char *text, struct ip_addr *ret_addr)
{
	struct ip_addr addr = { .family = IP_FAMILY_NONE };

	if (inet_pton(AF_INET, text, addr.octet) == 1)
		addr.family = IP_FAMILY_V4;
	else if (inet_pton(AF_INET6, text, addr.octet) == 1)
		addr.family = IP_FAMILY_V6;
	else
		return false;
	*ret_addr = addr;
	return true;
}

const char *ip_addr_format(const struct ip_addr *addr, char buffer[IP_ADDR_TEXT_SIZE])
{
	if (addr->family == IP_FAMILY_NONE) {
		snprintf(buffer, IP_ADDR_TEXT_SIZE, "none");
		return buffer;
	}
	return inet_ntop(addr->family == IP_FAMILY_V4 ? AF_INET : AF_INET6, addr->octet, buffer,
			 IP_ADDR_TEXT_SIZE);
}

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && ip_addr_equal(&a->addr, &b->addr);
}

const char *ip_endpoint_format(const struct ip_endpoint *endpoint,
			       char buffer[IP_ENDPOINT_TEXT_SIZE])
{
	char addr[IP_ADDR_TEXT_SIZE];

	ip_addr_format(&endpoint->addr, addr);
	if (endpoint->addr.family == IP_FAMILY_V6)
		snprintf(buffer, IP_ENDPOINT_TEXT_SIZE, "[%s]:%u", addr,
			 (unsigned int)endpoint->port);
	else
		snprintf(buffer, IP_ENDPOINT_TEXT_SIZE, "%s:%u", addr,
			 (unsigned int)endpoint->port);
	return buffer;
}

bool ip_endpoint_from_sockaddr(const struct sockaddr_storage *sockaddr,
			       struct ip_endpoint *ret_endpoint)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (sockaddr->ss_family) {
	case AF_INET:
		memcpy(&v4, sockaddr, sizeof(v4));
		ret_endpoint->addr = ip_addr_from_v4(ntohl(v4.sin_addr.s_addr));
		ret_endpoint->port = ntohs(v4.sin_port);
		return true;
	case AF_INET6:
		memcpy(&v6, sockaddr, sizeof(v6));
		ret_endpoint->addr = ip_addr_from_v6(v6.sin6_addr.s6_addr);
		ret_endpoint->addr = ip_addr_unmap(&ret_endpoint->addr);
		ret_endpoint->port = ntohs(v6.sin6_port);
		return true;
	default:
		return false;
	}
}

socklen_t ip_endpoint_to_scoped_sockaddr(const struct ip_endpoint *endpoint, uint32_t scope,
					 struct sockaddr_storage *ret_sockaddr)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_scope_id = scope };

	memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
	if (endpoint->addr.family == IP_FAMILY_V4) {
		v4.sin_port = htons(endpoint->port);
		v4.sin_addr.s_addr = htonl(ip_addr_to_v4(&endpoint->addr));
		memcpy(ret_sockaddr, &v4, sizeof(v4));
		return sizeof(v4);
	}
	assert(endpoint->addr.family == IP_FAMILY_V6);
	v6.sin6_port = htons(endpoint->port);
	memcpy(v6.sin6_addr.s6_addr, endpoint->addr.octet, sizeof(endpoint->addr.octet));
	memcpy(ret_sockaddr, &v6, sizeof(v6));
	return sizeof(v6);
}

socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *endpoint,
				  struct sockaddr_storage *ret_sockaddr)
{
	return ip_endpoint_to_scoped_sockaddr(endpoint, 0, ret_sockaddr);
}

bool ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix)
{
	struct text_view head;
	struct text_view rest;
	struct ip_addr addr;
	char addr_text[IP_ADDR_TEXT_SIZE];
	uint64_t length;

	if (!text_view_cut(text_view_of(text), '/', &head, &rest))
		return false;
	if (!text_view_copy(head, addr_text, sizeof(addr_text)) || !ip_addr_parse(addr_text, &addr))
		return false;
	if (!text_parse_u64(rest, addr.family == IP_FAMILY_V4 ? 32 : 128, &length))
		return false;
	ret_prefix->addr = addr;
	ret_prefix->length = (uint8_t)length;
	return true;
}

const char *ip_prefix_format(const struct ip_prefix *prefix, char buffer[IP_PREFIX_TEXT_SIZE])
{
	char addr[IP_ADDR_TEXT_SIZE];

	snprintf(buffer, IP_PREFIX_TEXT_SIZE, "%s/%u", ip_addr_format(&prefix->addr, addr),
		 (unsigned int)prefix->length);
	return buffer;
}

/* length is at most 128, and at most 32 for IPv4: the caller's prefixes hold that. */
static bool bits_equal(const struct ip_addr *a, const struct ip_addr *b, unsigned int length)
{
	unsigned int whole = length / 8;
	unsigned int rest = length % 8;

	if (a->family != b->family || a->family == IP_FAMILY_NONE)
		return false;
	if (memcmp(a->octet, b->octet, whole) != 0)
		return false;
	return rest == 0 || (a->octet[whole] ^ b->octet[whole]) >> (8 - rest) == 0;
}

bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr)
{
	return bits_equal(&prefix->addr, addr, prefix->length);
}

bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b)
{
	return bits_equal(&a->addr, &b->addr, a->length < b->length ? a->length : b->length);
}

struct ip_prefix ip_prefix_canonical(const struct ip_prefix *prefix)
{
	struct ip_prefix canonical = *prefix;

	for (unsigned int i = 0; i < sizeof(canonical.addr.octet); i++) {
		if (i * 8 >= prefix->length)
			canonical.addr.octet[i] = 0;
		else if (prefix->length - i * 8 < 8)
			canonical.addr.octet[i] &= (uint8_t)(0xff00U >> (prefix->length - i * 8));
	}
	return canonical;
}

uint32_t ip_prefix_first_v4(const struct ip_prefix *prefix)
{
	return ip_addr_to_v4(&prefix->addr) & ip_length_to_mask(prefix->length);
}

uint32_t ip_prefix_last_v4(const struct ip_prefix *prefix)
{
	return ip_addr_to_v4(&prefix->addr) | ~ip_length_to_mask(prefix->length);
}

bool ip_mask_to_length(uint32_t mask, uint8_t *ret_length)
{
	uint8_t length = (uint8_t)__builtin_popcount(mask);

	if (mask != ip_length_to_mask(length))
		return false;
	*ret_length = length;
	return true;
}

uint32_t ip_length_to_mask(uint8_t length)
{
	assert(length <= 32);
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

bool ip_prefix_is_rfc1918(const struct ip_prefix *prefix)
{
	static const struct ip_prefix private_prefixes[] = {
		{ { IP_FAMILY_V4, { 10, 0, 0, 0 } }, 8 },
		{ { IP_FAMILY_V4, { 172, 16, 0, 0 } }, 12 },
		{ { IP_FAMILY_V4, { 192, 168, 0, 0 } }, 16 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(private_prefixes); i++) {
		if (prefix->length >= private_prefixes[i].length &&
		    ip_prefix_contains(&private_prefixes[i], &prefix->addr))
			return true;
	}
	return false;
}
