#include "vm/run_state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/files.h"
#include "vm/vm_lock.h"

#define RUN_STATE_VERSION 1
#define RUN_STATE_MOST	  ((size_t)64 << 20) /* 131,070 forwards in ranges are still well below */

void run_state_done(struct run_state *state)
{
	json_decref(state->forwards);
	state->forwards = NULL;
}

static json_t *to_json(const struct run_state *state)
{
	char subnet[IP_PREFIX_TEXT_SIZE];
	char address[IP_ADDR_TEXT_SIZE];
	char mac[MAC_ADDR_TEXT_SIZE];

	/* "O" keeps the caller's reference. */
	return json_pack("{si sI ss ss ss ss sb sb sO}", "version", RUN_STATE_VERSION, "pid",
			 (json_int_t)state->pid, "label", state->label, "subnet",
			 ip_prefix_format(&state->subnet, subnet), "address",
			 ip_addr_format(&state->address, address), "macAddress",
			 mac_addr_format(&state->mac, mac), "hostOnly", (int)state->is_host_only,
			 "softnet", (int)state->is_softnet, "forwards", state->forwards);
}

int run_state_write(int directory_fd, const struct run_state *state, struct error *err)
{
	json_t *root = to_json(state);
	autofree char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	int r = text ? files_write_atomic(directory_fd, "run.json", text, strlen(text)) : -ENOMEM;

	if (r < 0)
		error_set(err, "cannot write run.json: %s", strerror(-r));
	return r;
}

void run_state_remove(int directory_fd)
{
	(void)unlinkat(directory_fd, "run.json", 0); /* not believed without the lock anyway */
}

static bool from_json(json_t *root, struct run_state *ret_state)
{
	struct run_state state = { 0 };
	const char *label;
	const char *subnet;
	const char *address;
	const char *mac;
	json_t *forwards;
	json_int_t pid;
	json_int_t version;
	/* A run of an older version does not say these. */
	int is_host_only = 0;
	int is_softnet = 0;

	if (json_unpack(root, "{sI sI ss ss ss ss s?b s?b so !}", "version", &version, "pid", &pid,
			"label", &label, "subnet", &subnet, "address", &address, "macAddress", &mac,
			"hostOnly", &is_host_only, "softnet", &is_softnet, "forwards",
			&forwards) < 0 ||
	    version != RUN_STATE_VERSION || pid <= 0 || pid > INT_MAX || !json_is_array(forwards) ||
	    strlen(label) >= sizeof(state.label) || !ip_prefix_parse(subnet, &state.subnet) ||
	    !ip_addr_parse(address, &state.address) || !mac_addr_parse(mac, &state.mac))
		return false;
	state.pid = (pid_t)pid;
	snprintf(state.label, sizeof(state.label), "%s", label);
	state.is_host_only = is_host_only != 0;
	state.is_softnet = is_softnet != 0;
	state.forwards = json_incref(forwards);
	*ret_state = state;
	return true;
}

bool run_state_parse(const char *text, size_t size, struct run_state *ret_state)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	bool good = root && from_json(root, ret_state);

	json_decref(root);
	return good;
}

int run_state_read(int directory_fd, struct run_state *ret_state, struct error *err)
{
	autofree char *text = NULL;
	size_t size;

	pid_t holder = vm_lock_holder(directory_fd);
	if (holder == 0)
		return -ESRCH;
	int r = files_read(directory_fd, "run.json", RUN_STATE_MOST, &text, &size);
	if (r == -ENOENT)
		return -ESRCH;
	if (r < 0) {
		error_set(err, "cannot read run.json: %s", strerror(-r));
		return r;
	}
	struct run_state state;
	if (!run_state_parse(text, size, &state)) {
		error_set(err, "run.json is damaged");
		return -EINVAL;
	}
	/* Left over by a run that was killed; the one that runs now has not come that far.
	 * An unknown holder has another number there than here: it is believed. */
	if (holder != VM_LOCK_HOLDER_UNKNOWN && state.pid != holder) {
		run_state_done(&state);
		return -ESRCH;
	}
	*ret_state = state;
	return 0;
}
