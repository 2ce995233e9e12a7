#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "loop/timer.h"

#define TIMER_COUNT 200

/* The oracle is `deadline`: what each timer should be set to. */
struct rig {
	struct timers timers;
	struct random_seeded seeded;
	uint64_t now_ns;
	uint64_t last_deadline_ns;
	size_t ran;
	struct rig_timer {
		struct timer timer;
		struct rig *rig;
		uint64_t deadline_ns;
		bool set_in_this_run_to_the_past;
	} rows[TIMER_COUNT];
};

static uint32_t below(struct rig *rig, uint32_t bound)
{
	return random_below(&rig->seeded.random, bound);
}

static void set_row(struct rig *rig, struct rig_timer *row, uint64_t deadline_ns)
{
	timer_set(&rig->timers, &row->timer, deadline_ns);
	row->deadline_ns = deadline_ns;
}

static void row_expired(struct timer *timer, uint64_t now_ns)
{
	struct rig_timer *row = container_of(timer, struct rig_timer, timer);
	struct rig *rig = row->rig;
	struct rig_timer *other = &rig->rows[below(rig, TIMER_COUNT)];

	assert_true(now_ns == rig->now_ns);
	assert_false(timer_is_set(timer));
	assert_true(row->deadline_ns <= now_ns);
	assert_false(row->set_in_this_run_to_the_past);
	assert_true(row->deadline_ns >= rig->last_deadline_ns);
	rig->last_deadline_ns = row->deadline_ns;
	row->deadline_ns = TIMER_UNSET;
	rig->ran++;
	switch (below(rig, 4)) {
	case 0: /* anyone, to the past: for the next run */
		set_row(rig, other, now_ns - below(rig, 10));
		other->set_in_this_run_to_the_past = true;
		break;
	case 1: /* anyone, to the future: also one that was due in this run */
		set_row(rig, other, now_ns + 1 + below(rig, 1000));
		other->set_in_this_run_to_the_past = false;
		break;
	case 2:
		timer_clear(&rig->timers, &other->timer);
		other->deadline_ns = TIMER_UNSET;
		other->set_in_this_run_to_the_past = false;
		break;
	default:
		break;
	}
}

static void check_rig(struct rig *rig)
{
	uint64_t earliest = TIMER_UNSET;

	for (size_t i = 0; i < TIMER_COUNT; i++) {
		struct rig_timer *row = &rig->rows[i];

		assert_true(row->timer.deadline_ns == row->deadline_ns);
		assert_int_equal(timer_is_set(&row->timer), row->deadline_ns != TIMER_UNSET);
		if (row->deadline_ns < earliest)
			earliest = row->deadline_ns;
	}
	/* Never late, possibly early; none only when there is none. */
	assert_true(timers_next(&rig->timers) <= earliest);
	if (earliest == TIMER_UNSET)
		assert_true(timers_next(&rig->timers) == TIMER_UNSET);
}

static void run_rig(struct rig *rig)
{
	size_t count;

	rig->ran = 0;
	rig->last_deadline_ns = 0;
	for (size_t i = 0; i < TIMER_COUNT; i++)
		rig->rows[i].set_in_this_run_to_the_past = false;
	count = timers_run(&rig->timers, rig->now_ns);
	assert_int_equal(count, rig->ran);
	for (size_t i = 0; i < TIMER_COUNT; i++) {
		struct rig_timer *row = &rig->rows[i];

		if (!row->set_in_this_run_to_the_past)
			assert_true(row->deadline_ns > rig->now_ns);
	}
}

static void test_random_operations(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct rig *rig = calloc(1, sizeof(*rig));

		assert_non_null(rig);
		random_seeded_init(&rig->seeded, seed);
		assert_int_equal(timers_init(&rig->timers, 0), 0);
		rig->now_ns = 1000;
		for (size_t i = 0; i < TIMER_COUNT; i++) {
			rig->rows[i].rig = rig;
			rig->rows[i].deadline_ns = TIMER_UNSET;
			timer_init(&rig->rows[i].timer, row_expired);
		}
		for (int step = 0; step < 20000; step++) {
			struct rig_timer *row = &rig->rows[below(rig, TIMER_COUNT)];

			switch (below(rig, 8)) {
			case 0:
				rig->now_ns += below(rig, 100);
				run_rig(rig);
				break;
			case 1:
				timer_clear(&rig->timers, &row->timer);
				row->deadline_ns = TIMER_UNSET;
				break;
			default:
				set_row(rig, row, rig->now_ns - 50 + below(rig, 1000));
				break;
			}
			if (step % 16 == 0)
				check_rig(rig);
		}
		timers_done(&rig->timers);
		free(rig);
	}
}

struct plain {
	struct timer timer;
	struct timers *timers;
	int ran;
};

static void plain_expired(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	container_of(timer, struct plain, timer)->ran++;
}

static void again_now(struct timer *timer, uint64_t now_ns)
{
	struct plain *plain = container_of(timer, struct plain, timer);

	plain->ran++;
	timer_set(plain->timers, timer, now_ns);
}

static void test_set_to_the_past_by_callback(void **state)
{
	struct timers timers;
	struct plain plain = { .timers = &timers };

	(void)state;
	assert_int_equal(timers_init(&timers, 1), 0);
	timer_init(&plain.timer, again_now);
	timer_set(&timers, &plain.timer, 5);
	for (int round = 1; round <= 3; round++) {
		assert_int_equal(timers_run(&timers, 10), 1);
		assert_int_equal(plain.ran, round);
		assert_true(timers_next(&timers) == 10);
	}
	timer_clear(&timers, &plain.timer);
	assert_int_equal(timers_run(&timers, 10), 0);
	timers_done(&timers);
}

static void test_pushing_on(void **state)
{
	struct timers timers;
	struct plain plain = { .timers = &timers };

	(void)state;
	assert_int_equal(timers_init(&timers, 1), 0);
	timer_init(&plain.timer, plain_expired);
	timer_set(&timers, &plain.timer, 100);
	for (uint64_t deadline = 101; deadline <= 200; deadline++) {
		timer_set(&timers, &plain.timer, deadline);
		assert_true(timers_next(&timers) == 100); /* the heap was not touched */
	}
	assert_int_equal(timers_run(&timers, 199), 0);
	assert_true(timers_next(&timers) == 200);
	timer_set(&timers, &plain.timer, 50);
	assert_true(timers_next(&timers) == 50);
	timer_set(&timers, &plain.timer, 200);
	assert_int_equal(timers_run(&timers, 200), 1);
	assert_int_equal(plain.ran, 1);
	assert_true(timers_next(&timers) == TIMER_UNSET);
	timers_done(&timers);
}

static void test_unset(void **state)
{
	struct timers timers;
	struct plain plain = { .timers = &timers };

	(void)state;
	assert_int_equal(timers_init(&timers, 1), 0);
	timer_init(&plain.timer, plain_expired);
	timer_clear(&timers, &plain.timer);
	timer_set(&timers, &plain.timer, 7);
	timer_set(&timers, &plain.timer, TIMER_UNSET);
	assert_false(timer_is_set(&plain.timer));
	assert_int_equal(timers_run(&timers, UINT64_MAX - 1), 0);
	timers_done(&timers);
}

static void free_owner(struct timer *timer, uint64_t now_ns)
{
	(void)now_ns;
	free(container_of(timer, struct plain, timer));
}

static void test_owner_is_freed(void **state)
{
	struct timers timers;

	(void)state;
	assert_int_equal(timers_init(&timers, 1), 0);
	for (uint64_t i = 0; i < 100; i++) {
		struct plain *plain = calloc(1, sizeof(*plain));

		assert_non_null(plain);
		timer_init(&plain->timer, free_owner);
		timer_set(&timers, &plain->timer, i);
	}
	assert_int_equal(timers_run(&timers, 49), 50);
	assert_int_equal(timers_run(&timers, 99), 50);
	timers_done(&timers);
}

static void test_reserve(void **state)
{
	struct timers timers;
	struct timer **heap;
	struct plain plain[200];

	(void)state;
	assert_int_equal(timers_init(&timers, 200), 0);
	heap = timers.heap;
	for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
		plain[i].ran = 0;
		timer_init(&plain[i].timer, plain_expired);
		timer_set(&timers, &plain[i].timer, 5000 - i);
	}
	assert_ptr_equal(timers.heap, heap);
	assert_int_equal(timers.capacity, 200);
	assert_int_equal(timers_reserve(&timers, UINT32_MAX), -ENOMEM);
	assert_int_equal(timers_reserve(&timers, 2000), 0);
	assert_int_equal(timers_run(&timers, 5000), 200);
	for (size_t i = 0; i < ARRAY_COUNT(plain); i++)
		assert_int_equal(plain[i].ran, 1);
	timers_done(&timers);
	timers_done(&timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_set_to_the_past_by_callback),
		cmocka_unit_test(test_pushing_on),
		cmocka_unit_test(test_unset),
		cmocka_unit_test(test_owner_is_freed),
		cmocka_unit_test(test_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
