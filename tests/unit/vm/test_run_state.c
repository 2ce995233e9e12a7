#include "vm/run_state.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/vm_lock.h"

/* A child that holds the VM's lock and, if asked to, writes run.json with its own pid (plus
 * `pid_offset`); waits to be killed. */
static pid_t start_run(int directory_fd, bool writes, int pid_offset)
{
	int ends[2];
	char byte = 'y';

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct run_state state = { .pid = getpid() + pid_offset,
					   .label = "ci \xc3\xa4",
					   .is_host_only = true,
					   .is_softnet = true,
					   .forwards = json_array() };
		if (vm_lock_take(directory_fd, NULL) < 0 ||
		    !ip_prefix_parse("10.1.2.0/30", &state.subnet) ||
		    !ip_addr_parse("10.1.2.2", &state.address) ||
		    !mac_addr_parse("02:00:00:00:00:01", &state.mac))
			_exit(1);
		json_array_append_new(state.forwards, json_pack("{si}", "externalPort", 2222));
		if (writes && run_state_write(directory_fd, &state, NULL) < 0)
			_exit(1);
		if (write(ends[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

static void end_run(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_believed_only_under_the_lock(void **state)
{
	const struct scratch *scratch = *state;
	struct run_state found;
	struct error err;

	scratch_write(scratch->fd, "config.json", "{}");
	assert_int_equal(run_state_read(scratch->fd, &found, &err), -ESRCH);
	pid_t pid = start_run(scratch->fd, true, 0);
	assert_int_equal(run_state_read(scratch->fd, &found, &err), 0);
	assert_int_equal(found.pid, pid);
	assert_string_equal(found.label, "ci \xc3\xa4");
	assert_int_equal(found.subnet.length, 30);
	assert_int_equal(ip_addr_to_v4(&found.address), 0x0a010202);
	assert_int_equal(found.mac.octet[5], 1);
	assert_int_equal(json_array_size(found.forwards), 1);
	assert_true(found.is_host_only);
	assert_true(found.is_softnet);
	run_state_done(&found);
	end_run(pid);
	/* Killed: the file is there, but nobody holds the lock. */
	assert_int_equal(faccessat(scratch->fd, "run.json", F_OK, 0), 0);
	assert_int_equal(run_state_read(scratch->fd, &found, &err), -ESRCH);
	/* The next run holds the lock and has not written its own yet. */
	pid = start_run(scratch->fd, false, 0);
	assert_int_equal(run_state_read(scratch->fd, &found, &err), -ESRCH);
	end_run(pid);
	run_state_remove(scratch->fd);
	assert_int_equal(faccessat(scratch->fd, "run.json", F_OK, 0), -1);
}

static void test_damaged(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"version\":1}",
		"{\"version\":2,\"pid\":1,\"label\":\"\",\"subnet\":\"10.0.0.0/30\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":[]}",
		"{\"version\":1,\"pid\":1,\"label\":\"\",\"subnet\":\"10.0.0.0\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":[]}",
		"{\"version\":1,\"pid\":1,\"label\":\"\",\"subnet\":\"10.0.0.0/30\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":{}}",
		/* Cut to 32 bits these would be a version and a pid. */
		"{\"version\":4294967297,\"pid\":1,\"label\":\"\",\"subnet\":\"10.0.0.0/30\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":[]}",
		"{\"version\":1,\"pid\":4294967297,\"label\":\"\",\"subnet\":\"10.0.0.0/30\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":[]}",
	};
	const struct scratch *scratch = *state;
	struct run_state found;

	scratch_write(scratch->fd, "config.json", "{}");
	pid_t pid = start_run(scratch->fd, false, 0);
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct error err = { .text = "" };
		scratch_write(scratch->fd, "run.json", texts[i]);
		assert_int_equal(run_state_read(scratch->fd, &found, &err), -EINVAL);
		assert_string_equal(err.text, "run.json is damaged");
	}
	end_run(pid);
}

/* As a run of an older version wrote it. */
static void test_older(void **state)
{
	static const char text[] =
		"{\"version\":1,\"pid\":1,\"label\":\"\",\"subnet\":\"10.0.0.0/30\","
		"\"address\":\"10.0.0.2\",\"macAddress\":\"02:00:00:00:00:01\",\"forwards\":[]}";
	struct run_state found;

	(void)state;
	assert_true(run_state_parse(text, strlen(text), &found));
	assert_false(found.is_host_only);
	assert_false(found.is_softnet);
	run_state_done(&found);
}

static void test_of_another_process(void **state)
{
	const struct scratch *scratch = *state;
	struct run_state found;

	scratch_write(scratch->fd, "config.json", "{}");
	pid_t pid = start_run(scratch->fd, true, 1);
	assert_int_equal(run_state_read(scratch->fd, &found, NULL), -ESRCH);
	end_run(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_believed_only_under_the_lock, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_older),
		cmocka_unit_test_setup_teardown(test_of_another_process, scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
