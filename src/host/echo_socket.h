#pragma once
/* The part of an echo packet that UDP does not have. */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define ECHO_SOCKET_HEADER_SIZE 8

/* ICMP and ICMPv6 echo look the same (RFC 792, RFC 4443 4.1). */
struct echo_header {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint16_t ident;
	uint16_t sequence;
};

struct echo_header echo_header_parse(const uint8_t bytes[ECHO_SOCKET_HEADER_SIZE]);
uint8_t echo_request_type(uint8_t family);
uint8_t echo_reply_type(uint8_t family);
