#include "filter/filter_global.h"

#include <string.h>

struct range_v4 {
	uint32_t addr;
	uint8_t length;
};

static const struct range_v4 special_v4[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* shared by carriers */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments; see anycast_v4 */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarking */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 4 },  /* groups */
	{ 0xf0000000, 4 },  /* reserved, broadcast */
};

/* RFC 7723 and RFC 8155: out in the world all the same. */
static const uint32_t anycast_v4[] = { 0xc0000009, 0xc000000a };

struct range_v6 {
	uint8_t octet[8];
	uint8_t length;
};

static const struct range_v6 special_v6[] = {
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },		/* documentation */
	{ { 0x3f, 0xff }, 20 },				/* documentation, RFC 9637 */
	{ { 0x20, 0x01, 0x00, 0x02, 0x00, 0x00 }, 48 }, /* benchmarking */
	{ { 0x20, 0x01, 0x00, 0x10 }, 28 },		/* ORCHID */
};

static bool is_global_v4(uint32_t addr)
{
	for (size_t i = 0; i < ARRAY_COUNT(anycast_v4); i++) {
		if (addr == anycast_v4[i])
			return true;
	}
	for (size_t i = 0; i < ARRAY_COUNT(special_v4); i++) {
		if ((addr & ip_length_to_mask(special_v4[i].length)) == special_v4[i].addr)
			return false;
	}
	return true;
}

static bool is_global_v6(const struct ip_addr *addr)
{
	if ((addr->octet[0] & 0xe0) != 0x20)
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(special_v6); i++) {
		struct ip_prefix prefix = { { .family = IP_FAMILY_V6 }, special_v6[i].length };

		memcpy(prefix.addr.octet, special_v6[i].octet, sizeof(special_v6[i].octet));
		if (ip_prefix_contains(&prefix, addr))
			return false;
	}
	return true;
}

bool filter_is_global(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? is_global_v4(ip_addr_to_v4(addr)) : is_global_v6(addr);
}
