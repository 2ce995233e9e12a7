#include "registry/registry.h"

#include "registry_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "registry/held_snapshot.h"

static const struct ip_addr no_address;

static void killed_holder(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("ci-3", "10.1.2.0/30");
	struct rig_child child = rig_child_start(rig, &request, NULL);

	assert_int_equal(child.result, 0);
	rig_open(rig);
	must_not_hold(rig->registry, &request, -EADDRINUSE,
		      "subnet 10.1.2.0/30 is in use by VM \"ci-3\"");
	rig_child_end(&child, true);
	struct registry_holding *holding = must_hold(rig->registry, &request);

	assert_int_equal(rig_owner_files(rig), 1); /* the dead one's file went too */
	(void)registry_holding_release(holding);
}

static void released_holder(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("ci-3", "10.1.2.0/30");
	struct rig_child child = rig_child_start(rig, &request, NULL);

	rig_child_end(&child, false);
	rig_open(rig);
	assert_int_equal(rig_owner_files(rig), 0);
	(void)registry_holding_release(must_hold(rig->registry, &request));
	rig->registry = registry_close(rig->registry);
	assert_int_equal(rig_owner_files(rig), 0);
	assert_null(registry_close(NULL));
	assert_null(registry_holding_release(NULL));
}

static bool is_held(struct registry_holding *holding, const char *text, uint64_t now_ns)
{
	struct ip_addr addr = addr_of(text);

	return registry_is_held_by_other(holding, &addr, now_ns);
}

/* What a guest must not reach: the networks of others, not its own and not what nobody has. How soon
 * a change is seen has a test of its own (test_held_snapshot.c). */
static void addresses_of_others(void **state)
{
	struct rig *rig = *state;
	struct registry_request theirs = wanting("ci-3", "10.1.2.0/30");
	struct registry_request large = wanting("lab", "10.64.0.0/16");
	struct registry_request mine = wanting("ci-4", "10.1.2.4/30");
	struct registry_request also_mine = wanting("ci-5", "10.1.2.8/30");
	struct rig_child child = rig_child_start(rig, &theirs, NULL);
	struct rig_child lab = rig_child_start(rig, &large, NULL);
	struct registry_holding *holding = must_hold(rig_open(rig), &mine);
	struct registry_holding *second = must_hold(rig->registry, &also_mine);
	uint64_t now_ns = 5;

	assert_true(is_held(holding, "10.1.2.0", now_ns));
	assert_true(is_held(holding, "10.1.2.3", now_ns));
	assert_true(is_held(holding, "10.64.200.9", now_ns));
	assert_false(is_held(holding, "10.1.2.4", now_ns));
	assert_false(is_held(holding, "10.1.2.12", now_ns));
	assert_false(is_held(holding, "10.65.0.1", now_ns));
	assert_false(is_held(holding, "::1", now_ns));
	/* two networks of one handle are strangers too */
	assert_true(is_held(holding, "10.1.2.8", now_ns));
	assert_true(is_held(second, "10.1.2.4", now_ns));
	assert_false(is_held(second, "10.1.2.8", now_ns));

	rig_child_end(&child, true);
	now_ns += HELD_SNAPSHOT_MOST_NS;
	assert_false(is_held(holding, "10.1.2.2", now_ns));
	assert_true(is_held(holding, "10.64.200.9", now_ns + HELD_SNAPSHOT_JUDGE_NS));
	rig_child_end(&lab, false);
	now_ns += 2 * HELD_SNAPSHOT_MOST_NS;
	assert_false(is_held(holding, "10.64.200.9", now_ns));
	(void)registry_holding_release(second);
	(void)registry_holding_release(holding);
}

/* Files of owners that nobody meets by their subnets go too. */
static void many_killed_holders(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = { .length = 30 };
	struct rig_child children[5];

	for (size_t i = 0; i < ARRAY_COUNT(children); i++)
		children[i] = rig_child_start(rig, &request, NULL);
	assert_int_equal(rig_owner_files(rig), ARRAY_COUNT(children));
	for (size_t i = 0; i < ARRAY_COUNT(children); i++)
		rig_child_end(&children[i], true);
	struct registry_holding *holding = must_hold(rig_open(rig), &request);

	assert_int_equal(rig_owner_files(rig), 1);
	(void)registry_holding_release(holding);
}

/* Eight processes at once want one subnet: one gets it, the others are told who. */
static void race_for_one_subnet(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("winner", "10.1.2.0/30");
	enum {
		RACERS = 8
	};
	pid_t pids[RACERS];
	int go[2];
	int results[2];
	int end[2];
	int won = 0;
	char byte;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(results, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	(void)fflush(NULL);
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] != 0)
			continue;
		struct registry *registry = NULL;
		struct registry_holding *holding = NULL;
		struct error err = { "" };

		(void)close(go[1]);
		(void)close(end[1]);
		if (read(go[0], &byte, 1) != 0)
			_exit(1);
		int result = registry_open(&rig->paths, &registry, &err);

		if (result == 0)
			result = registry_hold(registry, &request, &holding, &err);
		if (result == -EADDRINUSE && !strstr(err.text, "winner"))
			result = -EPROTO;
		if (write(results[1], &result, sizeof(result)) != sizeof(result) ||
		    read(end[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	(void)close(results[1]);
	(void)close(go[1]);
	for (int i = 0; i < RACERS; i++) {
		int result = -EPIPE;

		assert_int_equal(read(results[0], &result, sizeof(result)), sizeof(result));
		assert_true(result == 0 || result == -EADDRINUSE);
		won += result == 0;
	}
	assert_int_equal(won, 1);
	(void)close(end[1]);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	(void)close(go[0]);
	(void)close(results[0]);
	(void)close(end[0]);
}

static void assignment_survives(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = { .key = "vm", .length = 30 };
	struct rig_child child = rig_child_start(rig, &request, NULL);

	rig_child_end(&child, false);
	for (int i = 0; i < 4; i++) {
		struct rig_child again = rig_child_start(rig, &request, NULL);

		assert_int_equal(again.result, 0);
		assert_memory_equal(&again.subnet, &child.subnet, sizeof(child.subnet));
		rig_child_end(&again, i % 2 == 0);
	}
}

static void count_one(void *context, const struct registry_assignment *assignment)
{
	unsigned *count = context;

	(void)assignment;
	++*count;
}

static void remove_each(void *context, const struct registry_assignment *assignment)
{
	assert_int_equal(registry_assignment_remove(context, assignment->key, NULL), 0);
}

static void assignment_calls(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("a", "10.1.2.0/30");
	const struct registry_rename rename = { .from = "a", .to = "c" };
	struct registry_assignment assignment;
	struct error err = { "" };
	unsigned count = 0;

	rig_open(rig);
	request.key = "a";
	(void)registry_holding_release(must_hold(rig->registry, &request));
	request = wanting("b", "10.1.2.4/30");
	request.key = "b";
	(void)registry_holding_release(must_hold(rig->registry, &request));

	assert_int_equal(registry_assignment_rename(rig->registry, &rename, &err), 0);
	assert_int_equal(registry_assignment_get(rig->registry, "a", &assignment, &err), -ENOENT);
	assert_int_equal(registry_assignment_get(rig->registry, "c", &assignment, &err), 0);
	assert_string_equal(assignment.key, "c");
	assert_prefix(&assignment.subnet, "10.1.2.0/30");
	assert_addr(&assignment.guest, "10.1.2.2");

	assert_int_equal(registry_assignment_visit(rig->registry, count_one, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(registry_assignment_remove(rig->registry, "a", &err), -ENOENT);
	assert_int_equal(registry_assignment_visit(rig->registry, remove_each, rig->registry, NULL),
			 0);
	count = 0;
	assert_int_equal(registry_assignment_visit(rig->registry, count_one, &count, NULL), 0);
	assert_int_equal(count, 0);
}

static int take_ports(struct registry_holding *holding)
{
	struct ip_endpoint all = endpoint_of("0.0.0.0", 2222);
	struct ip_endpoint one = endpoint_of("127.0.0.1", 5353);
	int result = registry_hold_port(holding, IPPROTO_TCP, &all, NULL);

	return result < 0 ? result : registry_hold_port(holding, IPPROTO_UDP, &one, NULL);
}

static void assert_explained(struct registry *registry, uint8_t protocol, const char *addr,
			     uint16_t port, const char *sentence)
{
	struct ip_endpoint at = endpoint_of(addr, port);
	struct error err = { "" };

	registry_explain_port(registry, protocol, &at, &err);
	assert_string_equal(err.text, sentence);
	registry_explain_port(registry, protocol, &at, NULL);
}

static void ports_of_another(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("ci-3", "10.1.2.0/30");
	struct rig_child child = rig_child_start(rig, &request, take_ports);
	struct registry *registry = rig_open(rig);
	struct ip_endpoint at = endpoint_of("0.0.0.0", 2222);
	char label[REGISTRY_LABEL_SIZE];

	assert_int_equal(child.result, 0);
	assert_explained(registry, IPPROTO_TCP, "0.0.0.0", 2222,
			 "TCP port 2222 on 0.0.0.0 is in use by VM \"ci-3\"");
	assert_explained(registry, IPPROTO_TCP, "10.0.0.1", 2222,
			 "TCP port 2222 on 10.0.0.1 is in use by VM \"ci-3\"");
	assert_explained(registry, IPPROTO_UDP, "0.0.0.0", 5353,
			 "UDP port 5353 on 0.0.0.0 is in use by VM \"ci-3\"");
	assert_explained(registry, IPPROTO_UDP, "127.0.0.2", 5353,
			 "UDP port 5353 on 127.0.0.2 is in use by another program");
	assert_explained(registry, IPPROTO_TCP, "::", 2222,
			 "TCP port 2222 on :: is in use by another program");
	assert_true(registry_find_port_holder(registry, IPPROTO_TCP, &at, label));
	assert_string_equal(label, "ci-3");
	rig_child_end(&child, true);
	assert_false(registry_find_port_holder(registry, IPPROTO_TCP, &at, label));
	assert_int_equal(rig_owner_files(rig), 0);
}

static void own_ports(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("", "10.1.2.0/30");
	struct registry_holding *holding = must_hold(rig_open(rig), &request);
	struct ip_endpoint at = endpoint_of("::", 80);
	struct ip_endpoint zero = endpoint_of("::", 0);
	struct ip_endpoint none = { .addr = no_address, .port = 80 };
	struct error err = { "" };
	char label[REGISTRY_LABEL_SIZE];

	assert_int_equal(registry_hold_port(holding, IPPROTO_TCP, &zero, &err), -EINVAL);
	assert_string_equal(err.text, "only TCP and UDP ports other than 0 can be recorded");
	assert_int_equal(registry_hold_port(holding, IPPROTO_TCP, &none, &err), -EINVAL);
	assert_int_equal(registry_hold_port(holding, IPPROTO_ICMP, &at, &err), -EINVAL);
	assert_int_equal(registry_hold_port(holding, IPPROTO_TCP, &at, &err), 0);
	assert_explained(rig->registry, IPPROTO_TCP, "::1", 80,
			 "TCP port 80 on ::1 is in use by another network");
	assert_int_equal(registry_release_port(holding, IPPROTO_TCP, &at, &err), 0);
	assert_int_equal(registry_release_port(holding, IPPROTO_TCP, &at, &err), 0);
	assert_false(registry_find_port_holder(rig->registry, IPPROTO_TCP, &at, label));
	assert_int_equal(registry_hold_port(holding, IPPROTO_TCP, &at, &err), 0);
	(void)registry_holding_release(holding);
	assert_false(registry_find_port_holder(rig->registry, IPPROTO_TCP, &at, label));
}

static void assert_not_opened(struct rig *rig, int expected, const char *reason)
{
	struct registry *registry = NULL;
	struct error err = { "" };

	assert_int_equal(registry_open(&rig->paths, &registry, &err), expected);
	assert_null(registry);
	assert_non_null(strstr(err.text, reason));
}

/* Neither file is thrown away, and an untouched one goes on when the damage is moved away. */
static void damaged_files(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = wanting("a", "10.1.2.0/30");
	struct registry_assignment assignment;
	const char *folders[] = { rig->runtime, rig->state };
	const char *names[] = { "holdings.db", "assignments.db" };

	request.key = "a";
	(void)registry_holding_release(must_hold(rig_open(rig), &request));
	rig->registry = registry_close(rig->registry);
	for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
		char path[160];
		char away[160];
		struct stat status;

		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], names[i]);
		(void)snprintf(away, sizeof(away), "%s/away-%zu", rig->folder, i);
		assert_int_equal(rename(path, away), 0);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, "nonsense", 8), 8);
		(void)close(fd);
		assert_not_opened(rig, -EIO, path);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_size, 8);
		assert_int_equal(rename(away, path), 0);
	}
	assert_int_equal(registry_assignment_get(rig_open(rig), "a", &assignment, NULL), 0);
}

static void bad_directories(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(mkdir(rig->runtime, 0755), 0);
	assert_int_equal(chmod(rig->runtime, 0755), 0);
	assert_not_opened(rig, -EPERM, "mode 0755");
	assert_int_equal(rmdir(rig->runtime), 0);
	assert_int_equal(symlink(rig->folder, rig->runtime), 0);
	assert_not_opened(rig, -EPERM, "symbolic link");
	assert_int_equal(unlink(rig->runtime), 0);
	rig->paths.state_directory = "/proc/no/such";
	assert_not_opened(rig, -ENOENT, "/proc/no/such");
	rig->paths.state_directory = rig->state;
	rig_open(rig);
}

struct worker {
	struct registry *registry;
	_Atomic uint64_t *now_ns; /* of all */
	unsigned failures;
};

static void *work(void *context)
{
	struct worker *worker = context;
	struct registry_request request = { .label = "thread", .length = 30 };

	for (int i = 0; i < 50; i++) {
		struct registry_holding *first = NULL;
		struct registry_holding *second = NULL;

		worker->failures += registry_hold(worker->registry, &request, &first, NULL) < 0;
		worker->failures += registry_hold(worker->registry, &request, &second, NULL) < 0;
		if (first && second) {
			struct ip_addr addr = second->guest;

			worker->failures += ip_prefix_overlaps(&first->subnet, &second->subnet);
			/* each look as if long after any other */
			worker->failures += !registry_is_held_by_other(
				first, &addr,
				atomic_fetch_add(worker->now_ns, 2 * HELD_SNAPSHOT_MOST_NS));
		}
		(void)registry_holding_release(first);
		(void)registry_holding_release(second);
	}
	return NULL;
}

static void threads_share_a_handle(void **state)
{
	struct rig *rig = *state;
	struct worker workers[4];
	pthread_t threads[ARRAY_COUNT(workers)];
	_Atomic uint64_t now_ns = 0;

	rig_open(rig);
	for (size_t i = 0; i < ARRAY_COUNT(workers); i++) {
		workers[i] = (struct worker){ .registry = rig->registry, .now_ns = &now_ns };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_COUNT(workers); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].failures, 0);
	}
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(killed_holder),	  RIG_TEST(released_holder),
		RIG_TEST(many_killed_holders),	  RIG_TEST(race_for_one_subnet),
		RIG_TEST(assignment_survives),	  RIG_TEST(assignment_calls),
		RIG_TEST(ports_of_another),	  RIG_TEST(own_ports),
		RIG_TEST(damaged_files),	  RIG_TEST(bad_directories),
		RIG_TEST(threads_share_a_handle), RIG_TEST(addresses_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
