#pragma once
/* The rate of ICMP errors towards guests (RFC 1812 4.3.2.8): a token bucket a network. */

#include <stdint.h>

struct nat;

#define ICMP_ERRORS_PER_S 100
#define ICMP_ERRORS_BURST 50

struct icmp_error_limit {
	uint64_t filled_ns; /* when the bucket was last filled; 0 = never */
	uint32_t tokens;
};

/* The bucket of a network, kept with its echo flows. */
struct icmp_error_limit *icmp_error_limit_of(struct nat *nat);
