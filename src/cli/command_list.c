#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/text_table.h"
#include "vm/vm_directory.h"
#include "vm/vm_lock.h"

#define GB	  UINT64_C(1000000000)
#define TIME_SIZE 32

struct list_options {
	bool json;
	bool quiet;
	bool local; /* else those of a registry, which there are none of */
};

struct listed_vm {
	const char *name; /* borrowed */
	struct vm_directory_usage usage;
	bool running;
	bool suspended; /* unless it runs */
};

enum {
	KEY_SOURCE = 256,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct list_options *options = state->input;

	switch (key) {
	case 'f':
		options->json = command_parse_format(state, argument);
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case KEY_SOURCE:
		options->local = strcmp(argument, "local") == 0;
		if (!options->local && strcmp(argument, "oci") != 0)
			argp_error(state,
				   "invalid value \"%s\" for --source: expected local or oci",
				   argument);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *state_name(const struct listed_vm *vm)
{
	if (vm->running)
		return "running";
	return vm->suspended ? "suspended" : "stopped";
}

static void print_json(const struct listed_vm *vms, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		char accessed[TIME_SIZE];
		time_t accessed_s = vms[i].usage.accessed_s;
		struct tm broken;
		strftime(accessed, sizeof(accessed), "%Y-%m-%dT%H:%M:%SZ",
			 gmtime_r(&accessed_s, &broken));
		json_array_append_new(list,
				      json_pack("{ss ss sI sI ss sb ss}", "Source", "local", "Name",
						vms[i].name, "Disk",
						(json_int_t)(vms[i].usage.disk_size / GB), "Size",
						(json_int_t)(vms[i].usage.allocated_size / GB),
						"Accessed", accessed, "Running",
						(int)vms[i].running, "State", state_name(&vms[i])));
	}
	command_print_json(list);
	json_decref(list);
}

static void print_table(const struct listed_vm *vms, size_t count)
{
	static const char *const head[] = { "Source", "Name", "Disk", "Size", "Accessed", "State" };
	const size_t columns = ARRAY_COUNT(head);
	struct texts {
		char disk[TEXT_SIZE_SIZE];
		char size[TEXT_SIZE_SIZE];
		char age[TEXT_AGE_SIZE];
	};

	if (count == 0) {
		putchar('\n'); /* as Tart does */
		return;
	}
	autofree struct texts *texts = calloc(count, sizeof(*texts));
	autofree const char **cells = calloc((count + 1) * columns, sizeof(*cells));
	if (!texts || !cells)
		return;
	memcpy(cells, head, sizeof(head));
	int64_t now_s = time(NULL);
	for (size_t i = 0; i < count; i++) {
		const char **row = cells + (i + 1) * columns;
		const struct vm_directory_usage *usage = &vms[i].usage;
		row[0] = "local";
		row[1] = vms[i].name;
		row[2] = text_format_size(usage->disk_size, texts[i].disk);
		row[3] = text_format_size(usage->allocated_size, texts[i].size);
		row[4] = text_format_age(now_s - usage->accessed_s, texts[i].age);
		row[5] = state_name(&vms[i]);
	}
	text_table_print(stdout, cells, count + 1, columns);
}

/* False for a VM that was deleted since the names were read. */
static bool look_at(const struct vm_home *home, const char *name, struct listed_vm *ret_vm)
{
	struct vm_directory directory;

	if (vm_directory_open(home, name, &directory, NULL) < 0)
		return false;
	*ret_vm = (struct listed_vm){
		.name = name,
		.usage = vm_directory_usage(&directory),
		.running = vm_lock_holder(directory.fd) != 0,
		.suspended = vm_directory_is_suspended(&directory),
	};
	vm_directory_close(&directory);
	return true;
}

static void print_vms(const struct vm_home *home, const struct list_options *options,
		      char *const *names, size_t count)
{
	autofree struct listed_vm *vms = calloc(count + 1, sizeof(*vms));
	size_t found = 0;

	if (!vms)
		return;
	for (size_t i = 0; i < count; i++)
		found += look_at(home, names[i], &vms[found]);
	if (options->quiet) {
		for (size_t i = 0; i < found; i++)
			puts(vms[i].name);
	} else if (options->json) {
		print_json(vms, found);
	} else {
		print_table(vms, found);
	}
}

int command_list(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		COMMAND_FORMAT_OPTION,
		{ .name = "quiet", .key = 'q', .doc = "names only" },
		{ .name = "source",
		  .key = KEY_SOURCE,
		  .arg = "SOURCE",
		  .doc = "local or oci, for scripts written for Tart: all that there is is local" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.doc = "Lists the VMs.\v"
		       "Examples:\n"
		       "  tartlet list\n"
		       "  tartlet list --quiet\n"
		       "  tartlet list --format json | jq -r '.[] | select(.Running).Name'",
	};
	struct list_options options = { .local = true };
	struct vm_home home;
	struct error err;
	char **names;
	size_t count;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	if (vm_directory_names(&home, &names, &count, &err) < 0) {
		code = command_fail(COMMAND_FAILED, &err);
	} else {
		print_vms(&home, &options, names, options.local ? count : 0);
		vm_directory_free_names(names, count);
	}
	vm_home_close(&home);
	return code;
}
