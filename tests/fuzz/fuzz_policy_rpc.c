/* A line of softnet's control channel, of any bytes, on the rules of a network that is really there: each is answered
 * by one object of JSON-RPC 2.0, a refusal changes nothing, and rules that are answered are taken again as the same. */

#include "fuzz.h"

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sidecar/policy_rpc.h"

static struct policy_rpc rpc;
static char directory[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void end_network(void)
{
	vmnet_network_release(rpc.network);
	(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* One for all inputs, in a directory of its own. */
static void begin_network(void)
{
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
	char runtime[sizeof(directory) + 8];

	strcpy(directory, "/tmp/fuzz-policy-XXXXXX");
	FUZZ_CHECK(config && mkdtemp(directory));
	snprintf(runtime, sizeof(runtime), "%s/run", directory);
	FUZZ_CHECK(vmnet_network_configuration_set_state_directory(config, directory) ==
		   VMNET_SUCCESS);
	FUZZ_CHECK(vmnet_network_configuration_set_runtime_directory(config, runtime) ==
		   VMNET_SUCCESS);
	FUZZ_CHECK(vmnet_network_configuration_set_policy(config, NULL, 0, NULL, 0) ==
		   VMNET_SUCCESS);
	rpc.network = vmnet_network_create(config, NULL);
	FUZZ_CHECK(rpc.network && atexit(end_network) == 0);
	vmnet_network_configuration_release(config);
}

static json_t *ask(const char *request, size_t size)
{
	char *text = policy_rpc_answer(&rpc, request, size);

	FUZZ_CHECK(text && !strchr(text, '\n'));
	json_t *answer = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	FUZZ_CHECK(answer && json_object_size(answer) == 3 && json_object_get(answer, "id"));
	FUZZ_CHECK(strcmp(json_string_value(json_object_get(answer, "jsonrpc")), "2.0") == 0);
	return answer;
}

static json_t *ask_for_rules(void)
{
	static const char get[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\"}";
	json_t *answer = ask(get, strlen(get));
	json_t *rules = json_incref(json_object_get(answer, "result"));

	FUZZ_CHECK(json_object_size(rules) == 5);
	json_decref(answer);
	return rules;
}

static void check_error(const json_t *error)
{
	const json_int_t code = json_integer_value(json_object_get(error, "code"));

	FUZZ_CHECK(json_object_size(error) == 2);
	FUZZ_CHECK((code >= -32700 && code <= -32600) || code == -32001 || code == -32002);
	FUZZ_CHECK(json_string_length(json_object_get(error, "message")) > 0);
}

/* By their own revision and spelling. */
static void check_again(json_t *rules)
{
	json_t *request =
		json_pack("{ss si ss s{sO sO sO}}", "jsonrpc", "2.0", "id", 1, "method",
			  "softnet.policy.set", "params", "allow", json_object_get(rules, "allow"),
			  "block", json_object_get(rules, "block"), "desiredRevision",
			  json_object_get(rules, "desiredRevision"));
	char *text = json_dumps(request, 0);

	FUZZ_CHECK(text);
	json_t *answer = ask(text, strlen(text));
	FUZZ_CHECK(json_equal(json_object_get(answer, "result"), rules));
	json_decref(answer);
	json_decref(request);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!rpc.network)
		begin_network();
	json_t *before = ask_for_rules();
	json_t *answer = ask((const char *)data, size);
	json_t *after = ask_for_rules();
	const json_t *error = json_object_get(answer, "error");

	if (error) {
		check_error(error);
		FUZZ_CHECK(json_equal(before, after));
	} else {
		FUZZ_CHECK(json_equal(json_object_get(answer, "result"), after));
	}
	if (!json_is_null(json_object_get(after, "desiredRevision")))
		check_again(after);
	json_decref(before);
	json_decref(answer);
	json_decref(after);
	return 0;
}
