#pragma once
/*
 * The system calls that a room makes while a network runs, for whoever lets a process have no others: each room that
 * makes any has a list beside the code that does, ROOM/system_calls.c. A call that is needed only to make a network,
 * while everything may still be opened, is not in it.
 */

#include <stddef.h>
#include <stdint.h>

#define SYSTEM_CALL_CONDITIONS 3

/* Of an argument (0 is the first): its bits under mask have that value. mask 0: none. */
struct system_call_condition {
	unsigned argument;
	uint64_t mask;
	uint64_t value;
};

/* An argument that the kernel takes as an int or an unsigned int: what the register has above that is nothing. */
#define SYSTEM_CALL_INT_IS(number, what)                                                           \
	{                                                                                          \
		.argument = (number), .mask = UINT32_MAX, .value = (uint32_t)(what)                \
	}
#define SYSTEM_CALL_BITS_ARE(number, bits, what)                                                   \
	{                                                                                          \
		.argument = (number), .mask = (bits), .value = (what)                              \
	}

struct system_call {
	const char *name; /* the kernel's; it need not exist on every architecture */
	const char *why;
	struct system_call_condition conditions[SYSTEM_CALL_CONDITIONS]; /* all of them hold */
};

struct system_call_list {
	const struct system_call *calls;
	size_t count;
};

extern const struct system_call_list base_system_calls;
