/*
 * A rename of a key is done or not done: also when the process that does it is killed at, or in the
 * middle of, any system call by which it writes, when any of them fails, and when several processes
 * rename at once.
 */
#include "registry/key_rename.h"

#include "registry_rig.h"

#include <errno.h>
#include <poll.h>
#include <sqlite3.h>

#define SUBNET_OLD   "10.1.2.0/30"
#define SUBNET_NEW   "10.1.2.4/30"
#define SUBNET_OTHER "10.1.2.8/30"

static const struct registry_rename old_to_new = { "old", "new", "old", "new" };
static const struct registry_rename new_to_old = { "new", "old", "new", "old" };

static struct registry_request keyed(const char *key, const char *subnet)
{
	struct registry_request request = wanting(key, subnet);

	request.key = key;
	return request;
}

/* Both files, for looking and for changing. Whoever forks must not have them open. */
struct records {
	struct rig *rig;
	struct registry *registry;
	struct holding_store holdings;
	char state[PATH_MAX];
};

static void records_open(struct records *records, struct rig *rig)
{
	records->rig = rig;
	records->registry = rig_open(rig);
	assert_non_null(realpath(rig->state, records->state));
	assert_int_equal(holding_store_open(&records->holdings, rig->runtime, NULL), 0);
}

static void records_close(struct records *records)
{
	holding_store_close(&records->holdings);
	records->registry = records->rig->registry = registry_close(records->registry);
}

static void assign(struct records *records, const char *key, const char *subnet)
{
	struct registry_request request = keyed(key, subnet);

	(void)registry_holding_release(must_hold(records->registry, &request));
}

static void must_rename(struct records *records, const struct registry_rename *rename)
{
	struct error err = { "" };
	int result = registry_assignment_rename(records->registry, rename, &err);

	assert_string_equal(err.text, "");
	assert_int_equal(result, 0);
}

static void must_not_rename(struct records *records, const struct registry_rename *rename,
			    int expected, const char *sentence)
{
	struct error err = { "" };
	int result = registry_assignment_rename(records->registry, rename, &err);

	assert_string_equal(err.text, sentence);
	assert_int_equal(result, expected);
}

static bool is_assigned(struct records *records, const char *key)
{
	struct registry_assignment assignment;

	return registry_assignment_get(records->registry, key, &assignment, NULL) == 0;
}

/* NULL = the key must have no assignment. */
static void assert_assigned(struct records *records, const char *key, const char *subnet)
{
	struct registry_assignment assignment;
	int result = registry_assignment_get(records->registry, key, &assignment, NULL);

	assert_int_equal(result, subnet ? 0 : -ENOENT);
	if (subnet)
		assert_prefix(&assignment.subnet, subnet);
}

/* The label of the live holding of a key, or NULL; valid until the next call. */
static const char *live(struct records *records, const char *key)
{
	static struct holding_row row;
	struct holding_store *store = &records->holdings;

	assert_int_equal(holding_store_begin(store, NULL), 0);
	int result = holding_store_find_key(store, records->state, key, &row, NULL);

	assert_true(result >= 0);
	assert_int_equal(holding_store_commit(store, NULL), 0);
	return result == 1 ? row.label : NULL;
}

static void assert_live(struct records *records, const char *key, const char *label)
{
	const char *found = live(records, key);

	assert_int_equal(found != NULL, label != NULL);
	if (label)
		assert_string_equal(found, label);
}

/* --- what a rename does ------------------------------------------------------------------- */

static void without_a_holding(void **state)
{
	char key[REGISTRY_KEY_SIZE + 1] = "";
	struct registry_rename rename = { .from = "old", .to = key };
	struct records records;

	records_open(&records, *state);
	assign(&records, "old", SUBNET_OLD);
	assign(&records, "new", SUBNET_NEW);
	assign(&records, "other", SUBNET_OTHER);
	must_rename(&records, &old_to_new);
	assert_assigned(&records, "old", NULL);
	assert_assigned(&records, "new", SUBNET_OLD);
	assert_assigned(&records, "other", SUBNET_OTHER);

	must_not_rename(&records, &old_to_new, -ENOENT, "\"old\" has no assignment");
	assert_assigned(&records, "new", SUBNET_OLD);
	must_rename(&records, &(struct registry_rename){ .from = "new", .to = "new" });
	assert_assigned(&records, "new", SUBNET_OLD);

	must_not_rename(&records, &rename, -EINVAL,
			"the key of an assignment must have 1 to 255 bytes");
	memset(key, 'k', sizeof(key) - 1);
	must_not_rename(&records, &rename, -EINVAL,
			"the key of an assignment must have 1 to 255 bytes");
	key[sizeof(key) - 2] = '\0';
	rename.from = "new";
	must_rename(&records, &rename);
	assert_assigned(&records, key, SUBNET_OLD);
	records_close(&records);
}

/* Everybody else knows the running machine by its new name, and the old one is free. */
static void with_a_live_holding(void **state)
{
	struct registry_request request = keyed("old", SUBNET_OLD);
	struct rig_child child = rig_child_start(*state, &request, NULL);
	struct records records;

	records_open(&records, *state);
	must_rename(&records, &old_to_new);
	request = wanting("thief", SUBNET_OLD);
	must_not_hold(records.registry, &request, -EADDRINUSE,
		      "subnet " SUBNET_OLD " is in use by VM \"new\"");
	request = (struct registry_request){ .key = "new", .length = 30 };
	must_not_hold(records.registry, &request, -EBUSY,
		      "VM \"new\" runs already: it holds subnet " SUBNET_OLD);

	/* a machine that is made under the old name has nothing to do with it */
	request.key = "old";
	request.label = "old";
	struct registry_holding *holding = must_hold(records.registry, &request);

	assert_false(ip_prefix_overlaps(&holding->subnet, &child.subnet));
	assert_string_equal(holding->warning.text, "");
	(void)registry_holding_release(holding);

	/* its end ends the holding as before, and the next run finds the assignment */
	rig_child_end(&child, false);
	request = (struct registry_request){ .key = "new", .length = 30 };
	holding = must_hold(records.registry, &request);
	assert_prefix(&holding->subnet, SUBNET_OLD);
	(void)registry_holding_release(holding);
	records_close(&records);
}

static void labels(void **state)
{
	struct registry_request request = keyed("old", SUBNET_OLD);
	struct registry_rename without = { .from = "new", .to = "old" };
	struct records records;

	request.label = "build machine";
	struct rig_child child = rig_child_start(*state, &request, NULL);

	records_open(&records, *state);
	must_rename(&records, &old_to_new);
	assert_live(&records, "new", "build machine");
	assert_live(&records, "old", NULL);
	must_rename(&records, &without);
	assert_live(&records, "old", "build machine");
	records_close(&records);
	rig_child_end(&child, false);
}

static void onto_a_live_holding(void **state)
{
	struct registry_request old_request = keyed("old", SUBNET_OLD);
	struct registry_request new_request = keyed("new", SUBNET_NEW);
	struct rig_child old_child = rig_child_start(*state, &old_request, NULL);
	struct rig_child new_child = rig_child_start(*state, &new_request, NULL);
	struct records records;

	records_open(&records, *state);
	must_not_rename(&records, &old_to_new, -EBUSY,
			"\"old\" cannot be renamed to \"new\" while it runs: "
			"VM \"new\" holds subnet " SUBNET_NEW);
	assert_assigned(&records, "old", SUBNET_OLD);
	assert_assigned(&records, "new", SUBNET_NEW);
	assert_live(&records, "old", "old");
	assert_live(&records, "new", "new");

	/* what runs under the new key alone goes on; its assignment is another one then */
	rig_child_end(&old_child, true);
	must_rename(&records, &old_to_new);
	assert_assigned(&records, "new", SUBNET_OLD);
	assert_live(&records, "new", "new");
	assert_int_equal(rig_owner_files(*state), 1); /* not the killed one's */
	records_close(&records);
	rig_child_end(&new_child, false);
}

/* Its assignment was removed while it ran. */
static void a_live_holding_alone(void **state)
{
	struct registry_request request = keyed("old", SUBNET_OLD);
	struct rig_child child = rig_child_start(*state, &request, NULL);
	struct records records;

	records_open(&records, *state);
	assert_int_equal(registry_assignment_remove(records.registry, "old", NULL), 0);
	assign(&records, "new", SUBNET_NEW);
	must_rename(&records, &old_to_new);
	assert_live(&records, "old", NULL);
	assert_live(&records, "new", "new");
	assert_assigned(&records, "new", SUBNET_NEW);
	records_close(&records);
	rig_child_end(&child, false);
}

/* --- faults at every system call that writes ---------------------------------------------- */

enum fault {
	FAULT_KILL_BEFORE, /* the call is not made */
	FAULT_KILL_HALF,   /* half of the bytes are written */
	FAULT_ERROR,	   /* the call fails */
};

/* Of the child process alone. */
static struct {
	enum fault fault;
	unsigned at; /* the call that it hits, from 1 */
	unsigned count;
} plan;

static ssize_t (*real_write)(int fd, const void *bytes, size_t size);
static ssize_t (*real_pwrite)(int fd, const void *bytes, size_t size, off_t at);
static int (*real_ftruncate)(int fd, off_t size);
static int (*real_fallocate)(int fd, off_t at, off_t size);
static int (*real_unlink)(const char *path);
static int (*real_open)(const char *path, int flags, int mode);

/* True when this call is to fail; or it does not return. */
static bool is_hit(void)
{
	if (++plan.count != plan.at)
		return false;
	if (plan.fault == FAULT_KILL_BEFORE)
		(void)raise(SIGKILL);
	errno = EIO;
	return true;
}

static ssize_t fault_write(int fd, const void *bytes, size_t size)
{
	if (!is_hit())
		return real_write(fd, bytes, size);
	if (plan.fault == FAULT_KILL_HALF) {
		(void)!real_write(fd, bytes, size / 2);
		(void)raise(SIGKILL);
	}
	return -1;
}

static ssize_t fault_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	if (!is_hit())
		return real_pwrite(fd, bytes, size, at);
	if (plan.fault == FAULT_KILL_HALF) {
		(void)!real_pwrite(fd, bytes, size / 2, at);
		(void)raise(SIGKILL);
	}
	return -1;
}

/* The others have no half: they are killed right behind the call. */
static int end_call(int result)
{
	if (plan.fault == FAULT_KILL_HALF)
		(void)raise(SIGKILL);
	return result;
}

static int fault_ftruncate(int fd, off_t size)
{
	if (!is_hit())
		return real_ftruncate(fd, size);
	return plan.fault == FAULT_ERROR ? -1 : end_call(real_ftruncate(fd, size));
}

static int fault_fallocate(int fd, off_t at, off_t size)
{
	if (!is_hit())
		return real_fallocate(fd, at, size);
	return plan.fault == FAULT_ERROR ? -1 : end_call(real_fallocate(fd, at, size));
}

static int fault_unlink(const char *path)
{
	if (!is_hit())
		return real_unlink(path);
	return plan.fault == FAULT_ERROR ? -1 : end_call(real_unlink(path));
}

static int fault_open(const char *path, int flags, int mode)
{
	if (!(flags & O_CREAT) || access(path, F_OK) == 0 || !is_hit())
		return real_open(path, flags, mode);
	return plan.fault == FAULT_ERROR ? -1 : end_call(real_open(path, flags, mode));
}

/* SQLite's VFS lets its system calls be replaced (sqlite3_vfs, xSetSystemCall): for such tests. */
static void install(const char *name, void *real, sqlite3_syscall_ptr fault)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	sqlite3_syscall_ptr call = vfs->xGetSystemCall(vfs, name);

	if (!call)
		return; /* not one that it was built to use */
	memcpy(real, &call, sizeof(call));
	if (vfs->xSetSystemCall(vfs, name, fault) != SQLITE_OK)
		_exit(99);
}

static void install_all(void)
{
	install("write", &real_write, (sqlite3_syscall_ptr)fault_write);
	install("pwrite", &real_pwrite, (sqlite3_syscall_ptr)fault_pwrite);
	install("pwrite64", &real_pwrite, (sqlite3_syscall_ptr)fault_pwrite);
	install("ftruncate", &real_ftruncate, (sqlite3_syscall_ptr)fault_ftruncate);
	install("fallocate", &real_fallocate, (sqlite3_syscall_ptr)fault_fallocate);
	install("unlink", &real_unlink, (sqlite3_syscall_ptr)fault_unlink);
	install("open", &real_open, (sqlite3_syscall_ptr)fault_open);
}

enum ending {
	ENDING_DONE,	   /* and the fault never came: there are fewer calls */
	ENDING_DONE_FAULT, /* although a call failed */
	ENDING_FAILED,
	ENDING_KILLED,
};

/* From opening the records to closing them. */
static void child_rename(struct rig *rig, enum fault fault, unsigned at)
{
	struct registry *registry = NULL;

	plan.fault = fault;
	plan.at = at;
	plan.count = 0;
	install_all();
	int result = registry_open(&rig->paths, &registry, NULL);

	if (result == 0)
		result = registry_assignment_rename(registry, &old_to_new, NULL);
	(void)registry_close(registry);
	bool was_hit = plan.count >= at;

	_exit(result < 0 ? ENDING_FAILED : was_hit ? ENDING_DONE_FAULT : ENDING_DONE);
}

static enum ending rename_with_fault(struct rig *rig, enum fault fault, unsigned at)
{
	int status = 0;

	assert_null(rig->registry);
	(void)fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		child_rename(rig, fault, at);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return ENDING_KILLED;
	}
	assert_true(WIFEXITED(status));
	assert_in_range(WEXITSTATUS(status), ENDING_DONE, ENDING_FAILED);
	return (enum ending)WEXITSTATUS(status);
}

static void assert_all_old(struct records *records, bool is_live)
{
	assert_assigned(records, "old", SUBNET_OLD);
	assert_assigned(records, "new", SUBNET_NEW);
	assert_live(records, "old", is_live ? "old" : NULL);
	assert_live(records, "new", NULL);
}

static void assert_all_new(struct records *records, bool is_live)
{
	assert_assigned(records, "old", NULL);
	assert_assigned(records, "new", SUBNET_OLD);
	assert_live(records, "old", NULL);
	assert_live(records, "new", is_live ? "new" : NULL);
}

/* The assignment is under one key and the holding under one, and the subnet is nobody else's. */
static void assert_whole(struct records *records, bool is_live)
{
	struct registry_request thief = wanting("thief", SUBNET_OLD);
	struct registry_holding *holding = NULL;
	bool is_moved = !is_assigned(records, "old");

	assert_assigned(records, "old", is_moved ? NULL : SUBNET_OLD);
	assert_assigned(records, "new", is_moved ? SUBNET_OLD : SUBNET_NEW);
	assert_assigned(records, "other", SUBNET_OTHER);
	if (!is_live)
		return;
	bool is_under_new = live(records, "new") != NULL;

	assert_live(records, "old", is_under_new ? NULL : "old");
	assert_live(records, "new", is_under_new ? "new" : NULL);
	assert_true(is_under_new || !is_moved); /* the holding goes first */
	assert_int_equal(registry_hold(records->registry, &thief, &holding, NULL), -EADDRINUSE);
}

static void reset(struct records *records)
{
	must_rename(records, &new_to_old);
	assign(records, "new", SUBNET_NEW);
}

/* Whatever a killed process left, the same rename again completes it. */
static unsigned kill_at_each_call(struct rig *rig, enum fault fault, bool is_live)
{
	enum ending ending = ENDING_KILLED;
	unsigned at = 0;

	while (ending != ENDING_DONE) {
		struct records records;

		ending = rename_with_fault(rig, fault, ++at);
		records_open(&records, rig);
		if (ending != ENDING_DONE) {
			assert_int_equal(ending, ENDING_KILLED);
			assert_whole(&records, is_live);
			int result =
				registry_assignment_rename(records.registry, &old_to_new, NULL);

			assert_true(result == 0 || result == -ENOENT);
		}
		assert_all_new(&records, is_live);
		reset(&records);
		records_close(&records);
	}
	return at - 1;
}

static unsigned fail_at_each_call(struct rig *rig, bool is_live)
{
	enum ending ending = ENDING_FAILED;
	unsigned at = 0;

	while (ending != ENDING_DONE) {
		struct records records;

		ending = rename_with_fault(rig, FAULT_ERROR, ++at);
		assert_int_not_equal(ending, ENDING_KILLED);
		records_open(&records, rig);
		if (ending == ENDING_FAILED) {
			assert_all_old(&records, is_live);
		} else {
			assert_all_new(&records, is_live);
			reset(&records);
		}
		records_close(&records);
	}
	return at - 1;
}

static void every_fault(struct rig *rig, bool is_live)
{
	struct records records;

	records_open(&records, rig);
	if (!is_live)
		assign(&records, "old", SUBNET_OLD);
	assign(&records, "new", SUBNET_NEW);
	assign(&records, "other", SUBNET_OTHER);
	records_close(&records);
	unsigned before = kill_at_each_call(rig, FAULT_KILL_BEFORE, is_live);
	unsigned half = kill_at_each_call(rig, FAULT_KILL_HALF, is_live);
	unsigned error = fail_at_each_call(rig, is_live);

	print_message("# %s: killed before %u calls, in the middle of %u, failed at %u\n",
		      is_live ? "live" : "not live", before, half, error);
	/* Two commits at least: the hooks saw what they are there to see. */
	assert_true(before >= 8);
	assert_int_equal(half, before);
	assert_true(error >= before); /* a failure may lead to more calls, not to fewer */
}

static void faults_without_a_holding(void **state)
{
	every_fault(*state, false);
}

static void faults_with_a_live_holding(void **state)
{
	struct registry_request request = keyed("old", SUBNET_OLD);
	struct rig_child child = rig_child_start(*state, &request, NULL);

	assert_int_equal(child.result, 0);
	every_fault(*state, true);
	rig_child_end(&child, false);
}

/* --- several processes -------------------------------------------------------------------- */

#define RENAMERS 4
#define ROUNDS	 50

/* Half of them move it there, half of them back. Whoever comes too late finds nothing to move. */
static void renamer_main(struct rig *rig, bool is_back, int go_fd, int report_fd)
{
	struct registry *registry = NULL;
	int moved = 0;
	char byte;

	if (read(go_fd, &byte, 1) != 0 || registry_open(&rig->paths, &registry, NULL) < 0)
		_exit(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int result = registry_assignment_rename(registry,
							is_back ? &new_to_old : &old_to_new, NULL);

		if (result < 0 && result != -ENOENT)
			_exit(2);
		if (result == 0)
			moved += is_back ? -1 : 1;
	}
	(void)registry_close(registry);
	_exit(write(report_fd, &moved, sizeof(moved)) != sizeof(moved));
}

struct seen {
	unsigned count;
	bool is_new;
};

static void see(void *context, const struct registry_assignment *assignment)
{
	struct seen *seen = context;

	seen->count++;
	assert_prefix(&assignment->subnet, SUBNET_OLD);
	seen->is_new = strcmp(assignment->key, "new") == 0;
}

static struct seen look(struct registry *registry)
{
	struct seen seen = { .count = 0 };
	struct error err = { "" };

	assert_int_equal(registry_assignment_visit(registry, see, &seen, &err), 0);
	assert_int_equal(seen.count, 1);
	return seen;
}

/* An observer sees it under one key at every moment; at the end both records say the same key, and
 * it has been moved there once more than back, or as often. */
static void several_processes(void **state)
{
	struct rig *rig = *state;
	struct registry_request request = keyed("old", SUBNET_OLD);
	struct rig_child child = rig_child_start(rig, &request, NULL);
	struct records records;
	pid_t pids[RENAMERS];
	int go[2];
	int reports[2];
	int moved = 0;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(reports, O_CLOEXEC), 0);
	(void)fflush(NULL);
	for (unsigned i = 0; i < RENAMERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			(void)close(go[1]);
			renamer_main(rig, i % 2 != 0, go[0], reports[1]);
		}
	}
	(void)close(go[0]);
	(void)close(reports[1]);
	(void)close(go[1]);
	records_open(&records, rig);
	/* until the last of them has closed its end */
	for (struct pollfd end = { .fd = reports[0] }; poll(&end, 1, 0) == 0;)
		(void)look(records.registry);
	bool is_new = look(records.registry).is_new;

	for (unsigned i = 0; i < RENAMERS; i++) {
		int status = 0;
		int one = 0;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		assert_int_equal(read(reports[0], &one, sizeof(one)), sizeof(one));
		moved += one;
	}
	assert_int_equal(moved, is_new);
	assert_live(&records, "old", is_new ? NULL : "old");
	assert_live(&records, "new", is_new ? "new" : NULL);
	records_close(&records);
	(void)close(reports[0]);
	rig_child_end(&child, false);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(without_a_holding),
		RIG_TEST(with_a_live_holding),
		RIG_TEST(labels),
		RIG_TEST(onto_a_live_holding),
		RIG_TEST(a_live_holding_alone),
		RIG_TEST(faults_without_a_holding),
		RIG_TEST(faults_with_a_live_holding),
		RIG_TEST(several_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
