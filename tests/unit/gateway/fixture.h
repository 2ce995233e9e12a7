#pragma once
/*
 * A gateway between two ends that keep what is pushed into them, with a clock that the test moves.
 * The network is 172.16.9.0/24 (or what the test changes before fixture_start), gateway .1, the
 * first reservation .2 for MAC 02:00:00:00:00:02.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_host.h"
#include "gateway/gateway.h"
#include "wire/frame.h"
#include "wire/packet_build.h"

#define FIXTURE_FRAMES	   64
#define FIXTURE_FRAME_SIZE FRAME_MAX_SIZE

struct fixture_sink {
	struct frame_sink sink;
	unsigned pushed;
	unsigned flushed;
	/* The last frames, in a ring. */
	size_t size[FIXTURE_FRAMES];
	uint8_t *bytes[FIXTURE_FRAMES];
};

struct fixture {
	struct clock clock;
	uint64_t now_ns;
	struct random_seeded random;
	struct drop_counters drops;
	struct fake_host host;
	struct fixture_sink to_bridge;
	struct fixture_sink to_nat;
	struct loop *loop;
	struct gateway_config config;
	struct gateway *gateway;
};

extern const struct mac_addr fixture_mac_gateway;
/* 02:00:00:00:00:NUMBER */
struct mac_addr fixture_mac(uint8_t number);
/* 172.16.9.NUMBER */
struct ip_addr fixture_addr(uint8_t number);
struct ip_addr fixture_parse(const char *addr);

/* Everything but the gateway. */
struct fixture *fixture_new(void);
/* The gateway, from fixture->config. */
void fixture_start(struct fixture *fixture);
struct fixture *fixture_free(struct fixture *fixture);

/* cmocka's setup and teardown: a started gateway with DHCP, DNS and two resolvers. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Time goes on, in steps of at most 100 ms, with the loop running at each. */
void fixture_advance(struct fixture *fixture, uint64_t ms);

/* A guest sends these bytes, or a frame that was built, through the given port. */
void fixture_send_bytes(struct fixture *fixture, uint32_t port, const void *bytes, size_t size);
void fixture_send_frame(struct fixture *fixture, uint32_t port, const struct frame *frame);
/* Guest mac at addr sends a UDP datagram to the gateway's MAC. */
void fixture_send_udp(struct fixture *fixture, uint32_t port, const struct mac_addr *mac,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const void *payload, size_t size);

/* The frame pushed `back` frames before the last, dissected anew. */
void fixture_frame(const struct fixture_sink *sink, unsigned back, struct frame *ret_frame);
/* The payload of such a frame; returns its size. */
size_t fixture_payload(const struct fixture_sink *sink, unsigned back, void *ret_bytes,
		       size_t capacity);
/* A DNS query; edns_size 0 = without an OPT record. Returns its size. */
size_t fixture_query(uint8_t *ret_bytes, size_t capacity, uint16_t id, const char *name,
		     uint16_t type, uint16_t edns_size);
/* Sum of all drops. */
uint64_t fixture_drops(const struct fixture *fixture);
