#pragma once
/*
 * The ports that the kernel gives to sockets which ask for any (net.ipv4.ip_local_port_range; IPv6 has the
 * same). All programs of the host draw from them, and when none is left the kernel finds out by trying each,
 * which takes milliseconds: so for a while nobody asks again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/text.h"

#define LOCAL_PORTS_PAUSE_NS (100 * NS_PER_MS)
/* The kernel's own range, 32768 to 60999. */
#define LOCAL_PORTS_DEFAULT 28232

/* How many there are in this network namespace; where it cannot be told, LOCAL_PORTS_DEFAULT. */
uint32_t local_ports_count(void);
/* The text of that file, "32768	60999". False when it is nothing of the kind. */
bool local_ports_parse(struct text_view text, uint32_t *ret_count) MUST_USE;

/* Whether they came to an end lately; each family has its own. Begins as all zero. */
struct local_ports {
	uint64_t pause_end_v4_ns;
	uint64_t pause_end_v6_ns;
};

/* The kernel had none. */
void local_ports_ended(struct local_ports *ports, enum ip_family family, uint64_t now_ns);
/* False: it need not be asked yet. */
bool local_ports_may_ask(const struct local_ports *ports, enum ip_family family, uint64_t now_ns);
