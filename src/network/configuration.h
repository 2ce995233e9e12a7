#pragma once
/*
 * What a network is asked to be. Every setter judges its input at entry and leaves a sentence; what
 * depends on the subnet that is only known later (an automatic one) is judged again by
 * configuration_complete().
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"
#include "gateway/gateway.h"
#include "network/policy.h"
#include "vmnet/vmnet.h"

#define CONFIGURATION_MAX_FORWARDS     4096
#define CONFIGURATION_MAX_DOCUMENTS    64
#define CONFIGURATION_DOCUMENT_BYTES   (1U << 20)
#define CONFIGURATION_DOCUMENT_PATH    255
#define CONFIGURATION_LABEL_SIZE       (64 * 4 + 1)
#define CONFIGURATION_KEY_SIZE	       256
#define CONFIGURATION_PATH_SIZE	       4096
#define CONFIGURATION_MTU_MIN	       576
#define CONFIGURATION_MTU_MAX	       65520
#define CONFIGURATION_BUSY_POLL_US     50
#define CONFIGURATION_BUSY_POLL_MAX_US 1000

struct vmnet_network_configuration {
	vmnet_mode_t mode;
	struct ip_prefix subnet; /* canonical; family NONE = automatic */
	uint8_t prefix_length;
	uint32_t mtu;
	uint32_t busy_poll_us;
	bool nat;
	bool dhcp;
	bool dns;
	vmnet_host_access_t host_access;
	bool allow_metadata;
	bool udp_endpoint_independent_filtering;
	char label[CONFIGURATION_LABEL_SIZE];
	char key[CONFIGURATION_KEY_SIZE]; /* "" = no assignment */
	struct mac_addr seed;
	char state_directory[CONFIGURATION_PATH_SIZE]; /* "" = the default */
	char runtime_directory[CONFIGURATION_PATH_SIZE];
	char hostname[GATEWAY_NAME_SIZE];
	int capture_fd;	  /* a duplicate; -1 = none */
	int informant_fd; /* likewise */
	void (*log_callback)(void *context, enum vmnet_log_level level, const char *line);
	void *log_context;
	int (*before_thread)(void *context, char error[512]);
	void *before_thread_context;
	/* An address of family NONE is chosen when the subnet is known. */
	struct gateway_reservation reservations[GATEWAY_MAX_RESERVATIONS];
	uint32_t reservation_count;
	struct vmnet_port_forward *forwards;
	size_t forward_count;
	struct gateway_document
		documents[CONFIGURATION_MAX_DOCUMENTS]; /* path, bytes: own memory */
	size_t document_count;
	size_t document_bytes;
	struct policy_rules rules;
	struct error error;
};

/*
 * Chooses the addresses of reservations that asked for any, `guest` for the first of them, and
 * judges all against the subnet. *reservations has config->reservation_count items, a copy of the
 * configuration's. Negative errno with a sentence.
 */
int configuration_complete(const struct vmnet_network_configuration *config,
			   const struct ip_prefix *subnet, const struct ip_addr *guest,
			   struct gateway_reservation *reservations, struct error *err) MUST_USE;

/* False when the address can be no guest's in that subnet: outside, network, gateway, broadcast. The
 * sentence speaks of a reservation. */
bool configuration_judge_address(const struct ip_prefix *subnet, const struct ip_addr *addr,
				 struct error *err) MUST_USE;

/* Judges a forward as add_port_forward does, without looking at others. */
bool configuration_judge_forward(const struct vmnet_port_forward *forward,
				 struct error *err) MUST_USE;

/* A label as set_label keeps it: the first 64 characters. False when it is none: blank, not UTF-8,
 * or with control characters. */
bool configuration_cut_label(const char *text, char ret_label[CONFIGURATION_LABEL_SIZE],
			     struct error *err) MUST_USE;

/* The status of the public API for a negative errno. */
vmnet_return_t configuration_status_of(int negative_errno);

struct mac_addr configuration_mac(const ether_addr_t *addr);
