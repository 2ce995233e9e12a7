#pragma once
/* The options that say what a guest's network is like: those of every command that makes one. */

#include <argp.h>
#include <stdbool.h>

#include "base/addr.h"
#include "spec/forward_spec.h"
#include "spec/rule_lists.h"
#include "vmnet/vmnet.h"

struct network_options {
	struct forward_specs forwards;
	bool has_subnet;
	struct ip_prefix subnet;
	vmnet_host_access_t host_access;
	struct rule_list allow;
	struct rule_list block;
	const char *capture_path; /* NULL = none */
	uint32_t mtu;		  /* 0 = the default */
	enum vmnet_tcp_backlog tcp_backlog;
	bool has_busy_poll; /* else the default */
	uint32_t busy_poll_us;
	bool is_vmnet; /* an option was given that means this kind of network */
	bool is_host;  /* the gateway and nothing else */
};

/* A child of a command's parser; its input is a struct network_options, all zero. Ends the program
 * with 64 on a usage error. */
extern const struct argp network_options_argp;

/* The MTU that the guest's interface is to have. */
static inline uint32_t network_options_mtu(const struct network_options *options)
{
	return options->mtu != 0 ? options->mtu : 1500;
}

void network_options_done(struct network_options *options);
