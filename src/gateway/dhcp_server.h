#pragma once
/*
 * The DHCPv4 server (RFC 2131). It is the only one on its network, so it also answers what RFC 2131
 * leaves to silence for the sake of other servers: a client that asks for an address that it cannot
 * have gets a NAK and starts anew.
 */

struct frame;
struct gateway;

/* Any UDP packet from port 68 to port 67, checksum verified, by broadcast or to the gateway. */
void dhcp_server_input(struct gateway *gateway, const struct frame *frame);
