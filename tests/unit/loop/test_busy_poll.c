#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/busy_poll.h"

#define LIMIT_NS (50 * NS_PER_US)
#define SHORT_NS (30 * NS_PER_US)
#define LONG_NS	 (5 * NS_PER_MS)

static void learn(struct busy_poll *poll, unsigned times, uint64_t waited_ns, bool looked)
{
	for (unsigned i = 0; i < times; i++)
		busy_poll_learn(poll, waited_ns, looked);
}

static void test_begins_after_short_waits(void **state)
{
	struct busy_poll poll;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	assert_false(busy_poll_pays(&poll));
	learn(&poll, 3, SHORT_NS, false);
	assert_false(busy_poll_pays(&poll));
	learn(&poll, 1, SHORT_NS, false);
	assert_true(busy_poll_pays(&poll));
}

/* A wait that slept has the waking-up in it; one that looked has not. */
static void test_what_is_short(void **state)
{
	static const struct {
		uint64_t waited_ns;
		bool looked;
		bool is_short;
	} cases[] = {
		{ LIMIT_NS, true, true },
		{ LIMIT_NS + 1, true, false },
		{ 2 * LIMIT_NS, false, true },
		{ 2 * LIMIT_NS + 1, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct busy_poll poll;

		busy_poll_init(&poll, LIMIT_NS);
		learn(&poll, 4, cases[i].waited_ns, cases[i].looked);
		assert_int_equal(busy_poll_pays(&poll), cases[i].is_short);
	}
}

/* However long it went well: three long waits, and it sleeps. */
static void test_ends_after_long_waits(void **state)
{
	struct busy_poll poll;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	learn(&poll, 100000, SHORT_NS, true);
	learn(&poll, 2, LONG_NS, true);
	assert_true(busy_poll_pays(&poll));
	learn(&poll, 1, LONG_NS, true);
	assert_false(busy_poll_pays(&poll));
}

/* A peer a millisecond away: each second wait is a long one, and looking would not pay. */
static void test_every_other_wait_is_long(void **state)
{
	struct busy_poll poll;
	unsigned looked = 0;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	for (unsigned i = 0; i < 1000; i++) {
		bool looks = busy_poll_pays(&poll);

		looked += looks;
		busy_poll_learn(&poll, i % 2 ? LONG_NS : SHORT_NS, looks);
	}
	assert_int_equal(looked, 0);
}

static void test_not_beside_bulk(void **state)
{
	struct busy_poll poll;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	learn(&poll, 16, SHORT_NS, true);
	busy_poll_note(&poll, 66);
	assert_true(busy_poll_pays(&poll));
	/* The acknowledgements between two super-frames are part of it; later ones are not. */
	busy_poll_note(&poll, 65226);
	for (unsigned i = 0; i < 8; i++) {
		assert_false(busy_poll_pays(&poll));
		busy_poll_note(&poll, 54);
	}
	for (unsigned i = 0; i < 8; i++)
		(void)busy_poll_pays(&poll);
	assert_true(busy_poll_pays(&poll));
}

/* Much bulk is forgotten as soon as little. */
static void test_much_bulk_is_forgotten(void **state)
{
	struct busy_poll poll;
	unsigned waits = 0;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	learn(&poll, 16, SHORT_NS, true);
	for (unsigned i = 0; i < 100000; i++)
		busy_poll_note(&poll, 65226);
	while (!busy_poll_pays(&poll))
		waits++;
	assert_in_range(waits, 8, 16);
}

/* Many small ones add up. */
static void test_many_small_frames_are_bulk(void **state)
{
	struct busy_poll poll;

	(void)state;
	busy_poll_init(&poll, LIMIT_NS);
	learn(&poll, 16, SHORT_NS, true);
	for (unsigned i = 0; i < 20; i++)
		busy_poll_note(&poll, 1514);
	assert_false(busy_poll_pays(&poll));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begins_after_short_waits),
		cmocka_unit_test(test_what_is_short),
		cmocka_unit_test(test_ends_after_long_waits),
		cmocka_unit_test(test_every_other_wait_is_long),
		cmocka_unit_test(test_not_beside_bulk),
		cmocka_unit_test(test_many_small_frames_are_bulk),
		cmocka_unit_test(test_much_bulk_is_forgotten),
	};

	return cmocka_run_group_tests_name("busy_poll", tests, NULL, NULL);
}
