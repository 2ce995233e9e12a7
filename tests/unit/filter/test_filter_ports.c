/* Port ranges against a table of all ports. */
#include "filter/filter_ports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define RANGES 40

static void check(const struct filter_port_range *ranges, size_t count)
{
	static struct filter_port_mark marks[2 * RANGES];
	static struct filter_port_span spans[FILTER_PORTS_SPANS_MOST(RANGES)];
	size_t found = filter_ports_flatten(ranges, count, marks, spans);

	assert_true(found <= FILTER_PORTS_SPANS_MOST(count));
	for (size_t i = 1; i < found; i++)
		assert_true(spans[i].first > spans[i - 1].last);
	for (uint32_t port = 0; port <= 65535; port++) {
		const struct filter_port_span *span =
			filter_ports_find(spans, found, (uint16_t)port);
		bool blocks = false;
		bool holds = false;
		for (size_t i = 0; i < count; i++) {
			if (port < ranges[i].first || port > ranges[i].last)
				continue;
			holds = true;
			blocks = blocks || ranges[i].blocks;
		}
		assert_int_equal(span != NULL, holds);
		if (span)
			assert_int_equal(span->blocks, blocks);
	}
}

static void test_edges(void **state)
{
	const struct filter_port_range all[] = { { 1, 65535, false } };
	const struct filter_port_range hole[] = { { 1, 65535, false }, { 22, 22, true } };
	const struct filter_port_range last[] = { { 65535, 65535, true }, { 1, 1, false } };
	const struct filter_port_range beside[] = { { 1, 10, false },
						    { 11, 20, false },
						    { 21, 30, true } };
	const struct filter_port_range same[] = { { 80, 80, false },
						  { 80, 80, true },
						  { 80, 80, false } };

	(void)state;
	check(NULL, 0);
	check(all, ARRAY_COUNT(all));
	check(hole, ARRAY_COUNT(hole));
	check(last, ARRAY_COUNT(last));
	check(beside, ARRAY_COUNT(beside));
	check(same, ARRAY_COUNT(same));
}

static void test_any(void **state)
{
	struct filter_port_range ranges[RANGES];
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		for (size_t i = 0; i < RANGES; i++) {
			seed = seed * 1664525 + 1013904223;
			uint32_t first = 1 + (seed >> 8) % 65535;
			seed = seed * 1664525 + 1013904223;
			uint32_t last = first + (seed >> 8) % (i % 2 ? 10 : 20000);
			ranges[i] =
				(struct filter_port_range){ (uint16_t)first,
							    (uint16_t)(last > 65535 ? 65535 : last),
							    (seed >> 7) % 3 == 0 };
		}
		check(ranges, RANGES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests_name("filter_ports", tests, NULL, NULL);
}
