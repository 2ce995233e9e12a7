#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/forward_text.h"
#include "cli/named_vm.h"
#include "vm/run_state.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"
#include "vm/vm_label.h"
#include "vm/vm_lock.h"
#include "vmnet/vmnet.h"

#define GB UINT64_C(1000000000)

struct get_options {
	const char *name;
	bool json;
};

/* What the network of the VM is, or would be again. */
struct network_facts {
	bool known;
	const char *reach; /* NULL while there is no network */
	struct ip_prefix subnet;
	struct ip_addr address;
	json_t *forwards; /* a list */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct get_options *options = state->input;

	switch (key) {
	case 'f':
		options->json = command_parse_format(state, argument);
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

static bool facts_from_assignment(const struct vm_home *home, const char *name,
				  struct network_facts *facts)
{
	autofree char *state_directory = NULL;
	struct vmnet_assignment assignment;

	if (vm_home_state_directory(home, &state_directory, NULL) < 0 ||
	    vmnet_assignment_get(state_directory, name, &assignment, NULL) != VMNET_SUCCESS ||
	    !ip_mask_to_length(ntohl(assignment.mask.s_addr), &facts->subnet.length))
		return false;
	facts->subnet.addr = ip_addr_from_v4(ntohl(assignment.subnet.s_addr));
	facts->address = ip_addr_from_v4(ntohl(assignment.address.s_addr));
	return true;
}

/* Of the run under way; else of the assignment. One json_decref of .forwards. */
static int find_facts(const struct vm_home *home, const struct vm_directory *directory,
		      struct network_facts *facts, struct error *err)
{
	struct run_state state;
	int r = run_state_read(directory->fd, &state, err);

	*facts = (struct network_facts){ .known = r == 0 };
	if (r == 0) {
		facts->reach = state.is_host_only ? "host-only" : "nat";
		facts->subnet = state.subnet;
		facts->address = state.address;
		facts->forwards = json_incref(state.forwards);
		run_state_done(&state);
		return 0;
	}
	if (r != -ESRCH)
		return r;
	facts->known = facts_from_assignment(home, directory->name, facts);
	facts->forwards = json_array();
	return 0;
}

/* Of the first disk; where there is none, what an empty one would have. */
static const char *disk_format(const struct vm_config *config)
{
	return disk_format_name(config->disk_count > 0 ? config->disks[0].format : DISK_FORMAT_RAW);
}

static const char *state_name(const struct vm_directory *directory, bool running)
{
	if (running)
		return "running";
	return vm_directory_is_suspended(directory) ? "suspended" : "stopped";
}

struct seed_facts {
	bool has_seed;
	char hostname[VM_HOSTNAME_SIZE]; /* "" = none */
};

/* What the seed says to the guest is not shown: there may be secrets in it. */
static int find_seed_facts(const struct vm_directory *directory, struct seed_facts *facts,
			   struct error *err)
{
	struct seed_settings seed;
	int r = seed_settings_load(directory->fd, &seed, err);

	*facts = (struct seed_facts){ .has_seed = r == 0 };
	if (r == 0 && seed.hostname)
		snprintf(facts->hostname, sizeof(facts->hostname), "%s", seed.hostname);
	else if (!vm_label_hostname(directory->name, facts->hostname))
		facts->hostname[0] = '\0';
	if (r == 0)
		seed_settings_done(&seed);
	return r == -ENOENT ? 0 : r;
}

static json_t *to_json(const struct vm_directory *directory, const struct vm_config *config,
		       const struct network_facts *facts, const struct seed_facts *seed)
{
	struct vm_directory_usage usage = vm_directory_usage(directory);
	bool running = vm_lock_holder(directory->fd) != 0;
	char size[32];
	char display[32];
	char mac[MAC_ADDR_TEXT_SIZE];
	char subnet[IP_PREFIX_TEXT_SIZE];
	char address[IP_ADDR_TEXT_SIZE];

	snprintf(size, sizeof(size), "%.3f", (double)usage.allocated_size / (double)GB);
	snprintf(display, sizeof(display), "%ux%u", config->display.width, config->display.height);
	return json_pack("{ss sI sI sI ss ss ss sb ss ss ss? ss? ss? sO ss? sb}", "OS", "linux",
			 "CPU", (json_int_t)config->cpu_count, "Memory",
			 (json_int_t)(config->memory_size >> 20), "Disk",
			 (json_int_t)(usage.disk_size / GB), "DiskFormat", disk_format(config),
			 "Size", size, "Display", display, "Running", (int)running, "State",
			 state_name(directory, running), "MAC", mac_addr_format(&config->mac, mac),
			 "Network", facts->reach, "Subnet",
			 facts->known ? ip_prefix_format(&facts->subnet, subnet) : NULL, "Address",
			 facts->known ? ip_addr_format(&facts->address, address) : NULL, "Forwards",
			 facts->forwards, "Hostname", seed->hostname[0] ? seed->hostname : NULL,
			 "Seed", (int)seed->has_seed);
}

static void print_text(const json_t *root)
{
	static const struct {
		const char *key;
		const char *unit;
	} lines[] = {
		{ "OS", "" },	      { "CPU", "" },	 { "Memory", " MB" }, { "Disk", " GB" },
		{ "DiskFormat", "" }, { "Size", " GB" }, { "Display", "" },   { "State", "" },
		{ "MAC", "" },	      { "Network", "" }, { "Subnet", "" },    { "Address", "" },
		{ "Hostname", "" },   { "Seed", "" },
	};
	const json_t *forward;
	size_t i;

	for (i = 0; i < ARRAY_COUNT(lines); i++) {
		const char *key = lines[i].key;
		const json_t *value = json_object_get(root, key);
		if (json_is_string(value))
			printf("%-10s %s%s\n", key, json_string_value(value), lines[i].unit);
		else if (json_is_boolean(value))
			printf("%-10s %s\n", key, json_is_true(value) ? "yes" : "no");
		else if (json_is_integer(value))
			printf("%-10s %lld%s\n", key, (long long)json_integer_value(value),
			       lines[i].unit);
		else
			printf("%-10s -\n", key);
	}
	json_array_foreach(json_object_get(root, "Forwards"), i, forward)
	{
		char text[FORWARD_TEXT_SIZE];
		printf("%-10s %s\n", "Forward", forward_text_from_json(forward, text));
	}
}

static int print_vm(const struct vm_home *home, const struct vm_directory *directory,
		    const void *context)
{
	const struct get_options *options = context;
	struct network_facts facts = { 0 };
	struct seed_facts seed;
	struct vm_config config;
	struct error err;

	if (vm_directory_config(directory, &config, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	int code = COMMAND_OK;
	json_t *root = NULL;
	if (find_facts(home, directory, &facts, &err) < 0 ||
	    find_seed_facts(directory, &seed, &err) < 0) {
		code = command_fail(COMMAND_FAILED, &err);
	} else if (!(root = to_json(directory, &config, &facts, &seed))) {
		error_set(&err, "out of memory");
		code = command_fail(COMMAND_FAILED, &err);
	} else if (options->json) {
		command_print_json(root);
	} else {
		print_text(root);
	}
	json_decref(root);
	json_decref(facts.forwards);
	vm_config_done(&config);
	return code;
}

int command_get(int argc, char **argv)
{
	static const struct argp_option options_table[] = { COMMAND_FORMAT_OPTION, { 0 } };
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Prints what a VM is: settings, state, MAC, subnet, address, host "
		       "name, and while it runs its kind of network and the forwards as bound.\v"
		       "Examples:\n"
		       "  tartlet get debian\n"
		       "  tartlet get debian --format json | jq -r '.Forwards[].externalPort'",
	};
	struct get_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, print_vm, &options);
}
