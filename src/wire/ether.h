#pragma once
/* The Ethernet II header (RFC 894). VLAN tags are not looked into. */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define ETHER_HEADER_SIZE 14

#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_ARP	0x0806
#define ETHER_TYPE_IPV6 0x86dd

struct ether_header {
	struct mac_addr destination;
	struct mac_addr source;
	uint16_t type;
};

/* Leaves the reader behind the header. False: fewer than 14 bytes. */
bool ether_parse(struct reader *reader, struct ether_header *ret_header) MUST_USE;
/* A lack of room is the writer's sticky failure. */
void ether_build(struct writer *writer, const struct ether_header *header);
