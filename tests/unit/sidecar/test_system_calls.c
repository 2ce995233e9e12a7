/* The lists of system calls: no name that does not exist, none twice in a room, none limited here and free there. */
#include "sidecar/system_calls.h"

#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "vmnet/vmnet.h"

#define MOST 512

struct table {
	struct vmnet_system_call calls[MOST];
	size_t count;
};

static void take(void *context, const struct vmnet_system_call *call)
{
	struct table *table = context;

	assert_true(table->count < MOST);
	table->calls[table->count++] = *call;
}

static void take_all(struct table *table)
{
	table->count = 0;
	vmnet_visit_system_calls(take, table);
	for (size_t i = 0; i < sidecar_system_calls.count; i++) {
		const struct system_call *from = &sidecar_system_calls.calls[i];
		struct vmnet_system_call call = { .name = from->name,
						  .room = "sidecar",
						  .why = from->why };

		for (size_t c = 0; c < SYSTEM_CALL_CONDITIONS; c++) {
			call.conditions[c].argument = from->conditions[c].argument;
			call.conditions[c].mask = from->conditions[c].mask;
			call.conditions[c].value = from->conditions[c].value;
		}
		take(table, &call);
	}
}

static bool has_conditions(const struct vmnet_system_call *call)
{
	for (size_t i = 0; i < VMNET_SYSTEM_CALL_CONDITIONS; i++) {
		if (call->conditions[i].mask)
			return true;
	}
	return false;
}

static bool is_on(uint32_t architecture, const char *name)
{
	return seccomp_syscall_resolve_name_arch(architecture, name) >= 0;
}

static void every_name_is_a_system_call(void **state)
{
	static struct table table;
	(void)state;
	take_all(&table);
	assert_true(table.count > 60);
	for (size_t i = 0; i < table.count; i++) {
		const char *name = table.calls[i].name;

		if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR)
			fail_msg("%s: %s is no system call", table.calls[i].room, name);
		if (!is_on(SCMP_ARCH_X86_64, name) && !is_on(SCMP_ARCH_AARCH64, name))
			fail_msg("%s: %s is on no architecture of ours", table.calls[i].room, name);
		assert_true(strlen(table.calls[i].why) > 0);
	}
	assert_int_equal(seccomp_syscall_resolve_name("no_such_call"), __NR_SCMP_ERROR);
}

/* What one architecture lacks, another name stands for. */
static void arm64_has_what_amd64_has(void **state)
{
	static const char *const others[][2] = { { "epoll_wait", "epoll_pwait" },
						 { "poll", "ppoll" } };
	static struct table table;
	(void)state;
	take_all(&table);
	for (size_t i = 0; i < table.count; i++) {
		const char *name = table.calls[i].name;
		bool found = is_on(SCMP_ARCH_AARCH64, name);

		for (size_t k = 0; k < ARRAY_COUNT(others); k++)
			found |= strcmp(name, others[k][0]) == 0 &&
				 is_on(SCMP_ARCH_AARCH64, others[k][1]);
		if (!found)
			fail_msg("%s: what stands for %s on arm64?", table.calls[i].room, name);
	}
}

static bool is_same(const struct vmnet_system_call *one, const struct vmnet_system_call *other)
{
	return strcmp(one->room, other->room) == 0 && strcmp(one->name, other->name) == 0 &&
	       memcmp(one->conditions, other->conditions, sizeof(one->conditions)) == 0;
}

static void nothing_is_there_twice(void **state)
{
	static struct table table;
	(void)state;
	take_all(&table);
	for (size_t i = 0; i < table.count; i++) {
		for (size_t k = i + 1; k < table.count; k++) {
			const struct vmnet_system_call *one = &table.calls[i];
			const struct vmnet_system_call *other = &table.calls[k];

			if (is_same(one, other))
				fail_msg("%s has %s twice", one->room, one->name);
			if (strcmp(one->name, other->name) == 0 &&
			    has_conditions(one) != has_conditions(other))
				fail_msg("%s is limited by %s or %s, and not by the other",
					 one->name, one->room, other->room);
		}
	}
}

/* A condition is on one of six arguments, its value within its mask. */
static void conditions_can_hold(void **state)
{
	static struct table table;
	(void)state;
	take_all(&table);
	for (size_t i = 0; i < table.count; i++) {
		for (size_t c = 0; c < VMNET_SYSTEM_CALL_CONDITIONS; c++) {
			assert_true(table.calls[i].conditions[c].argument < 6);
			assert_int_equal(table.calls[i].conditions[c].value &
						 ~table.calls[i].conditions[c].mask,
					 0);
		}
	}
}

/* What no list may ever get, whoever adds to one. */
static void what_is_never_there(void **state)
{
	static const char *const names[] = {
		"open",	    "openat",	      "openat2", "creat",  "execve",  "execveat",
		"fork",	    "vfork",	      "clone",	 "clone3", "ptrace",  "unlink",
		"unlinkat", "stat",	      "kill",	 "tkill",  "mount",   "setuid",
		"unshare",  "io_uring_setup", "bpf",	 "keyctl", "seccomp", "process_vm_readv"
	};
	static const char *const limited[] = { "mmap",	     "mprotect", "socket",
					       "socketpair", "ioctl",	 "fcntl",
					       "newfstatat", "prctl",	 "tgkill" };
	static struct table table;
	(void)state;
	take_all(&table);
	for (size_t i = 0; i < table.count; i++) {
		for (size_t k = 0; k < ARRAY_COUNT(names); k++)
			assert_string_not_equal(table.calls[i].name, names[k]);
		for (size_t k = 0; k < ARRAY_COUNT(limited); k++) {
			if (strcmp(table.calls[i].name, limited[k]) == 0)
				assert_true(has_conditions(&table.calls[i]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_a_system_call),
		cmocka_unit_test(arm64_has_what_amd64_has),
		cmocka_unit_test(nothing_is_there_twice),
		cmocka_unit_test(conditions_can_hold),
		cmocka_unit_test(what_is_never_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
