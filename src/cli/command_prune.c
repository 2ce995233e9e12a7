#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/prune_choice.h"
#include "cli/removal.h"
#include "cli/text_table.h"
#include "vm/vm_config.h"
#include "vm/vm_directory.h"
#include "vm/vm_leftovers.h"
#include "vm/vm_lock.h"

#define DAY_S	       86400
#define DAYS_MOST      100000
#define BUDGET_GB_MOST (1UL << 24)
#define BUDGET_GB      (UINT64_C(1) << 30) /* as in Tart, whose other GB are 10^9 */

struct prune_options {
	struct prune_criteria criteria;
	bool vms; /* else caches */
	bool gc;
	bool dry_run;
};

enum {
	KEY_ENTRIES = 256,
	KEY_OLDER_THAN,
	KEY_SPACE_BUDGET,
	KEY_GC,
};

static const struct argp_option options_table[] = {
	{ .name = "entries",
	  .key = KEY_ENTRIES,
	  .arg = "caches|vms",
	  .doc = "caches (default; there are none) or vms" },
	{ .name = "older-than",
	  .key = KEY_OLDER_THAN,
	  .arg = "DAYS",
	  .doc = "remove what was not used for so many days" },
	{ .name = "space-budget",
	  .key = KEY_SPACE_BUDGET,
	  .arg = "GB",
	  .doc = "remove what was used least recently, until the rest takes no more than so many units of "
		 "2^30 bytes" },
	{ .name = "gc", .key = KEY_GC, .doc = "remove what commands that were killed left behind" },
	{ .name = "dry-run", .key = 'n', .doc = "only print what would be removed" },
	{ 0 },
};

static bool parse_entries(struct argp_state *state, const char *argument)
{
	bool vms = strcmp(argument, "vms") == 0;

	if (!vms && strcmp(argument, "caches") != 0)
		argp_error(state, "invalid value \"%s\" for --entries: expected caches or vms",
			   argument);
	return vms;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct prune_options *options = state->input;
	struct prune_criteria *criteria = &options->criteria;

	switch (key) {
	case KEY_ENTRIES:
		options->vms = parse_entries(state, argument);
		return 0;
	case KEY_OLDER_THAN:
		criteria->by_age = true;
		criteria->used_before_s =
			time(NULL) - (int64_t)command_parse_number(state, "--older-than", argument,
								   0, DAYS_MOST) *
					     DAY_S;
		return 0;
	case KEY_SPACE_BUDGET:
		criteria->by_budget = true;
		criteria->budget =
			command_parse_number(state, "--space-budget", argument, 0, BUDGET_GB_MOST) *
			BUDGET_GB;
		return 0;
	case KEY_GC:
		options->gc = true;
		return 0;
	case 'n':
		options->dry_run = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		if (!criteria->by_age && !criteria->by_budget && !options->gc)
			argp_error(state, "at least one criterion is needed: --older-than, "
					  "--space-budget or --gc");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* One that was emptied to make room is, too. A folder of another program that has a config.json is none. */
static bool is_ours(const struct vm_directory *directory)
{
	struct vm_config config;
	struct error err;

	int r = vm_config_load(directory->fd, &config, &err);
	if (r == 0)
		vm_config_done(&config);
	else if (r != -ENOENT)
		fprintf(stderr, "VM \"%s\" is left as it is: %s\n", directory->name, err.text);
	return r == 0 || r == -ENOENT;
}

/* False for a VM that runs, was deleted since the names were read, or is not known to be one. */
static bool look_at(const struct vm_home *home, const char *name,
		    struct prune_candidate *ret_candidate)
{
	struct vm_directory directory;

	if (vm_directory_open(home, name, &directory, NULL) < 0)
		return false;
	struct vm_directory_usage usage = vm_directory_usage(&directory);
	bool removable = vm_lock_holder(directory.fd) == 0 && is_ours(&directory);
	vm_directory_close(&directory);
	*ret_candidate = (struct prune_candidate){
		.name = name,
		.accessed_s = usage.accessed_s,
		.allocated_size = usage.allocated_size,
	};
	return removable;
}

static void say(const char *done, const struct prune_candidate *candidate)
{
	char size[TEXT_SIZE_SIZE];
	char age[TEXT_AGE_SIZE];

	printf("%s %s (%s, used %s)\n", done, candidate->name,
	       text_format_size(candidate->allocated_size, size),
	       text_format_age(time(NULL) - candidate->accessed_s, age));
}

static int remove_chosen(const struct vm_home *home, const struct prune_candidate *candidate)
{
	struct vm_directory directory;
	struct error err;
	bool removed;

	int r = vm_directory_open(home, candidate->name, &directory, &err);
	if (r == -ENOENT)
		return COMMAND_OK; /* somebody else was faster */
	if (r < 0)
		return command_fail(COMMAND_FAILED, &err);
	int code = removal_of_chosen(home, &directory, candidate->accessed_s, &removed);
	if (code == COMMAND_OK && removed)
		say("removed", candidate);
	vm_directory_close(&directory);
	return code;
}

/* One that cannot be removed does not keep the others. */
static int prune(const struct vm_home *home, const struct prune_options *options,
		 char *const *names, size_t count)
{
	autofree struct prune_candidate *candidates = calloc(count + 1, sizeof(*candidates));
	int code = COMMAND_OK;
	size_t found = 0;

	if (!candidates) {
		fputs("out of memory\n", stderr);
		return COMMAND_FAILED;
	}
	for (size_t i = 0; i < count; i++)
		found += look_at(home, names[i], &candidates[found]);
	prune_choose(&options->criteria, candidates, found);
	for (size_t i = 0; i < found; i++) {
		if (!candidates[i].chosen)
			continue;
		if (options->dry_run)
			say("would remove", &candidates[i]);
		else if (remove_chosen(home, &candidates[i]) != COMMAND_OK)
			code = COMMAND_FAILED;
	}
	return code;
}

static int prune_vms(const struct vm_home *home, const struct prune_options *options)
{
	struct error err;
	char **names;
	size_t count;

	if (vm_directory_names(home, &names, &count, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	int code = prune(home, options, names, count);
	vm_directory_free_names(names, count);
	return code;
}

/* One that is in use keeps what it has, as one that is none of ours; one that is gone has nothing. */
static int sweep_vm(const struct vm_home *home, const char *name)
{
	struct vm_directory directory;
	struct error err;

	int r = vm_directory_open(home, name, &directory, &err);
	if (r == 0) {
		r = is_ours(&directory) ? vm_leftovers_remove(home, &directory, &err) : -EBUSY;
		vm_directory_close(&directory);
	}
	if (r == 0 || r == -ENOENT || r == -ESRCH || r == -EBUSY)
		return COMMAND_OK;
	error_prefix(&err, "what may be left in VM \"%s\" stays", name);
	return command_fail(COMMAND_FAILED, &err);
}

static int sweep_vms(const struct vm_home *home)
{
	struct error err;
	char **names;
	size_t count;
	int code = COMMAND_OK;

	if (vm_directory_names(home, &names, &count, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	for (size_t i = 0; i < count; i++) {
		if (sweep_vm(home, names[i]) != COMMAND_OK)
			code = COMMAND_FAILED;
	}
	vm_directory_free_names(names, count);
	return code;
}

/* Each command sweeps the home, but does not wait for others to do so, and leaves alone what is in the VMs. */
static int sweep(const struct vm_home *home)
{
	struct error err;

	if (vm_home_lock(home, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	vm_home_sweep(home); /* gives the lock back */
	return sweep_vms(home);
}

int command_prune(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.doc = "Removes VMs that do not run, with their disks and network assignments, by when "
		       "they were used last (as tartlet list shows it) or by the room that they "
		       "take.\v"
		       "Examples:\n"
		       "  tartlet prune --entries vms --older-than 30 --dry-run\n"
		       "  tartlet prune --entries vms --space-budget 100",
	};
	struct prune_options options = { 0 };
	struct vm_home home;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	if (options.gc && !options.dry_run)
		code = sweep(&home);
	bool judge = options.criteria.by_age || options.criteria.by_budget;
	if (code == COMMAND_OK && judge && options.vms)
		code = prune_vms(&home, &options);
	else if (judge && !options.vms)
		puts("there are no caches to prune; --entries vms removes VMs");
	vm_home_close(&home);
	return code;
}
