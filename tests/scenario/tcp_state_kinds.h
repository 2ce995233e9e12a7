#pragma once
/*
 * The table of test_tcp_states.c: what NAT's TCP does in each state of RFC 9293 3.3.2 with each kind
 * of segment from a guest. One letter a cell; the rows are RFC 9293 3.10.7 with the checks of
 * RFC 5961.
 *
 *     .   silence, nothing changes               N   a new connection: the host is asked
 *     A   an ACK, nothing changes                S   SYN-ACK (again)
 *     R   RST in answer, nothing changes         O   the handshake is complete
 *     E   the connection ends, without a word    T   the bytes are taken and acknowledged
 *     W   our FIN is acknowledged                F   the FIN is taken and acknowledged
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/tcp.h"

enum lab_state {
	NO_FLOW,
	CONNECTING, /* ours: SYN heard, the host is asked, nothing answered yet */
	SYN_RECEIVED,
	SYN_SENT,
	ESTABLISHED,
	FIN_WAIT_1,
	FIN_WAIT_2,
	CLOSE_WAIT,
	CLOSING,
	LAST_ACK,
	TIME_WAIT,
	LAB_STATES,
};

static const char *const state_name[LAB_STATES] = {
	"no flow",    "connecting", "SYN-RECEIVED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",	    "LAST-ACK", "TIME-WAIT",
};

/* Where the numbers of a segment come from. */
enum base {
	AT_NEXT,    /* the guest's next sequence number */
	AT_EDGE,    /* the right edge of the window */
	AT_INITIAL, /* the guest's SYN */
};

enum ack {
	ACK_NONE,
	ACK_ALL,     /* all that was sent, FIN and SYN, too */
	ACK_UNACKED, /* the first number that is not acknowledged */
	ACK_USUAL,   /* as the guest would: the handshake's where that is open, else UNACKED */
};

struct kind {
	const char *name;
	const char *reaction; /* a letter for each state, in order */
	uint8_t flags;
	enum base base;
	int32_t sequence; /* from the base */
	enum ack ack;
	int32_t ack_by;
	size_t size;
	bool bad_checksum;
	uint16_t urgent;
};

/* clang-format off */
static const struct kind kinds[] = {
	/* The letters stand for: no flow, connecting, SYN-RECEIVED, SYN-SENT, ESTABLISHED,
	 * FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT.
	 *
	 * Where we are laxer than the RFC: in SYN-RECEIVED a segment a little left of the window
	 * completes the handshake when its ACK is right (it would be dropped and acknowledged); in
	 * CLOSING and LAST-ACK a new SYN counts as in TIME-WAIT, since only the guest can send it. */

	/* A repeated SYN stands left of the window: challenged (RFC 5961 4.2). In SYN-SENT both sides
	 * opened at once (RFC 9293 3.5). */
	{ .name = "SYN again", .reaction = "N.SSAAAAAAA", .flags = TCP_SYN, .base = AT_INITIAL },
	/* Where both streams are complete the guest may use its port again (RFC 9293 3.6.1). */
	{ .name = "SYN anew", .reaction = "N.ASAAAANNN", .flags = TCP_SYN, .sequence = 1000 },
	{ .name = "SYN anew with data", .reaction = "N.ASAAAANNN", .flags = TCP_SYN,
	  .sequence = 1000, .size = 10 },
	{ .name = "SYN-ACK", .reaction = "R.AOAAAAAAA", .flags = TCP_SYN | TCP_ACK,
	  .ack = ACK_ALL },
	{ .name = "SYN-ACK of nothing sent", .reaction = "R.ARAAAAAAA", .flags = TCP_SYN | TCP_ACK,
	  .ack = ACK_ALL, .ack_by = 1 },

	{ .name = "ACK again", .reaction = "R.RR.......", .flags = TCP_ACK, .ack = ACK_UNACKED },
	{ .name = "ACK of all", .reaction = "R.O..W..WE.", .flags = TCP_ACK, .ack = ACK_ALL },
	{ .name = "ACK old", .reaction = "R.RR.......", .flags = TCP_ACK, .ack = ACK_UNACKED,
	  .ack_by = -100 },
	/* RFC 5961 5.2: older than the largest window ever seen. */
	{ .name = "ACK far too old", .reaction = "R.RRAAAAAA.", .flags = TCP_ACK,
	  .ack = ACK_UNACKED, .ack_by = -(1 << 30) },
	{ .name = "ACK of the future", .reaction = "R.RRAAAAAA.", .flags = TCP_ACK, .ack = ACK_ALL,
	  .ack_by = 1 },
	{ .name = "keepalive probe", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK, .sequence = -1,
	  .ack = ACK_USUAL },

	{ .name = "data in order", .reaction = "R.T.TTTAAAA", .flags = TCP_ACK | TCP_PSH,
	  .ack = ACK_USUAL, .size = 10 },
	/* Urgent data is data (RFC 6093; CVE-2026-9539). */
	{ .name = "data, urgent", .reaction = "R.T.TTTAAAA", .flags = TCP_ACK | TCP_URG,
	  .ack = ACK_USUAL, .size = 10, .urgent = 5 },
	{ .name = "data, urgent beyond its end", .reaction = "R.T.TTTAAAA",
	  .flags = TCP_ACK | TCP_URG, .ack = ACK_USUAL, .size = 10, .urgent = 65535 },
	{ .name = "data out of order", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK,
	  .sequence = 10, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data overlapping the left edge", .reaction = "R.T.TTTAAAA", .flags = TCP_ACK,
	  .sequence = -5, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data left of the window", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK,
	  .sequence = -10, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data across the right edge", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK,
	  .base = AT_EDGE, .sequence = -5, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data beyond the window", .reaction = "R.A.AAAAAAA", .flags = TCP_ACK,
	  .base = AT_EDGE, .sequence = 1000, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data from half the circle away", .reaction = "R.A.AAAAAAA", .flags = TCP_ACK,
	  .sequence = INT32_MIN, .ack = ACK_USUAL, .size = 10 },
	{ .name = "data without ACK", .reaction = "R..........", .flags = TCP_PSH, .size = 10 },
	{ .name = "data with a bad checksum", .reaction = "...........",
	  .flags = TCP_ACK | TCP_PSH, .ack = ACK_USUAL, .size = 10, .bad_checksum = true },

	{ .name = "FIN in order", .reaction = "R.F.FFFAAAA", .flags = TCP_ACK | TCP_FIN,
	  .ack = ACK_USUAL },
	{ .name = "FIN again", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK | TCP_FIN,
	  .sequence = -1, .ack = ACK_USUAL },
	{ .name = "FIN with a gap", .reaction = "R.O.AAAAAAA", .flags = TCP_ACK | TCP_FIN,
	  .sequence = 10, .ack = ACK_USUAL },
	{ .name = "FIN beyond the window", .reaction = "R.A.AAAAAAA", .flags = TCP_ACK | TCP_FIN,
	  .base = AT_EDGE, .sequence = 1000, .ack = ACK_USUAL },
	{ .name = "FIN without ACK", .reaction = "R..........", .flags = TCP_FIN },

	/* RFC 5961 3.2: only the exact number resets. */
	{ .name = "RST exact", .reaction = ".EE.EEEEEEE", .flags = TCP_RST },
	{ .name = "RST-ACK", .reaction = ".EEEEEEEEEE", .flags = TCP_RST | TCP_ACK,
	  .ack = ACK_ALL },
	{ .name = "RST-ACK of nothing sent", .reaction = ".EE.EEEEEEE",
	  .flags = TCP_RST | TCP_ACK, .ack = ACK_ALL, .ack_by = 1 },
	{ .name = "RST in the window", .reaction = "..A.AAAAAAA", .flags = TCP_RST, .sequence = 1 },
	{ .name = "RST at the right edge", .reaction = "...........", .flags = TCP_RST,
	  .base = AT_EDGE },
	{ .name = "RST beyond the window", .reaction = "...........", .flags = TCP_RST,
	  .base = AT_EDGE, .sequence = 1000 },
	{ .name = "RST left of the window", .reaction = "...........", .flags = TCP_RST,
	  .sequence = -2 },

	{ .name = "no flags", .reaction = "R..........", .flags = 0 },
	{ .name = "all flags", .reaction = "...........", .flags = 0xff, .ack = ACK_ALL },
	{ .name = "SYN and FIN", .reaction = "...........", .flags = TCP_SYN | TCP_FIN },
	{ .name = "SYN and RST", .reaction = "...........", .flags = TCP_SYN | TCP_RST },
};
/* clang-format on */
