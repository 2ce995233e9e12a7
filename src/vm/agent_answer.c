#include "vm/agent_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"

#define EXIT_CODE_MOST	 255
#define SIGNAL_MOST	 127 /* 128 + 127 is the last exit code */
#define EXIT_CODE_SIGNAL 128
/* What ten thousand network interfaces take. jansson needs up to some hundred bytes for a value of two: 64 MiB of them
 * would be gigabytes, while a long string is no more than it says. */
#define VALUES_MOST ((size_t)256 * 1024)

/* Before each value but the first stands one of these; those in a string count, too. */
static bool has_too_many_values(const char *line, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += line[i] == '[' || line[i] == '{' || line[i] == ',';
	return count > VALUES_MOST;
}

int agent_answer_parse(const char *line, size_t size, json_t **ret_value, struct error *err)
{
	if (has_too_many_values(line, size))
		return -E2BIG;
	json_t *root = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *value = json_object_get(root, "return");
	const char *refusal =
		json_string_value(json_object_get(json_object_get(root, "error"), "desc"));
	int r = -EPROTO;

	if (refusal) {
		error_set(err, "%s", refusal);
		r = -EREMOTEIO;
	} else if (value) {
		*ret_value = json_incref(value);
		r = 0;
	}
	json_decref(root);
	return r;
}

bool agent_answer_pid(const json_t *value, int64_t *ret_pid)
{
	const json_t *pid = json_object_get(value, "pid");

	if (!json_is_integer(pid) || json_integer_value(pid) < 0)
		return false;
	*ret_pid = json_integer_value(pid);
	return true;
}

void agent_exec_status_done(struct agent_exec_status *status)
{
	free(status->output.bytes);
	free(status->errors.bytes);
	*status = (struct agent_exec_status){ 0 };
}

static bool take_output(const json_t *value, const char *data_name, const char *truncated_name,
			struct agent_output *output)
{
	const json_t *data = json_object_get(value, data_name);
	size_t length = json_string_length(data);

	output->truncated = json_is_true(json_object_get(value, truncated_name));
	if (!data || (json_is_string(data) && length == 0))
		return true;
	if (!json_is_string(data))
		return false;
	output->bytes = malloc(base64_most_bytes(length) + 1);
	return output->bytes &&
	       base64_decode(json_string_value(data), length, output->bytes, &output->size);
}

/* A code that no process here can have (Windows has some) is a failure, never 0 by its low bits. */
static bool take_exit(const json_t *value, int *exit_code)
{
	const json_t *code = json_object_get(value, "exitcode");
	const json_t *signal = json_object_get(value, "signal");
	json_int_t number = json_integer_value(code ? code : signal);

	if (!json_is_integer(code ? code : signal))
		return false;
	*exit_code = EXIT_CODE_MOST;
	if (code && number >= 0 && number <= EXIT_CODE_MOST)
		*exit_code = (int)number;
	else if (!code && number > 0 && number <= SIGNAL_MOST)
		*exit_code = EXIT_CODE_SIGNAL + (int)number;
	return true;
}

bool agent_answer_status(const json_t *value, struct agent_exec_status *ret_status)
{
	const json_t *exited = json_object_get(value, "exited");
	struct agent_exec_status status = { .exited = json_is_true(exited) };

	if (!json_is_boolean(exited))
		return false;
	if (status.exited && (!take_exit(value, &status.exit_code) ||
			      !take_output(value, "out-data", "out-truncated", &status.output) ||
			      !take_output(value, "err-data", "err-truncated", &status.errors))) {
		agent_exec_status_done(&status);
		return false;
	}
	*ret_status = status;
	return true;
}

static bool take_address(const json_t *entry, struct ip_addr *ret_address)
{
	const char *text = json_string_value(json_object_get(entry, "ip-address"));
	struct ip_addr address;

	if (!text || !ip_addr_parse(text, &address) || !ip_addr_is_v4(&address) ||
	    ip_addr_is_unspecified(&address) || ip_addr_is_loopback(&address) ||
	    ip_addr_why_no_listener(&address))
		return false;
	*ret_address = address;
	return true;
}

bool agent_answer_address(const json_t *value, const struct mac_addr *mac,
			  struct ip_addr *ret_address)
{
	const json_t *interface;
	const json_t *entry;
	size_t i;
	size_t j;

	json_array_foreach(value, i, interface)
	{
		const char *text =
			json_string_value(json_object_get(interface, "hardware-address"));
		struct mac_addr found;

		if (!text || !mac_addr_parse(text, &found) || !mac_addr_equal(&found, mac))
			continue;
		json_array_foreach(json_object_get(interface, "ip-addresses"), j, entry)
		{
			if (take_address(entry, ret_address))
				return true;
		}
	}
	return false;
}
