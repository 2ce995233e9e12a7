#pragma once
/*
 * The guest's TCP: a small endpoint of its own after RFC 9293, which shares nothing with the one
 * under test but the header codec. It also judges what it hears: a segment beyond the window it
 * gave, above its MSS, an acknowledgement of bytes never sent, a window edge that moves left are
 * `fault`s, since an honest far end does none of these.
 *
 *     rig_tcp.c         open, close, the application
 *     rig_tcp_input.c   segments in
 *     rig_tcp_output.c  segments out, retransmission, probes
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "rig/rig_app.h"
#include "wire/tcp.h"

struct rig_guest;

enum rig_tcp_state {
	RIG_TCP_CLOSED,
	RIG_TCP_SYN_SENT,
	RIG_TCP_SYN_RECEIVED,
	RIG_TCP_OPEN,	   /* each direction for itself: fin_acknowledged, app.heard_end */
	RIG_TCP_FINISHED,  /* both ended in order */
	RIG_TCP_RESET,	   /* by the other side, or app.plan.reset_... */
	RIG_TCP_TIMED_OUT, /* gave up repeating */
};

struct rig_tcp_options {
	uint16_t mss;	      /* 0 = option not sent */
	uint16_t max_segment; /* it sends no larger ones, whatever the other side takes; 0 = any */
	int window_scale;     /* -1 = option not sent */
	uint32_t receive_capacity;
	bool drop_out_of_order;
	bool delay_acks;
	bool probe_with_byte; /* a closed window is probed with a byte of data; else with an old one */
	bool offer_sack;
	bool offer_timestamps;
	bool random_initial;
	uint32_t initial_sequence; /* unless random_initial */
	uint64_t timeout_min_ns;   /* 0 = 200 ms */
	uint32_t timeouts_max;	   /* 0 = 15 */
	uint16_t mtu;		   /* 0 = 1500 */
};

#define RIG_TCP_RANGES 64

struct rig_tcp_range {
	uint32_t start;
	uint32_t end;
};

struct rig_tcp {
	struct rig_guest *guest;
	struct list node;
	struct ip_endpoint local;
	struct ip_endpoint remote;
	struct rig_tcp_options options;
	struct rig_app app;
	enum rig_tcp_state state;
	uint64_t opened_ns;
	uint64_t connected_ns; /* 0 = never */

	/* Sending */
	uint32_t initial;
	uint32_t send_unacknowledged;
	uint32_t send_next;
	uint32_t send_most;
	uint32_t send_window;
	uint32_t send_window_most;
	uint32_t window_sequence;
	uint32_t window_acknowledgement;
	uint32_t congestion_window;
	uint32_t threshold;
	uint32_t recover;
	uint16_t send_mss;
	uint8_t send_shift;
	uint8_t duplicates;
	bool recovering;
	bool fin_sent;
	bool fin_acknowledged;
	uint32_t timeouts;	/* in a row */
	uint64_t round_trip_ns; /* smoothed */
	uint64_t measured_since_ns;
	uint32_t measured_sequence;
	bool measuring;
	struct timer retransmit;
	struct timer persist;

	/* Receiving */
	uint32_t receive_initial;
	uint32_t receive_next;
	uint32_t receive_edge; /* right edge of what was offered */
	uint32_t unread;
	uint32_t ack_pending; /* segments not acknowledged yet */
	uint8_t receive_shift;
	bool fin_known;
	uint32_t fin_sequence;
	uint32_t range_count;
	struct rig_tcp_range range[RIG_TCP_RANGES];
	struct timer ack_timer;

	/* What the other side offered, seen before the link can mix it up. */
	bool edge_seen;
	uint32_t edge;
	uint8_t edge_shift;

	uint64_t retransmissions; /* of SYN and bytes; a lone FIN is not counted */
	uint64_t segments_heard;
	uint64_t window_probes;
	const char *fault; /* the first; NULL = none */
};

/* Connects. The connection belongs to the caller and is in the guest's table until rig_tcp_done. */
void rig_tcp_connect(struct rig_tcp *tcp, struct rig_guest *guest, const struct ip_endpoint *local,
		     const struct ip_endpoint *remote, const struct rig_tcp_options *options,
		     const struct rig_app_plan *plan);
/* Ready to take a SYN for `local` from anywhere; it becomes that connection. */
void rig_tcp_listen(struct rig_tcp *tcp, struct rig_guest *guest, const struct ip_endpoint *local,
		    const struct rig_tcp_options *options, const struct rig_app_plan *plan);
/* Forgets the connection at once, as a crash does: nothing is sent. */
void rig_tcp_done(struct rig_tcp *tcp);
/* RST towards the other side. */
void rig_tcp_abort(struct rig_tcp *tcp);

/* Both directions ended in order, and the app heard what it should. */
bool rig_tcp_is_content(const struct rig_tcp *tcp);
bool rig_tcp_is_over(const struct rig_tcp *tcp);
const char *rig_tcp_state_name(enum rig_tcp_state state);

/* For rig_guest.c */
void rig_tcp_input(struct rig_tcp *tcp, const struct ip_endpoint *from,
		   const struct tcp_header *header, const uint8_t *payload, size_t size);
/* A segment is put on the wire towards this connection. */
void rig_tcp_observe(struct rig_tcp *tcp, const struct tcp_header *header, size_t size);
