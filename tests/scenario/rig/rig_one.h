#pragma once
/* A scenario with one TCP connection, from the guest to a server of the world or, by a forward,
 * from a client to the guest. */

#include "rig/rig.h"

#define RIG_ONE_PORT	40000
#define RIG_ONE_SERVER	80
#define RIG_ONE_FORWARD 2222

struct rig_one {
	struct rig *rig;
	struct rig_server server;
	struct rig_tcp tcp;
	struct rig_tcp_options options;
	struct rig_app_plan guest;
	struct rig_peer_plan host;
	struct rig_peer *peer;
};

/* Plain options, an empty plan at both ends that fits together: change them, then open. */
void rig_one_init(struct rig_one *one, const struct rig_config *config);
/* Says what both ends send; each expects what the other says. */
void rig_one_sizes(struct rig_one *one, uint64_t from_guest, uint64_t from_host);
void rig_one_connect(struct rig_one *one);
void rig_one_accept(struct rig_one *one);
/* Runs until the handshake is done at both ends; false when it is not within 10 s. */
bool rig_one_is_open(struct rig_one *one);
/* Runs until both ends are over, then until nothing is left. NULL = well, else what is wrong. */
const char *rig_one_finish(struct rig_one *one, uint64_t within_ns);
/* Runs until nothing is left, TIME_WAIT included. NULL = well, else what is left. */
const char *rig_one_wait_clean(struct rig_one *one, uint64_t within_ns);
void rig_one_done(struct rig_one *one);
/* A segment of the guest's connection by hand: numbers as it would use now. */
struct rig_raw rig_one_raw(const struct rig_one *one, uint8_t flags);
void rig_one_send_raw(struct rig_one *one, const struct rig_raw *raw);
