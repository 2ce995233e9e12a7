#pragma once
/* What the files of the guest's TCP call of each other. */

#include "rig/rig_guest.h"
#include "rig/rig_tcp.h"

#define RIG_TCP_DELAYED_ACK_NS (40 * NS_PER_MS)

static inline void rig_tcp_fault(struct rig_tcp *tcp, const char *what)
{
	if (!tcp->fault)
		tcp->fault = what;
}

static inline struct timers *rig_tcp_timers(const struct rig_tcp *tcp)
{
	return loop_timers(tcp->app.time->loop);
}

/* Position in the app's stream of a sequence number at or behind the SYN. */
static inline uint64_t rig_tcp_position(uint32_t sequence, uint32_t initial)
{
	return (uint64_t)(uint32_t)(sequence - initial - 1);
}

/* The other side's FIN came, with all before it. */
static inline bool rig_tcp_has_fin(const struct rig_tcp *tcp)
{
	return tcp->fin_known && tcp->receive_next == tcp->fin_sequence + 1;
}

/* rig_tcp_output.c */
void rig_tcp_timers_init(struct rig_tcp *tcp);
void rig_tcp_timers_clear(struct rig_tcp *tcp);
void rig_tcp_send_syn(struct rig_tcp *tcp);
void rig_tcp_send_ack(struct rig_tcp *tcp);
void rig_tcp_send_reset(struct rig_tcp *tcp);
/* All that may leave now. */
void rig_tcp_send(struct rig_tcp *tcp);
/* The first segment that is not acknowledged, once more. */
void rig_tcp_send_head(struct rig_tcp *tcp);
void rig_tcp_restart_timer(struct rig_tcp *tcp);
/* Window that may be offered now, in bytes. */
uint32_t rig_tcp_window(const struct rig_tcp *tcp);

/* rig_tcp.c */
void rig_tcp_start_stream(struct rig_tcp *tcp);
void rig_tcp_take_syn(struct rig_tcp *tcp, const struct tcp_header *header);
/* Reads for the app what is in order, and tells of a window that opened. */
void rig_tcp_read(struct rig_tcp *tcp);
void rig_tcp_end(struct rig_tcp *tcp, enum rig_tcp_state state);
void rig_tcp_check_finished(struct rig_tcp *tcp);
