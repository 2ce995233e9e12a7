#pragma once
/* A list for each bridge port, and one for what belongs to none (FRAME_PORT_NONE): what a port has,
 * longest idle first, so that a port which used up its share finds what it can give up. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/list.h"

struct port_lists {
	struct list *lists;
	uint32_t count;
};

/* 0 or -ENOMEM. */
static inline MUST_USE int port_lists_init(struct port_lists *lists, uint32_t port_capacity)
{
	*lists = (struct port_lists){ .count = port_capacity + 1 };
	lists->lists = calloc(lists->count, sizeof(*lists->lists));
	if (!lists->lists) {
		lists->count = 0;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < lists->count; i++)
		list_init(&lists->lists[i]);
	return 0;
}

static inline void port_lists_done(struct port_lists *lists)
{
	free(lists->lists);
	*lists = (struct port_lists){ .lists = NULL };
}

static inline struct list *port_lists_of(const struct port_lists *lists, uint32_t port)
{
	return &lists->lists[port < lists->count - 1 ? port : lists->count - 1];
}
