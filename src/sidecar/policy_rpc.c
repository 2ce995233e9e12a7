#include "sidecar/policy_rpc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ID_MOST 256 /* bytes of a text */

/* --- answers -------------------------------------------------------------------------------------- */

/* Takes over id and value, which is the result or the error. */
static char *finish(json_t *id, const char *kind, json_t *value)
{
	json_t *answer = json_pack("{ss so so}", "jsonrpc", "2.0", "id", id, kind, value);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	return text;
}

static json_t *error_value(enum policy_rpc_code code, const char *message)
{
	return json_pack("{si ss}", "code", (int)code, "message", message);
}

/* --- the rules in force ------------------------------------------------------------------------------ */

struct lists {
	json_t *allow;
	json_t *block;
};

static void list_rule(void *context, bool allow, const char *rule)
{
	const struct lists *lists = context;

	(void)json_array_append_new(allow ? lists->allow : lists->block, json_string(rule));
}

/* NULL: no memory. */
static json_t *policy_value(const struct policy_rpc *rpc)
{
	struct lists lists = { json_array(), json_array() };
	struct vmnet_policy_status status = { 0 };

	if (vmnet_network_visit_policy(rpc->network, list_rule, &lists, &status, NULL) !=
	    VMNET_SUCCESS) {
		json_decref(lists.allow);
		json_decref(lists.block);
		return NULL;
	}
	return json_pack("{so so ss? sI sb}", "allow", lists.allow, "block", lists.block,
			 "desiredRevision", rpc->revision[0] != '\0' ? rpc->revision : NULL,
			 "ruleCount", (json_int_t)status.rule_count, "bridgeIsolation",
			 status.isolated ? 1 : 0);
}

/* --- softnet.policy.set ------------------------------------------------------------------------------ */

struct wanted {
	const char **allow; /* texts of the request's JSON */
	const char **block;
	size_t allow_count;
	size_t block_count;
	const char *revision;
};

static const char **take_list(const json_t *list, size_t *ret_count)
{
	const char **texts = calloc(json_array_size(list) + 1, sizeof(*texts));
	const json_t *item;
	size_t i;

	if (!texts)
		return NULL;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item)) {
			free(texts);
			return NULL;
		}
		texts[i] = json_string_value(item);
	}
	*ret_count = json_array_size(list);
	return texts;
}

static void wanted_done(struct wanted *wanted)
{
	free(wanted->allow);
	free(wanted->block);
}

/* NULL, or what is wrong with the parameters. */
static const char *take_params(json_t *params, struct wanted *wanted)
{
	json_t *allow;
	json_t *block;
	json_t *revision;

	if (json_unpack(params, "{so so so !}", "allow", &allow, "block", &block, "desiredRevision",
			&revision) < 0 ||
	    !json_is_array(allow) || !json_is_array(block) || !json_is_string(revision))
		return "allow and block, lists of rules, and desiredRevision, a text, are needed, and "
		       "nothing else";
	wanted->revision = json_string_value(revision);
	if (json_string_length(revision) == 0 ||
	    json_string_length(revision) > POLICY_RPC_REVISION_MOST)
		return "desiredRevision has 1 to 256 bytes";
	if (json_array_size(allow) + json_array_size(block) > POLICY_RPC_RULES_MOST)
		return "allow and block have at most 4096 rules together";
	wanted->allow = take_list(allow, &wanted->allow_count);
	wanted->block = take_list(block, &wanted->block_count);
	return wanted->allow && wanted->block ? NULL : "a rule is a text";
}

/* The lists as the network would list them, for comparing. Both NULL, with the sentence: they are no rules. */
static struct lists normalise(const struct wanted *wanted, char sentence[256])
{
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
	struct lists lists = { json_array(), json_array() };

	if (config &&
	    vmnet_network_configuration_set_policy(config, wanted->allow, wanted->allow_count,
						   wanted->block,
						   wanted->block_count) == VMNET_SUCCESS &&
	    vmnet_network_configuration_visit_policy(config, list_rule, &lists) == VMNET_SUCCESS) {
		vmnet_network_configuration_release(config);
		return lists;
	}
	json_decref(lists.allow);
	json_decref(lists.block);
	const char *said = config ? vmnet_network_configuration_get_error(config) : "out of memory";
	strncpy(sentence, said, 255);
	sentence[255] = '\0';
	vmnet_network_configuration_release(config);
	return (struct lists){ NULL, NULL };
}

static bool is_in_force(const struct policy_rpc *rpc, const struct lists *lists)
{
	json_t *value = policy_value(rpc);
	bool same = json_equal(json_object_get(value, "allow"), lists->allow) &&
		    json_equal(json_object_get(value, "block"), lists->block);

	json_decref(value);
	return same;
}

/* NULL: done. */
static json_t *put_in_force(struct policy_rpc *rpc, const struct wanted *wanted)
{
	struct vmnet_error error = { "" };
	char sentence[256];
	struct lists lists = normalise(wanted, sentence);
	json_t *problem = NULL;

	if (!lists.allow)
		return error_value(POLICY_RPC_INVALID_PARAMS, sentence);
	if (strcmp(rpc->revision, wanted->revision) == 0) {
		if (!is_in_force(rpc, &lists))
			problem = error_value(POLICY_RPC_REVISION_CONFLICT,
					      "this desiredRevision has other rules already");
	} else {
		vmnet_return_t status =
			vmnet_network_set_policy(rpc->network, wanted->allow, wanted->allow_count,
						 wanted->block, wanted->block_count, &error);
		if (status == VMNET_NOT_AUTHORIZED)
			problem = error_value(POLICY_RPC_ISOLATION_CONFLICT, error.text);
		else if (status != VMNET_SUCCESS)
			problem = error_value(POLICY_RPC_INTERNAL_ERROR, error.text);
		else
			memcpy(rpc->revision, wanted->revision,
			       strlen(wanted->revision) + 1); /* take_params() measured it */
	}
	json_decref(lists.allow);
	json_decref(lists.block);
	return problem;
}

static json_t *set_policy(struct policy_rpc *rpc, json_t *params)
{
	struct wanted wanted = { 0 };
	const char *wrong = take_params(params, &wanted);
	json_t *problem =
		wrong ? error_value(POLICY_RPC_INVALID_PARAMS, wrong) : put_in_force(rpc, &wanted);

	wanted_done(&wanted);
	return problem;
}

/* --- requests ----------------------------------------------------------------------------------------- */

/* NULL: answered by the rules in force. */
static json_t *serve(struct policy_rpc *rpc, const char *method, json_t *params)
{
	if (strcmp(method, "softnet.policy.set") == 0)
		return set_policy(rpc, params);
	if (strcmp(method, "softnet.policy.get") != 0)
		return error_value(POLICY_RPC_METHOD_NOT_FOUND,
				   "the methods are softnet.policy.get and softnet.policy.set");
	if (params && !json_is_null(params) &&
	    !(json_is_object(params) && json_object_size(params) == 0))
		return error_value(POLICY_RPC_INVALID_PARAMS,
				   "softnet.policy.get takes no parameters");
	return NULL;
}

static bool is_id(const json_t *id)
{
	return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= ID_MOST);
}

char *policy_rpc_answer(struct policy_rpc *rpc, const char *request, size_t size)
{
	/* Without JSON_ALLOW_NUL: no text has a zero inside, which would cut it off. */
	json_t *root = json_loadb(request, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	json_t *id = json_object_get(root, "id");
	json_t *params = NULL;
	const char *version = NULL;
	const char *method = NULL;
	json_t *problem = NULL;
	char *text;

	if (!root)
		return finish(json_null(), "error",
			      error_value(POLICY_RPC_PARSE_ERROR, "this is no JSON"));
	if (!is_id(id) ||
	    json_unpack(root, "{ss so ss s?o !}", "jsonrpc", &version, "id", &id, "method", &method,
			"params", &params) < 0 ||
	    strcmp(version, "2.0") != 0)
		problem = error_value(
			POLICY_RPC_INVALID_REQUEST,
			"a request has jsonrpc \"2.0\", an id (a text or an integer), a "
			"method, perhaps params, and nothing else");
	else
		problem = serve(rpc, method, params);
	id = is_id(id) ? json_incref(id) : json_null();
	if (problem)
		text = finish(id, "error", problem);
	else
		text = finish(id, "result", policy_value(rpc));
	json_decref(root);
	return text;
}

char *policy_rpc_too_long(void)
{
	return finish(json_null(), "error",
		      error_value(POLICY_RPC_PARSE_ERROR, "a request has at most 1 MiB"));
}
