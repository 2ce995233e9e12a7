#pragma once
/* Port ranges of one prefix that may overlap, flattened to spans that do not. Block wins. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct filter_port_range {
	uint16_t first;
	uint16_t last;
	bool blocks;
};

struct filter_port_span {
	uint16_t first;
	uint16_t last;
	bool blocks;
};

/* Each range begins and ends one. */
#define FILTER_PORTS_SPANS_MOST(ranges) (2 * (ranges))

/*
 * Writes the spans, sorted, and returns how many. ret_spans has room for FILTER_PORTS_SPANS_MOST(count),
 * marks for 2 * count.
 */
struct filter_port_mark {
	uint32_t at; /* from here on ... */
	int blocks;  /* ... so many more ranges block, */
	int allows;  /* and so many more allow */
};
size_t filter_ports_flatten(const struct filter_port_range *ranges, size_t count,
			    struct filter_port_mark *marks, struct filter_port_span *ret_spans);

/* NULL: none holds the port. */
const struct filter_port_span *filter_ports_find(const struct filter_port_span *spans, size_t count,
						 uint16_t port);
