#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"

static struct loop *new_loop(const struct clock *clock)
{
	struct loop *loop = NULL;

	assert_int_equal(loop_new(clock, &loop), 0);
	return loop;
}

#define CALLERS	     4
#define CALLS_OF_ONE 500

/* What runs in the loop's thread, and what other threads see of it. */
struct service {
	struct loop *loop;
	pthread_t thread;
	int calls; /* by the loop's thread alone */
	bool foreign;
};

static void *service_run(void *context)
{
	struct service *service = context;

	assert_int_equal(loop_run(service->loop), 0);
	return NULL;
}

static void service_call(void *context)
{
	struct service *service = context;

	service->calls++;
	service->foreign |= !pthread_equal(pthread_self(), service->thread);
}

static void service_stop(void *context)
{
	struct service *service = context;

	loop_stop(service->loop);
}

static void service_start(struct service *service)
{
	*service = (struct service){ .loop = new_loop(&clock_boottime) };
	assert_int_equal(pthread_create(&service->thread, NULL, service_run, service), 0);
}

static void *call_often(void *context)
{
	struct service *service = context;
	int failed = 0;

	for (int i = 0; i < CALLS_OF_ONE; i++)
		failed += loop_call(service->loop, service_call, service) != 0;
	return failed == 0 ? NULL : context;
}

static void test_call_from_threads(void **state)
{
	struct service service;
	pthread_t callers[CALLERS];
	void *failed;

	(void)state;
	service_start(&service);
	/* So that service.thread is there for all to see. */
	assert_int_equal(loop_call(service.loop, service_call, &service), 0);
	for (size_t i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often, &service), 0);
	for (size_t i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(callers[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(loop_call(service.loop, service_stop, &service), 0);
	assert_int_equal(pthread_join(service.thread, NULL), 0);
	assert_int_equal(service.calls, CALLERS * CALLS_OF_ONE + 1);
	assert_false(service.foreign);
	assert_int_equal(loop_call(service.loop, service_call, &service), -ESHUTDOWN);
	assert_int_equal(service.calls, CALLERS * CALLS_OF_ONE + 1);
	loop_free(service.loop);
}

struct racer {
	struct service *service;
	atomic_int *answered;
	int done;
	int refused;
	int wrong;
};

static void *call_until_refused(void *context)
{
	struct racer *racer = context;

	while (racer->refused == 0) {
		int rc = loop_call(racer->service->loop, service_call, racer->service);

		racer->done += rc == 0;
		racer->refused += rc == -ESHUTDOWN;
		racer->wrong += rc != 0 && rc != -ESHUTDOWN;
		atomic_fetch_add(racer->answered, 1);
	}
	return NULL;
}

/* The loop ends while calls come in: each is either run and answered 0, or refused and not run. */
static void test_call_races_the_end(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct service service;
		struct racer racers[CALLERS];
		pthread_t threads[CALLERS];
		atomic_int answered = 0;
		int done = 0;

		service_start(&service);
		for (size_t i = 0; i < CALLERS; i++) {
			racers[i] = (struct racer){ .service = &service, .answered = &answered };
			assert_int_equal(
				pthread_create(&threads[i], NULL, call_until_refused, &racers[i]),
				0);
		}
		while (atomic_load(&answered) < 10)
			sched_yield();
		assert_int_equal(loop_call(service.loop, service_stop, &service), 0);
		for (size_t i = 0; i < CALLERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			assert_int_equal(racers[i].refused, 1);
			assert_int_equal(racers[i].wrong, 0);
			done += racers[i].done;
		}
		assert_int_equal(pthread_join(service.thread, NULL), 0);
		assert_int_equal(service.calls, done);
		loop_free(service.loop);
	}
}

struct queued {
	struct loop *loop;
	int result;
	bool ran;
};

static void queued_ran(void *context)
{
	struct queued *queued = context;

	queued->ran = true;
}

static void *queue_call(void *context)
{
	struct queued *queued = context;

	queued->result = loop_call(queued->loop, queued_ran, queued);
	return NULL;
}

/* A loop that was stopped before it ran: whether the call is queued before the end or comes after
 * it, the answer is the same. */
static void test_call_of_a_loop_that_never_ran(void **state)
{
	struct queued queued = { .loop = new_loop(&clock_boottime) };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, queue_call, &queued), 0);
	loop_stop(queued.loop);
	assert_int_equal(loop_run(queued.loop), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(queued.result, -ESHUTDOWN);
	assert_false(queued.ran);
	loop_free(queued.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_from_threads),
		cmocka_unit_test(test_call_races_the_end),
		cmocka_unit_test(test_call_of_a_loop_that_never_ran),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
