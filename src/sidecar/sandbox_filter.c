/*
 * The list of system calls that are left, for all threads. What is not on it fails with EPERM, as a missing right
 * would; a call by the table of another architecture (i386, x32) ends the process: nothing of ours makes one.
 */

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/sandbox_internal.h"
#include "sidecar/system_calls.h"
#include "vmnet/vmnet.h"

/* Calls with conditions are added behind those without, which hold for them, too. */
struct filter {
	scmp_filter_ctx context;
	bool with_conditions; /* which of them are added now */
	int result;
};

static int add(struct filter *filter, const char *name, unsigned count,
	       const struct scmp_arg_cmp *conditions)
{
	int number = seccomp_syscall_resolve_name(name);

	/* Negative: not on this architecture. The test of the lists knows all names. */
	if (number < 0)
		return 0;
	int r = seccomp_rule_add_array(filter->context, SCMP_ACT_ALLOW, number, count, conditions);
	return r == -EEXIST ? 0 : r; /* two rooms need the same */
}

static void add_call(struct filter *filter, const struct system_call *call)
{
	struct scmp_arg_cmp conditions[SYSTEM_CALL_CONDITIONS];
	unsigned count = 0;

	for (size_t i = 0; i < SYSTEM_CALL_CONDITIONS; i++) {
		const struct system_call_condition *from = &call->conditions[i];

		if (from->mask != 0)
			conditions[count++] = SCMP_CMP64(from->argument, SCMP_CMP_MASKED_EQ,
							 from->mask, from->value);
	}
	if (filter->result == 0 && filter->with_conditions == (count > 0))
		filter->result = add(filter, call->name, count, conditions);
}

static void add_network_call(void *context, const struct vmnet_system_call *from)
{
	struct system_call call = { .name = from->name, .why = from->why };

	for (size_t i = 0; i < SYSTEM_CALL_CONDITIONS; i++) {
		call.conditions[i] =
			(struct system_call_condition){ .argument = from->conditions[i].argument,
							.mask = from->conditions[i].mask,
							.value = from->conditions[i].value };
	}
	add_call(context, &call);
}

/* abort(), and nobody else than this process. */
static void add_abort(struct filter *filter)
{
	const struct system_call own = {
		.name = "tgkill",
		.why = "abort()",
		.conditions = { SYSTEM_CALL_INT_IS(0, getpid()), SYSTEM_CALL_INT_IS(2, SIGABRT) },
	};

	add_call(filter, &own);
}

static void add_all(struct filter *filter)
{
	vmnet_visit_system_calls(add_network_call, filter);
	for (size_t i = 0; i < sidecar_system_calls.count; i++)
		add_call(filter, &sidecar_system_calls.calls[i]);
	add_abort(filter);
}

static int set_attributes(scmp_filter_ctx context)
{
	static const struct {
		enum scmp_filter_attr attribute;
		uint32_t value;
	} attributes[] = {
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS },
		{ SCMP_FLTATR_CTL_TSYNC, 1 },
		{ SCMP_FLTATR_CTL_NNP, 0 },	 /* sandbox_enter() set no_new_privs */
		{ SCMP_FLTATR_CTL_OPTIMIZE, 2 }, /* a tree of numbers: they are a hundred */
	};

	for (size_t i = 0; i < ARRAY_COUNT(attributes); i++) {
		int r = seccomp_attr_set(context, attributes[i].attribute, attributes[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

int sandbox_lock(struct sandbox *sandbox, struct error *err)
{
	struct filter filter = { .context = seccomp_init(SCMP_ACT_ERRNO(EPERM)) };

	if (!filter.context) {
		error_set(err, "cannot restrict the system calls: out of memory");
		return -ENOMEM;
	}
	filter.result = set_attributes(filter.context);
	add_all(&filter);
	filter.with_conditions = true;
	add_all(&filter);
	if (filter.result == 0)
		filter.result = sandbox->kernel->load_filter(filter.context);
	seccomp_release(filter.context);
	if (filter.result < 0)
		error_set(err, "cannot restrict the system calls: %s", strerror(-filter.result));
	return filter.result;
}
