/* The arithmetic alone, against the rules: the edge never moves left, and never beyond what the
 * buffer holds. */
#include "tcp_fixture.h"

static void edges(bool scaled)
{
	static struct tcp_flow flow;
	struct random_seeded random;

	for (uint64_t seed = 0; seed < 300; seed++) {
		uint32_t unit = scaled ? 1U << TCP_WINDOW_SHIFT : 1;
		uint32_t acknowledged;
		uint32_t edge;

		random_seeded_init(&random, seed);
		flow = (struct tcp_flow){ .table = tcp_table_of(fixture->nat), .scaled = scaled };
		flow.receive_next = UINT32_MAX - random_below(&random.random, 100000);
		acknowledged = flow.receive_next;
		tcp_window_start(&flow);
		edge = flow.receive_edge;
		for (int i = 0; i < 2000; i++) {
			uint32_t most = flow.receive_edge - flow.receive_next;
			uint32_t took = random_below(&random.random, 4)
						? random_below(&random.random, 3000)
						: random_below(&random.random, 70000);
			struct tcp_window_offer offer;
			uint32_t size;
			uint32_t seen;

			took = took < most ? took : most;
			flow.buffer.tail += took;
			flow.receive_next += took;
			size = (uint32_t)tcp_buffer_size(&flow.buffer);
			assert_true(size <= TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK);
			if (random_below(&random.random, 3) == 0)
				flow.buffer.head += random_below(&random.random, size + 1);
			size = (uint32_t)tcp_buffer_size(&flow.buffer);
			offer = tcp_window_offer(&flow);
			seen = offer.acknowledgement + offer.field * unit;
			assert_true(tcp_seq_after_equal(seen, edge));
			assert_true(seen == flow.receive_edge);
			assert_true(flow.receive_next - offer.acknowledgement < unit);
			assert_true(tcp_seq_after_equal(offer.acknowledgement, acknowledged));
			acknowledged = offer.acknowledgement;
			assert_true(seen - flow.receive_next <=
				    flow.receive_capacity - size + TCP_BUFFER_SLACK);
			edge = seen;
		}
	}
}

static void scaled(void **state)
{
	(void)state;
	edges(true);
}

static void unscaled(void **state)
{
	(void)state;
	edges(false);
}

/* A guest that sends single bytes to a host that takes none: the slack ends, and from then on the
 * last bytes are acknowledged later, so that the edge stands still. */
static void slack_ends(void **state)
{
	static struct tcp_flow flow;
	uint32_t edge = TCP_WINDOW_UNSCALED_MAX;
	uint32_t acknowledged = 0;
	bool withheld = false;

	(void)state;
	flow = (struct tcp_flow){ .table = tcp_table_of(fixture->nat), .scaled = true };
	tcp_window_start(&flow);
	for (;;) {
		struct tcp_window_offer offer = tcp_window_offer(&flow);
		uint32_t seen = offer.acknowledgement + ((uint32_t)offer.field << TCP_WINDOW_SHIFT);

		assert_true(seen >= edge);
		assert_true(offer.acknowledgement >= acknowledged);
		assert_true(flow.receive_next - offer.acknowledgement < 4);
		withheld = withheld || offer.acknowledgement != flow.receive_next;
		edge = seen;
		acknowledged = offer.acknowledgement;
		if (edge == flow.receive_next)
			break;
		flow.buffer.tail++;
		flow.receive_next++;
	}
	assert_true(withheld);
	assert_true(edge <= TCP_BUFFER_CAPACITY + TCP_BUFFER_SLACK);
	assert_false(tcp_window_update_due(&flow));
	flow.buffer.head += 5000 + TCP_BUFFER_SLACK;
	assert_true(tcp_window_update_due(&flow));
	assert_int_equal(tcp_window_offer(&flow).acknowledgement, flow.receive_next);
}

static void usable(void **state)
{
	static const struct {
		uint32_t window;
		uint32_t congestion;
		uint32_t flight;
		uint32_t expected;
	} cases[] = {
		{ 1000, 5000, 0, 1000 },
		{ 1000, 5000, 400, 600 },
		{ 1000, 5000, 1000, 0 },
		{ 1000, 5000, 1400, 0 }, /* the guest took its offer back */
		{ 9000, 5000, 400, 4600 },
		{ UINT32_MAX, UINT32_MAX, 0, TCP_BACKLOG_CAPACITY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_flow flow = {
			.send_window = cases[i].window,
			.congestion_window = cases[i].congestion,
			.send_unacknowledged = UINT32_MAX - 10,
			.send_next = UINT32_MAX - 10 + cases[i].flight,
		};

		assert_int_equal(tcp_window_usable(&flow), cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_KEPT(scaled),
		TEST_KEPT(unscaled),
		TEST_KEPT(slack_ends),
		TEST_KEPT(usable),
	};

	return cmocka_run_group_tests_name("tcp_window", tests, NULL, NULL);
}
