#pragma once
/* DHCPv4 messages (RFC 2131, 2132; long options RFC 3396). The server is in gateway/. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/writer.h"

#define DHCP_PORT_SERVER 67
#define DHCP_PORT_CLIENT 68

#define DHCP_FIXED_SIZE 240 /* BOOTP fields and the magic cookie */
#define DHCP_REPLY_MIN	300 /* old relays and clients drop less (RFC 1542 2.1) */
/* What every client takes: 576 bytes of IP (RFC 2131 2). */
#define DHCP_REPLY_ALWAYS_TAKEN 548
#define DHCP_LEASE_INFINITE	UINT32_MAX
/* The longest option value that we keep; a longer (concatenated) one is malformed here. */
#define DHCP_OPTION_MAX	     255
#define DHCP_MAX_DNS_SERVERS 8

#define DHCP_OP_REQUEST 1
#define DHCP_OP_REPLY	2

enum dhcp_type {
	DHCP_TYPE_NONE = 0, /* plain BOOTP */
	DHCP_TYPE_DISCOVER = 1,
	DHCP_TYPE_OFFER = 2,
	DHCP_TYPE_REQUEST = 3,
	DHCP_TYPE_DECLINE = 4,
	DHCP_TYPE_ACK = 5,
	DHCP_TYPE_NAK = 6,
	DHCP_TYPE_RELEASE = 7,
	DHCP_TYPE_INFORM = 8,
};

#define DHCP_OPTION_PAD		 0
#define DHCP_OPTION_MASK	 1
#define DHCP_OPTION_ROUTER	 3
#define DHCP_OPTION_DNS		 6
#define DHCP_OPTION_HOSTNAME	 12
#define DHCP_OPTION_DOMAIN	 15
#define DHCP_OPTION_MTU		 26
#define DHCP_OPTION_BROADCAST	 28
#define DHCP_OPTION_REQUESTED_IP 50
#define DHCP_OPTION_LEASE	 51
#define DHCP_OPTION_OVERLOAD	 52
#define DHCP_OPTION_TYPE	 53
#define DHCP_OPTION_SERVER_ID	 54
#define DHCP_OPTION_PARAMETERS	 55
#define DHCP_OPTION_MESSAGE	 56
#define DHCP_OPTION_MAX_SIZE	 57
#define DHCP_OPTION_T1		 58
#define DHCP_OPTION_T2		 59
#define DHCP_OPTION_CLIENT_ID	 61
#define DHCP_OPTION_END		 255

/* Raw bytes of an option: not terminated, anything may be in them. size 0 = not given. */
struct dhcp_bytes {
	uint8_t size;
	uint8_t bytes[DHCP_OPTION_MAX];
};

/* A message as read. Addresses in fixed fields are IPv4, 0.0.0.0 where the client has none; an
 * address from an option has family NONE where the option is missing. */
struct dhcp_message {
	uint8_t op;
	uint8_t hops;
	uint32_t xid;
	uint16_t secs;
	bool broadcast; /* answer by broadcast, the client cannot take unicast yet */
	struct ip_addr ciaddr;
	struct ip_addr yiaddr;
	struct ip_addr siaddr;
	struct ip_addr giaddr;
	struct mac_addr chaddr;

	enum dhcp_type type;
	struct ip_addr requested_ip;
	struct ip_addr server_id;
	bool has_lease;
	uint32_t lease_s;
	/* 0 = not given, else at least 576; IP and UDP headers included (RFC 2132 9.10). */
	uint16_t max_message_size;
	struct dhcp_bytes client_id;
	struct dhcp_bytes hostname;
	struct dhcp_bytes parameters; /* the option numbers that the client asks for */
};

/*
 * Reads the UDP payload. False: shorter than 240 bytes, neither request nor reply, not Ethernet
 * (htype 1, hlen 6), no magic cookie, an option cut short, a value that is too long or has the
 * wrong size, an unknown message type. A missing end option is tolerated (so do all servers).
 * Options are taken from file and sname too where option 52 says so (RFC 2131 4.1), and pieces of
 * one option are joined (RFC 3396).
 */
bool dhcp_parse(const void *bytes, size_t size, struct dhcp_message *ret_message) MUST_USE;

/* The joined value of one option by its number. False: not there, malformed message, or longer
 * than 255 bytes. */
bool dhcp_find_option(const void *bytes, size_t size, uint8_t code,
		      struct dhcp_bytes *ret_value) MUST_USE;

/* A server's answer. What is zero, NULL or of family NONE is left out. Texts are borrowed. */
struct dhcp_reply {
	enum dhcp_type type; /* OFFER, ACK, NAK */
	uint32_t xid;
	bool broadcast;
	struct ip_addr ciaddr;
	struct ip_addr yiaddr;
	struct ip_addr siaddr;
	struct ip_addr giaddr;
	struct mac_addr chaddr;

	struct ip_addr server_id;
	bool has_lease; /* an answer to INFORM has none of the three times (RFC 2131 4.3.5) */
	uint32_t lease_s;
	uint32_t t1_s;
	uint32_t t2_s;
	struct ip_addr mask; /* as an address: 255.255.255.252 */
	struct ip_addr router;
	struct ip_addr broadcast_addr;
	uint16_t mtu;
	const struct dhcp_bytes *client_id; /* returned as it came (RFC 6842) */
	struct ip_addr dns[DHCP_MAX_DNS_SERVERS];
	uint8_t dns_count;
	const char *domain;
	const char *hostname;
	const char *message; /* NAK: why */
};

/*
 * Writes at most the writer's room (give it min(max message size - 28, buffer), at least 548) and
 * pads to 300 bytes. Type, server id, times, mask, router and client id must fit; the others are
 * left out where room ends, and texts over 255 bytes always. False: no room, or an address that is
 * not IPv4.
 */
bool dhcp_build_reply(struct writer *writer, const struct dhcp_reply *reply) MUST_USE;
