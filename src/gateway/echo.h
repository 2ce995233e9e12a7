#pragma once
/* Ping to the gateway, and the ICMP errors that it sends itself. */

#include <stdint.h>

struct frame;
struct gateway;

/* An echo request to the gateway's address, checksum verified. The reply has the same data, in
 * fragments where the request came in some. */
void echo_reply(struct gateway *gateway, const struct frame *frame);

/* Tells the sender that its packet was dropped here. Nothing is sent about packets that may not be
 * answered (RFC 1122 3.2.2) nor beyond the rate limit (RFC 1812 4.3.2.8). */
void echo_send_error(struct gateway *gateway, const struct frame *frame, uint8_t type,
		     uint8_t code);
