/*
 * The requirement on the registry as a whole: 10,000 networks held at once by 8 processes, none
 * overlapping another or the host, at most 1 ms each. What is judged is the processor's time, all
 * processes together: how many others want it does not count. The wall time is told beside it.
 */
#include "registry_rig.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "base/random.h"

#define PROCESSES    8
#define NS_MOST_EACH 1000000

struct result {
	uint32_t first;
	uint32_t last;
	uint32_t gateway;
	uint32_t guest;
};

struct plan {
	const char *title;
	unsigned count; /* networks in all */
	bool has_same_seed;
	bool has_keys;
};

/* On-link networks, resolvers and next hops of a made-up host, in the middle of the pool. */
static const char *const host_networks[] = {
	"10.0.0.0/16",	"10.20.30.0/24", "10.128.0.0/10", "192.168.50.0/24",
	"10.64.7.1/32", "10.77.77.3/32", "172.31.0.0/20", "0.0.0.0/0",
};

static uint64_t now_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

/* Of the processor, by all children that were waited for. */
static uint64_t children_ns(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
	return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

static bool hold_one(struct registry *registry, const struct plan *plan, unsigned number,
		     struct random *random, struct result *ret_result, bool is_released)
{
	struct ip_prefix avoid[ARRAY_COUNT(host_networks)];
	struct registry_holding *holding = NULL;
	struct error err = { "" };
	char key[32];
	struct registry_request request = {
		.label = "one of many",
		.seed = { { 2, 0, 0, 0, 0, 3 } },
		.has_seed = true,
		.length = 30,
		.avoid = avoid,
		.avoid_count = ARRAY_COUNT(avoid),
	};

	for (size_t i = 0; i < ARRAY_COUNT(avoid); i++)
		if (!ip_prefix_parse(host_networks[i], &avoid[i]))
			return false;
	if (!plan->has_same_seed)
		random->fill(random, request.seed.octet, sizeof(request.seed.octet));
	(void)snprintf(key, sizeof(key), "vm-%u", number);
	if (plan->has_keys)
		request.key = key;
	if (registry_hold(registry, &request, &holding, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.text);
		return false;
	}
	*ret_result = (struct result){
		.first = ip_prefix_first_v4(&holding->subnet),
		.last = ip_prefix_last_v4(&holding->subnet),
		.gateway = ip_addr_to_v4(&holding->gateway),
		.guest = ip_addr_to_v4(&holding->guest),
	};
	if (is_released)
		(void)registry_holding_release(holding);
	else
		free(holding); /* held until the process ends: only its memory goes */
	return true;
}

/* 1 when all of the share is held. */
static char hold_share(struct rig *rig, const struct plan *plan, unsigned process,
		       struct result *results)
{
	unsigned share = plan->count / PROCESSES;
	struct random_seeded seeded;
	struct registry *registry = NULL;
	struct error err = { "" };

	random_seeded_init(&seeded, 4711 + process);
	if (registry_open(&rig->paths, &registry, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.text);
		return 0;
	}
	for (unsigned i = 0; i < share; i++) {
		unsigned number = process * share + i;

		if (!hold_one(registry, plan, number, &seeded.random, &results[number], false))
			return 0;
	}
	return 1;
}

/* Waits for the start, holds its share, says so, and lives until it is told to go. */
static void child_main(struct rig *rig, const struct plan *plan, unsigned process, int go_fd,
		       int done_fd, int end_fd, struct result *results)
{
	char byte;
	char is_done;

	if (read(go_fd, &byte, 1) != 0)
		_exit(2);
	is_done = hold_share(rig, plan, process, results);
	if (write(done_fd, &is_done, 1) != 1 || read(end_fd, &byte, 1) != 0)
		_exit(3);
	_exit(0); /* like a crash: nothing is released */
}

/* Where every request of the plan begins: found twice alike, it is no random candidate, which it
 * would be had the made-up host a network there. */
static uint32_t first_candidate(struct rig *rig, const struct plan *plan)
{
	struct registry *registry = NULL;
	struct result results[2];

	for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
		assert_int_equal(registry_open(&rig->paths, &registry, NULL), 0);
		struct plan unkeyed = *plan;

		unkeyed.has_keys = false;
		assert_true(hold_one(registry, &unkeyed, 0, NULL, &results[i], true));
		registry = registry_close(registry);
	}
	assert_int_equal(results[0].first, results[1].first);
	return results[0].first;
}

static int compare(const void *left, const void *right)
{
	const struct result *a = left;
	const struct result *b = right;

	return (a->first > b->first) - (a->first < b->first);
}

static void check_results(struct result *results, unsigned count)
{
	qsort(results, count, sizeof(*results), compare);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(results[i].last - results[i].first, 3);
		assert_int_equal(results[i].first & 3, 0);
		assert_int_equal(results[i].gateway, results[i].first + 1);
		assert_int_equal(results[i].guest, results[i].first + 2);
		if (i > 0)
			assert_true(results[i].first > results[i - 1].last);
		for (size_t j = 0; j < ARRAY_COUNT(host_networks); j++) {
			struct ip_prefix host = prefix_of(host_networks[j]);

			if (host.length == 0)
				continue;
			assert_true(results[i].last < ip_prefix_first_v4(&host) ||
				    results[i].first > ip_prefix_last_v4(&host));
		}
	}
}

/* One of them got the first candidate; no two could, as check_results() saw. */
static void check_got(const struct result *results, unsigned count, uint32_t first)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++)
		found += results[i].first == first;
	assert_int_equal(found, 1);
}

/* 8 children start at once and have all holdings open at the end. Returns the wall time. */
static uint64_t run_children(struct rig *rig, const struct plan *plan, struct result *results)
{
	pid_t pids[PROCESSES];
	int go[2];
	int done[2];
	int end[2];
	char is_done;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	(void)fflush(NULL);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			(void)close(go[1]);
			(void)close(done[0]);
			(void)close(end[1]);
			child_main(rig, plan, i, go[0], done[1], end[0], results);
		}
	}
	(void)close(done[1]);
	uint64_t start_ns = now_ns();

	(void)close(go[1]);
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_int_equal(read(done[0], &is_done, 1), 1);
		assert_int_equal(is_done, 1);
	}
	uint64_t took_ns = now_ns() - start_ns;

	assert_int_equal(rig_owner_files(rig), PROCESSES);
	(void)close(end[1]);
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status = 0;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	(void)close(go[0]);
	(void)close(done[0]);
	(void)close(end[0]);
	return took_ns;
}

static void run_plan(struct rig *rig, const struct plan *plan)
{
	size_t size = plan->count * sizeof(struct result);
	struct result *results =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(results, MAP_FAILED);
	uint32_t first = plan->has_same_seed ? first_candidate(rig, plan) : 0;
	uint64_t before_ns = children_ns();
	uint64_t took_ns = run_children(rig, plan, results);
	uint64_t each_ns = (children_ns() - before_ns) / plan->count;

	print_message("# %s: %u networks in %.3f s, %.3f ms each and %.3f ms of the processor%s\n",
		      plan->title, plan->count, (double)took_ns / 1e9,
		      (double)took_ns / plan->count / 1e6, (double)each_ns / 1e6,
		      IS_TIME_JUDGED ? "" : " (sanitizer build: not judged)");
	check_results(results, plan->count);
	if (plan->has_same_seed)
		check_got(results, plan->count, first);
	if (IS_TIME_JUDGED)
		assert_true(each_ns <= NS_MOST_EACH);
	assert_int_equal(munmap(results, size), 0);

	/* All owners are dead now: their thousands of rows and files hinder nobody. */
	struct registry *registry = rig_open(rig);
	struct registry_request request = { .length = 30 };
	uint64_t start_ns = now_ns();
	struct registry_holding *holding = must_hold(registry, &request);

	print_message("# %s: the first holding after it took %.3f ms\n", plan->title,
		      (double)(now_ns() - start_ns) / 1e6);
	assert_int_equal(rig_owner_files(rig), 1);
	(void)registry_holding_release(holding);
}

static void random_seeds(void **state)
{
	run_plan(*state, &(struct plan){ "random MACs", 10000, false, false });
}

static void random_seeds_with_assignments(void **state)
{
	run_plan(*state, &(struct plan){ "random MACs, assigned", 10000, false, true });
}

static void same_seed(void **state)
{
	run_plan(*state, &(struct plan){ "one first candidate", 1000, true, false });
}

static void same_seed_with_assignments(void **state)
{
	run_plan(*state, &(struct plan){ "one first candidate, assigned", 1000, true, true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_seeds, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(random_seeds_with_assignments, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(same_seed, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(same_seed_with_assignments, rig_setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
