#include "filter/filter_ports.h"

#include <stdlib.h>

static int ports_compare_marks(const void *a, const void *b)
{
	const struct filter_port_mark *left = a;
	const struct filter_port_mark *right = b;

	return (left->at > right->at) - (left->at < right->at);
}

static size_t ports_add_span(struct filter_port_span *spans, size_t count, uint32_t first,
			     uint32_t last, bool blocks)
{
	struct filter_port_span *before = count > 0 ? &spans[count - 1] : NULL;

	if (before && before->blocks == blocks && (uint32_t)before->last + 1 == first) {
		before->last = (uint16_t)last;
		return count;
	}
	spans[count] = (struct filter_port_span){ (uint16_t)first, (uint16_t)last, blocks };
	return count + 1;
}

size_t filter_ports_flatten(const struct filter_port_range *ranges, size_t count,
			    struct filter_port_mark *marks, struct filter_port_span *ret_spans)
{
	size_t spans = 0;
	int blocks = 0;
	int allows = 0;

	for (size_t i = 0; i < count; i++) {
		int block = ranges[i].blocks ? 1 : 0;

		marks[2 * i] = (struct filter_port_mark){ ranges[i].first, block, 1 - block };
		marks[2 * i + 1] = (struct filter_port_mark){ (uint32_t)ranges[i].last + 1, -block,
							      block - 1 };
	}
	qsort(marks, 2 * count, sizeof(*marks), ports_compare_marks);
	for (size_t i = 0; i < 2 * count; i++) {
		blocks += marks[i].blocks;
		allows += marks[i].allows;
		/* Of marks at one place the last knows what holds from there on. */
		if (i + 1 == 2 * count || marks[i + 1].at == marks[i].at)
			continue;
		if (blocks > 0 || allows > 0)
			spans = ports_add_span(ret_spans, spans, marks[i].at, marks[i + 1].at - 1,
					       blocks > 0);
	}
	return spans;
}

const struct filter_port_span *filter_ports_find(const struct filter_port_span *spans, size_t count,
						 uint16_t port)
{
	while (count > 0) {
		const struct filter_port_span *middle = &spans[count / 2];

		if (port >= middle->first && port <= middle->last)
			return middle;
		if (port > middle->last) {
			spans = middle + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return NULL;
}
