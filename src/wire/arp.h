#pragma once
/* ARP for IPv4 over Ethernet (RFC 826), and nothing else. */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/reader.h"
#include "wire/writer.h"

#define ARP_MESSAGE_SIZE 28

#define ARP_OPERATION_REQUEST 1
#define ARP_OPERATION_REPLY   2

/* Both IP addresses are IPv4 (builder: must be). */
struct arp_message {
	uint16_t operation;
	struct mac_addr sender_mac;
	struct ip_addr sender_ip;
	struct mac_addr target_mac;
	struct ip_addr target_ip;
};

/*
 * Reads the message behind the Ethernet header. False: short, another hardware or protocol type,
 * other address sizes, neither request nor reply. What follows the 28 bytes is padding. Whether the
 * addresses may be claimed by the sender is the caller's question.
 */
bool arp_parse(struct reader *reader, struct arp_message *ret_message) MUST_USE;
void arp_build(struct writer *writer, const struct arp_message *message);
