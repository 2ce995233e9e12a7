#pragma once
/*
 * The filter of a network: who a guest may be (frame by frame, before the bridge) and whom it may talk
 * to (flow by flow, when NAT or the gateway is about to begin one).
 *
 *     attach -> filter_port_add()'s sink -> bridge           filter_judge_source()
 *     nat, gateway: may this flow begin, may it go on? ->    filter_admits()
 *
 * Flows are what NAT has: each packet belongs to one of them or begins one, so a packet of a flow needs no
 * look at the rules, however many there are. Another policy is asked about the flows that are there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/drop.h"
#include "filter/filter_policy.h"
#include "loop/loop.h"
#include "wire/frame_sink.h"

struct filter;

struct filter_config {
	struct ip_addr gateway; /* @host */
	uint32_t port_capacity;
	bool has_documents; /* the gateway serves some by HTTP, TCP port 80 */
	bool host_is_open;  /* without a rule that says so */
	/* Whose address that MAC's is now; false: it may not be here at all. An address of no family: it has
	 * none yet. */
	bool (*address_of)(void *context, const struct mac_addr *mac, struct ip_addr *ret_addr,
			   uint64_t *ret_until_ns);
	/* What address_of() said holds until that time, or until this is another number. */
	uint32_t (*address_changes)(void *context);
	void *context;
	struct loop *loop; /* borrowed, for the time */
};

/* drops is borrowed, the policy is taken over. 0 or -ENOMEM: then it is still the caller's. */
int filter_new(const struct filter_config *config, struct filter_policy *policy,
	       struct drop_counters *drops, struct filter **ret_filter) MUST_USE;
struct filter *filter_free(struct filter *filter);

/* Puts another policy (taken over) in the place of the one that is there, which is freed. */
void filter_set_policy(struct filter *filter, struct filter_policy *policy);
const struct filter_policy *filter_policy_of(const struct filter *filter);

/* A port of the bridge: where its attachment pushes what is judged and goes on to `to_bridge`. The first MAC
 * that may be here is the port's until it is removed. */
struct frame_sink *filter_port_add(struct filter *filter, uint32_t port,
				   struct frame_sink *to_bridge);
void filter_port_remove(struct filter *filter, uint32_t port);

struct filter_question {
	enum filter_direction direction;
	uint8_t protocol;      /* of IP */
	struct ip_addr remote; /* as the guest names it; who calls the guest */
	uint16_t port;	       /* of the remote; 0 for protocols without */
	bool to_host; /* out, to what listens on the host; the remote is the gateway then */
};
/*
 * Without a rule: out into the world and to the gateway, not to private addresses; in from everywhere.
 * What the gateway offers, DNS and documents, is reached unless a rule is about this very address. DHCP (UDP port
 * 67) is answered by the gateway before anybody is asked; out into the world it never goes.
 * What listens on the host is open where a rule for the gateway's very address allows that port, or by itself
 * (host_is_open); and nowhere where a rule blocks it.
 */
bool filter_admits(const struct filter *filter, const struct filter_question *question);
