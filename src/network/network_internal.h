#pragma once
/*
 * A live network: the stages, the thread that runs them, and what the public calls need.
 *
 *     create.c     reserve, build, bind, start; or fail whole     stages.c    who pushes into whom
 *     lifetime.c   retain, release, drain                         ports.c     attach, detach
 *     forwards.c   add, remove, list                              inspect.c   statistics and so on
 *     connect.c    connections to guests              policy.c    rules: compile, put in force, list
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "attach/attachment.h"
#include "base/drop.h"
#include "base/list.h"
#include "base/log.h"
#include "bridge/bridge.h"
#include "capture/capture.h"
#include "filter/filter.h"
#include "gateway/gateway.h"
#include "host/host.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "network/configuration.h"
#include "network/informant_client.h"
#include "registry/registry.h"

#define NETWORK_MAX_PORTS 256

/* A slot for one attachment; slots are found by their bridge port. */
struct network_port {
	struct attachment *attachment; /* NULL = free */
	int fd;			       /* that it was given */
	vmnet_port_t id;	       /* never used twice in a network's life */
	struct vmnet_port_options options;
	bool closed; /* its attachment reported so; reaped at the end of the batch */
	char reason[128];
};

/* A bound socket of a forward; kept in the order added. */
struct network_forward {
	struct list node;
	struct vmnet_port_forward bound;
};

/*
 * The thread owns everything from `loop` to `capture` once it runs; other threads reach it by
 * loop_call(). The rest never changes after create, or is guarded as said.
 */
struct vmnet_network {
	atomic_uint references;
	struct vmnet_network_configuration config; /* a copy without descriptors and lists */
	struct registry *registry;
	struct registry_holding *holding;
	struct informant_client *informant; /* reads for us; NULL = we do it ourselves */
	struct ip_prefix subnet;
	struct ip_addr gateway_addr;
	struct mac_addr gateway_mac;
	struct gateway_reservation reservations[GATEWAY_MAX_RESERVATIONS];
	uint32_t reservation_count;

	uint32_t forward_sockets; /* of those that create binds, at most */

	/* Guards the list and the calls that change it. */
	pthread_mutex_t forwards_lock;
	struct list forwards;

	struct log log;
	struct drop_counters drops;
	struct loop *loop;
	struct host *host;
	struct filter *filter; /* NULL = no rules */
	struct bridge *bridge;
	struct gateway *gateway;
	struct nat *nat;
	struct capture *capture;
	uint32_t port_capacity;
	struct network_port *ports; /* [port_capacity], by bridge port */
	vmnet_port_t last_port_id;
	struct loop_deferred reap;

	struct call_guard *call_guard; /* a thread beside ours */
	bool thread_runs;
	pthread_t thread;
	struct timer drain;
	uint64_t drain_until_ns;
};

/* What the host's tools show: the label, or a word where there is none. */
static inline const char *network_name(const struct vmnet_network *network)
{
	return network->config.label[0] ? network->config.label : "vmnet";
}

/* stages.c: builds the stages and joins their doors. `asked` has what network->config leaves out: the
 * descriptor, the documents. Negative errno with a sentence. */
int network_stages_new(struct vmnet_network *network,
		       const struct vmnet_network_configuration *asked, struct error *err) MUST_USE;
void network_stages_free(struct vmnet_network *network);

/* policy.c: the filter; the network's port capacity and gateway are known. */
int network_new_filter(struct vmnet_network *network,
		       const struct vmnet_network_configuration *asked, struct error *err) MUST_USE;
/* What is open of the host, with what the rules say of @host. */
enum nat_host_access network_host_access(const struct vmnet_network *network);
/* For NAT and the gateway; the context is the network. */
bool network_admits_flow(void *context, const struct nat_question *question);
bool network_admits_service(void *context, uint8_t protocol, uint16_t port);

/* lifetime.c: frees a network, complete or half built, whose thread does not run. */
void network_free(struct vmnet_network *network);
/* Starts the thread, and the guard's before it. */
int network_start(struct vmnet_network *network, struct error *err) MUST_USE;

/* ports.c: in the network's thread. */
void network_port_closed(void *context, uint32_t index, const char *reason);
void network_port_writable(void *context, uint32_t port);
void network_reap_ports(struct loop_deferred *deferred);
void network_remove_all_ports(struct vmnet_network *network);

/*
 * forwards.c: binds one forward, as one socket or as one per family, and records it. `run` calls a
 * function in the thread that owns the stages. Nothing stays bound on failure.
 */
int network_bind_forward(struct vmnet_network *network, const struct vmnet_port_forward *forward,
			 struct vmnet_port_forward *ret_bound, struct error *err) MUST_USE;
void network_forget_forwards(struct vmnet_network *network);

/* Runs call(context) in the network's thread, or at once while there is none yet. */
int network_run(struct vmnet_network *network, void (*call)(void *context), void *context) MUST_USE;
