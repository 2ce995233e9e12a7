#pragma once
/*
 * A TCP connection of a guest and the host socket that stands for its far end; the table of them.
 *
 * The guest talks to us as if we were the remote host: towards it each flow is a TCP endpoint of
 * its own, with its own sequence numbers. "Up" is from the guest to the host, "down" is from the
 * host to the guest. How a connection is opened is the phase; how it ends is told by each direction
 * for itself, since each can end first:
 *
 *     phase           | what was done                           | leaves to
 *     CONNECTING      | guest's SYN seen, host connect running  | SYN_RECEIVED, gone
 *     SYN_RECEIVED    | SYN-ACK sent to the guest               | OPEN, gone
 *     SYN_SENT        | SYN sent to the guest (a forward,       | OPEN, SYN_RECEIVED, gone
 *                     | or one of us)                           |
 *     OPEN            | bytes flow                              | TIME_WAIT, ORPHAN, gone
 *     TIME_WAIT       | host socket closed, we closed first     | gone, or reused by a new SYN
 *     ORPHAN          | the guest's port is gone, bytes that it | gone
 *                     | was told to be safe drain to the host   |
 *
 *     up_finished   the guest's FIN was taken: buffer flushed, host socket shut down, FIN
 *                   acknowledged. Before that the FIN is only known (fin_known, fin_sequence).
 *     down          backlog.ended (host's end of stream), then fin_sent, then fin_acknowledged.
 *
 * In RFC 9293's words: up_finished is CLOSE-WAIT, fin_sent FIN-WAIT-1, fin_acknowledged FIN-WAIT-2,
 * both finished CLOSING, LAST-ACK or TIME-WAIT.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/index.h"
#include "base/list.h"
#include "base/siphash.h"
#include "host/host.h"
#include "loop/loop.h"
#include "nat/budget.h"
#include "nat/nat_internal.h"
#include "nat/tcp_backlog.h"
#include "nat/tcp_buffer.h"
#include "nat/tcp_pool.h"

enum tcp_phase {
	TCP_PHASE_FREE,
	TCP_PHASE_CONNECTING,
	TCP_PHASE_SYN_RECEIVED,
	TCP_PHASE_SYN_SENT,
	TCP_PHASE_OPEN,
	TCP_PHASE_TIME_WAIT,
	TCP_PHASE_ORPHAN,
};

/* The scale that we offer: 65535 << 2 holds TCP_BUFFER_CAPACITY and its slack. */
#define TCP_WINDOW_SHIFT 2
#define TCP_MSS_MIN	 64
/* Without window scaling (RFC 7323). */
#define TCP_WINDOW_UNSCALED_MAX UINT32_C(65535)
/* Headers of a segment on the wire: Ethernet, IPv4, TCP, and a length or virtio-net header. */
#define TCP_SEGMENT_OVERHEAD 66
#define TCP_POOL_BLOCKS	     4096
#define TCP_TIME_WAIT_MAX    4096

struct tcp_flow {
	struct tcp_table *table;
	uint32_t next_free;
	uint32_t hash;
	struct ip_endpoint guest;
	struct ip_endpoint remote; /* as the guest sees it */
	struct ip_addr client;	   /* who opened it; family NONE: the guest did */
	struct host_socket socket;
	struct list work_node;	     /* table->work */
	struct list wait_node;	     /* table->parked or table->starved */
	struct list delay_node;	     /* table->delayed */
	struct list age_node;	     /* table->time_wait */
	struct list port_node;	     /* half open: the list of its port */
	struct nat_opening *opening; /* who waits for the guest's answer, or NULL */
	struct timer retransmit;     /* also probes of a closed window */
	struct timer idle;	     /* keepalive, and the end of phases that must not last */
	enum tcp_phase phase;
	uint32_t review;       /* the number of the last one that it passed */
	uint32_t port;	       /* where the guest was heard last */
	uint32_t charged_port; /* whom the flow's budget is taken from */

	bool has_budget;
	bool is_indexed;
	bool is_half_open; /* counted among those */
	bool readable;	   /* the host socket may have bytes, an end or an error */
	bool hung_up;	   /* an end or an error was announced: stays readable until it is read */
	bool urgent;	   /* the host sends urgent bytes: a short read is not the last one */
	bool writable;	   /* false after -EAGAIN, until EPOLLOUT */
	bool send_wanted;  /* work: try to send data */
	bool ack_owed;	   /* work: acknowledge; or it waits in table->delayed */
	bool ping_pong;	   /* the host answers soon what the guest says (tcp_delay.c) */
	bool port_gone;	   /* work: end the flow */
	bool may_peek;	   /* kept until now, and could go over to peek */
	bool wants_peek;   /* it will, once the guest has acknowledged all */
	bool own_service;  /* the far end is the gateway's own (DNS, HTTP) */
	bool own_client;   /* it was opened by the program itself (nat_connect()) */
	bool failed;	   /* the host socket is broken: what is left is sent, then RST */
	bool scaled;	   /* both sides offered window scaling */
	bool fin_known;
	bool up_finished;
	bool fin_sent;
	bool fin_acknowledged;
	bool closed_first; /* our FIN went out before the guest's came */

	/* From the guest (RFC 9293 3.3.1: RCV and IRS) */
	uint32_t receive_initial;
	uint32_t receive_next;
	uint32_t receive_edge;	       /* right edge of the widest window advertised */
	uint32_t receive_acknowledged; /* the last acknowledgement sent */
	uint32_t receive_capacity;     /* of the window */
	uint32_t owed_segments;	       /* with bytes, since that one */
	uint64_t heard_ns;	       /* when the last bytes came; 0 = none yet */
	uint64_t delay_until_ns;
	uint32_t fin_sequence;
	struct tcp_buffer buffer;

	/* To the guest (SND and ISS) */
	uint32_t send_initial;
	uint32_t send_unacknowledged;
	uint32_t send_next; /* goes back when the retransmission timer expires */
	uint32_t send_most; /* behind the last one ever sent */
	uint32_t send_window;
	uint32_t send_window_most;	 /* largest ever offered */
	uint32_t window_sequence;	 /* WL1 */
	uint32_t window_acknowledgement; /* WL2 */
	uint16_t mss;
	uint8_t send_shift;
	struct tcp_backlog backlog;

	/* Congestion (RFC 5681, 6582) and retransmission (RFC 6298) */
	uint32_t congestion_window;
	uint32_t slow_start_threshold;
	uint32_t recover; /* send_most when the fast recovery began */
	uint8_t duplicates;
	bool recovering;
	uint8_t retries;      /* of whatever the retransmit timer repeats */
	uint8_t probes;	      /* keepalive probes without an answer */
	uint8_t stall_checks; /* so often the retransmit timer found the port full, in a row */
	bool measuring;
	uint32_t measured_sequence;
	uint64_t measured_since_ns;
	uint64_t smoothed_ns; /* 0 = no measurement yet */
	uint64_t variation_ns;
	uint64_t timeout_ns; /* RTO, without the backoff */
};

/* RFC 5961 7: what was said in answer to odd segments of one port, in this second. */
struct tcp_challenges {
	uint64_t since_ns;
	uint32_t count;
};

/* Half-open flows of one port that made room for others of it, in this turn of the loop. */
struct tcp_flood {
	uint64_t turn;
	uint32_t same; /* for one to the same address */
	uint32_t all;
};

struct tcp_table {
	struct nat *nat;
	struct tcp_flow *flows;
	uint32_t capacity;
	uint32_t touched; /* entries below were used at least once */
	uint32_t first_free;
	uint32_t live; /* flows that are not in TIME_WAIT */
	struct index index;
	struct tcp_pool pool;
	struct budget half_open_budget;
	struct list *half_open_port; /* [port_capacity + 1], oldest first */
	struct list time_wait;	     /* oldest first */
	uint32_t time_wait_count;
	struct list work;
	struct list parked;  /* the port towards the guest is full */
	struct list starved; /* the pool has no block for them */
	struct list delayed; /* acknowledgements, oldest first */
	struct timer delay;
	struct loop_deferred deferred;
	struct siphash_key initial_key;
	struct tcp_challenges *challenges; /* [port_capacity + 1] */
	struct tcp_flood *floods;	   /* [port_capacity + 1] */
	uint64_t unsent_bytes;
	bool fed;     /* blocks came back while flows starved */
	bool pushing; /* inside nat_push_to_guest() */
	uint8_t scratch[TCP_BACKLOG_GET_MAX];
};

static inline struct tcp_table *tcp_table_of(const struct nat *nat)
{
	return nat->shard.tcp;
}

static inline struct nat *tcp_flow_nat(const struct tcp_flow *flow)
{
	return flow->table->nat;
}

static inline struct host *tcp_flow_host(const struct tcp_flow *flow)
{
	return flow->table->nat->context.host;
}

/* Payload bytes that a segment may have by the network's MTU. */
static inline uint16_t tcp_mss_of_mtu(const struct nat *nat)
{
	return (uint16_t)(nat->config.mtu - 40);
}

/* The endpoints of a flow in a row, for hashing: no longer than their families need, since it is
 * hashed for every segment. */
struct tcp_key {
	uint8_t bytes[2 * (16 + 2)];
	size_t size;
};
struct tcp_key tcp_key_of(const struct ip_endpoint *guest, const struct ip_endpoint *remote);

struct tcp_flow *tcp_flow_find(struct tcp_table *table, const struct ip_endpoint *guest,
			       const struct ip_endpoint *remote);

/*
 * A fresh flow with budget charged to the port, its socket closed, in no index yet, in phase FREE:
 * the caller sets the phase. The oldest flow in TIME_WAIT, or half open where budget is short,
 * gives way. NULL when there is no room.
 */
struct tcp_flow *tcp_flow_new(struct tcp_table *table, uint32_t port);
/* Puts it into the index; the endpoints must not be there. */
void tcp_flow_set_ends(struct tcp_flow *flow, const struct ip_endpoint *guest,
		       const struct ip_endpoint *remote);
/* Gives everything back; the socket must be closed. */
void tcp_flow_free(struct tcp_flow *flow);
/* The endpoints may be used by another flow from now on. */
void tcp_flow_unindex(struct tcp_flow *flow);
void tcp_flow_give_budget(struct tcp_flow *flow);
/* The guest was heard by this port. */
void tcp_flow_set_port(struct tcp_flow *flow, uint32_t port);

/* Older ones give way, of the port that holds the most. False and a counted drop when there is no
 * room whatever goes. */
bool tcp_flow_begin_half_open(struct tcp_flow *flow) MUST_USE;
void tcp_flow_end_half_open(struct tcp_flow *flow);
/* The oldest half-open flow of that port; NULL when there is none. */
struct tcp_flow *tcp_half_open_oldest(struct tcp_table *table, uint32_t port);

/* Where the flow's backlog gets its bytes. */
struct tcp_backlog_source tcp_flow_source(struct tcp_flow *flow);

/* Work at the end of the batch. */
void tcp_flow_want_send(struct tcp_flow *flow);
void tcp_flow_owe_ack(struct tcp_flow *flow);
/* Blocks went back to the pool: flows that wait for some are tried again. */
void tcp_table_feed_starved(struct tcp_table *table);
