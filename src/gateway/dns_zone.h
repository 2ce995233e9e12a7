#pragma once
/*
 * The names that the gateway answers by itself: host.internal (the gateway's address), the guest's
 * own name with and without the domain, the host's /etc/hosts, and the reverse of our addresses. A
 * name that is known here has an answer for every type, an empty one where there is no record: a
 * resolver outside, asked for it, would say NXDOMAIN (RFC 2308 2.2).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "host/host.h"
#include "wire/dns.h"
#include "wire/writer.h"

struct gateway_config;

#define DNS_ZONE_HOST_NAME "host.internal"
#define DNS_ZONE_TTL_S	   60
#define DNS_ZONE_NAME_SIZE 130 /* hostname, dot, domain, and the terminator */
#define DNS_ZONE_ADDRS_MAX 16

struct dns_zone {
	struct host *host; /* NULL: no /etc/hosts */
	struct ip_addr gateway_addr;
	struct ip_addr guest_addr;	     /* family NONE: none */
	char guest_name[DNS_ZONE_NAME_SIZE]; /* lower case; "" = none */
	char guest_full_name[DNS_ZONE_NAME_SIZE];
};

void dns_zone_init(struct dns_zone *zone, const struct gateway_config *config, struct host *host);

/* True when the question is for us, with the answer in the writer (which must take 512 bytes). */
bool dns_zone_answer(const struct dns_zone *zone, const struct dns_message *query,
		     struct writer *writer) MUST_USE;
