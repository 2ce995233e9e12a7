#include "sidecar/policy_rpc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ID_MOST 256 /* bytes of a text */

static const char no_memory[] = "out of memory";

/* --- answers -------------------------------------------------------------------------------------- */

/* Into memory that is there: json_dumps() goes on where it had none for a key. */
static char *dump(const json_t *answer)
{
	size_t size = json_dumpb(answer, NULL, 0, JSON_COMPACT);
	char *text = size > 0 ? malloc(size + 1) : NULL;

	if (text && json_dumpb(answer, text, size, JSON_COMPACT) != size) {
		free(text);
		return NULL;
	}
	if (text)
		text[size] = '\0';
	return text;
}

/* Takes over id and value, which is the result or the error. */
static char *finish(json_t *id, const char *kind, json_t *value)
{
	json_t *answer = json_pack("{ss so so}", "jsonrpc", "2.0", "id", id, kind, value);
	char *text = answer ? dump(answer) : NULL;

	json_decref(answer);
	return text;
}

/* Why a request is refused. Kept apart from its JSON: that there is no memory for the answer must not read as a success. */
struct problem {
	enum policy_rpc_code code;
	struct error error;
};

/* Always false. */
static bool refuse(struct problem *problem, enum policy_rpc_code code, const char *sentence)
{
	problem->code = code;
	error_set(&problem->error, "%s", sentence);
	return false;
}

static char *finish_refused(json_t *id, const struct problem *problem)
{
	return finish(
		id, "error",
		json_pack("{si ss}", "code", (int)problem->code, "message", problem->error.text));
}

/* --- the rules in force ------------------------------------------------------------------------------ */

struct lists {
	json_t *allow;
	json_t *block;
	bool is_short; /* there was no memory for one of the rules, or for a list */
};

static struct lists lists_new(void)
{
	struct lists lists = { .allow = json_array(), .block = json_array() };

	lists.is_short = !lists.allow || !lists.block;
	return lists;
}

static void lists_done(struct lists *lists)
{
	json_decref(lists->allow);
	json_decref(lists->block);
}

static void list_rule(void *context, bool allow, const char *rule)
{
	struct lists *lists = context;

	if (json_array_append_new(allow ? lists->allow : lists->block, json_string(rule)) < 0)
		lists->is_short = true;
}

/* NULL: no memory. */
static json_t *policy_value(const struct policy_rpc *rpc)
{
	struct lists lists = lists_new();
	struct vmnet_policy_status status = { 0 };

	if (vmnet_network_visit_policy(rpc->network, list_rule, &lists, &status, NULL) !=
		    VMNET_SUCCESS ||
	    lists.is_short) {
		lists_done(&lists);
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

static bool is_list_of_texts(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return true;
}

/* NULL: no memory. */
static const char **take_list(const json_t *list, size_t *ret_count)
{
	const char **texts = calloc(json_array_size(list) + 1, sizeof(*texts));
	const json_t *item;
	size_t i;

	if (!texts)
		return NULL;
	json_array_foreach(list, i, item) texts[i] = json_string_value(item);
	*ret_count = json_array_size(list);
	return texts;
}

static void wanted_done(struct wanted *wanted)
{
	free(wanted->allow);
	free(wanted->block);
}

static bool take_params(json_t *params, struct wanted *wanted, struct problem *problem)
{
	json_t *allow;
	json_t *block;
	json_t *revision;

	if (json_unpack(params, "{so so so !}", "allow", &allow, "block", &block, "desiredRevision",
			&revision) < 0 ||
	    !json_is_array(allow) || !json_is_array(block) || !json_is_string(revision))
		return refuse(problem, POLICY_RPC_INVALID_PARAMS,
			      "allow and block, lists of rules, and desiredRevision, a text, are "
			      "needed, and nothing else");
	wanted->revision = json_string_value(revision);
	if (json_string_length(revision) == 0 ||
	    json_string_length(revision) > POLICY_RPC_REVISION_MOST)
		return refuse(problem, POLICY_RPC_INVALID_PARAMS,
			      "desiredRevision has 1 to 256 bytes");
	if (json_array_size(allow) + json_array_size(block) > POLICY_RPC_RULES_MOST)
		return refuse(problem, POLICY_RPC_INVALID_PARAMS,
			      "allow and block have at most 4096 rules together");
	if (!is_list_of_texts(allow) || !is_list_of_texts(block))
		return refuse(problem, POLICY_RPC_INVALID_PARAMS, "a rule is a text");
	wanted->allow = take_list(allow, &wanted->allow_count);
	wanted->block = take_list(block, &wanted->block_count);
	return (wanted->allow && wanted->block) ||
	       refuse(problem, POLICY_RPC_INTERNAL_ERROR, no_memory);
}

static bool list_wanted(vmnet_network_configuration_ref config, const struct wanted *wanted,
			struct lists *lists, struct problem *problem)
{
	if (!config)
		return refuse(problem, POLICY_RPC_INTERNAL_ERROR, no_memory);
	if (vmnet_network_configuration_set_policy(config, wanted->allow, wanted->allow_count,
						   wanted->block,
						   wanted->block_count) != VMNET_SUCCESS ||
	    vmnet_network_configuration_visit_policy(config, list_rule, lists) != VMNET_SUCCESS)
		return refuse(problem, POLICY_RPC_INVALID_PARAMS,
			      vmnet_network_configuration_get_error(config));
	return !lists->is_short || refuse(problem, POLICY_RPC_INTERNAL_ERROR, no_memory);
}

/* The lists as the network would list them, for comparing. */
static bool normalise(const struct wanted *wanted, struct lists *ret_lists, struct problem *problem)
{
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
	struct lists lists = lists_new();

	bool good = list_wanted(config, wanted, &lists, problem);
	vmnet_network_configuration_release(config);
	if (good)
		*ret_lists = lists;
	else
		lists_done(&lists);
	return good;
}

/* Whether it repeats the revision that is there. */
static bool repeat(const struct policy_rpc *rpc, const struct lists *lists, struct problem *problem)
{
	json_t *value = policy_value(rpc);

	if (!value)
		return refuse(problem, POLICY_RPC_INTERNAL_ERROR, no_memory);
	bool same = json_equal(json_object_get(value, "allow"), lists->allow) &&
		    json_equal(json_object_get(value, "block"), lists->block);
	json_decref(value);
	return same || refuse(problem, POLICY_RPC_REVISION_CONFLICT,
			      "this desiredRevision has other rules already");
}

static bool replace(struct policy_rpc *rpc, const struct wanted *wanted, struct problem *problem)
{
	struct vmnet_error error = { "" };
	vmnet_return_t status =
		vmnet_network_set_policy(rpc->network, wanted->allow, wanted->allow_count,
					 wanted->block, wanted->block_count, &error);

	if (status != VMNET_SUCCESS)
		return refuse(problem,
			      status == VMNET_NOT_AUTHORIZED ? POLICY_RPC_ISOLATION_CONFLICT
							     : POLICY_RPC_INTERNAL_ERROR,
			      error.text);
	/* take_params() measured it. */
	memcpy(rpc->revision, wanted->revision, strlen(wanted->revision) + 1);
	return true;
}

static bool put_in_force(struct policy_rpc *rpc, const struct wanted *wanted,
			 struct problem *problem)
{
	struct lists lists;

	if (!normalise(wanted, &lists, problem))
		return false;
	bool done = strcmp(rpc->revision, wanted->revision) == 0 ? repeat(rpc, &lists, problem)
								 : replace(rpc, wanted, problem);
	lists_done(&lists);
	return done;
}

static bool set_policy(struct policy_rpc *rpc, json_t *params, struct problem *problem)
{
	struct wanted wanted = { 0 };
	bool done = take_params(params, &wanted, problem) && put_in_force(rpc, &wanted, problem);

	wanted_done(&wanted);
	return done;
}

/* --- requests ----------------------------------------------------------------------------------------- */

/* True: answered by the rules in force. */
static bool serve(struct policy_rpc *rpc, const char *method, json_t *params,
		  struct problem *problem)
{
	if (strcmp(method, "softnet.policy.set") == 0)
		return set_policy(rpc, params, problem);
	if (strcmp(method, "softnet.policy.get") != 0)
		return refuse(problem, POLICY_RPC_METHOD_NOT_FOUND,
			      "the methods are softnet.policy.get and softnet.policy.set");
	if (params && !json_is_null(params) &&
	    !(json_is_object(params) && json_object_size(params) == 0))
		return refuse(problem, POLICY_RPC_INVALID_PARAMS,
			      "softnet.policy.get takes no parameters");
	return true;
}

static bool is_id(const json_t *id)
{
	return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= ID_MOST);
}

static bool is_out_of_memory(const json_error_t *error)
{
	return json_error_code(error) == json_error_out_of_memory;
}

/* What is no JSON has no id. */
static char *finish_unread(const json_error_t *error)
{
	struct problem problem;

	if (is_out_of_memory(error))
		refuse(&problem, POLICY_RPC_INTERNAL_ERROR, no_memory);
	else
		refuse(&problem, POLICY_RPC_PARSE_ERROR, "this is no JSON");
	return finish_refused(json_null(), &problem);
}

char *policy_rpc_answer(struct policy_rpc *rpc, const char *request, size_t size)
{
	json_error_t error;
	/* Without JSON_ALLOW_NUL: no text has a zero inside, which would cut it off. */
	json_t *root = json_loadb(request, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	json_t *id = json_object_get(root, "id");
	json_t *params = NULL;
	const char *version = NULL;
	const char *method = NULL;
	struct problem problem = { 0 };
	bool done;

	if (!root)
		return finish_unread(&error);
	if (!is_id(id) ||
	    json_unpack(root, "{ss so ss s?o !}", "jsonrpc", &version, "id", &id, "method", &method,
			"params", &params) < 0 ||
	    strcmp(version, "2.0") != 0)
		done = refuse(&problem, POLICY_RPC_INVALID_REQUEST,
			      "a request has jsonrpc \"2.0\", an id (a text or an integer), a "
			      "method, perhaps params, and nothing else");
	else
		done = serve(rpc, method, params, &problem);
	id = is_id(id) ? json_incref(id) : json_null();
	char *text = done ? finish(id, "result", policy_value(rpc)) : finish_refused(id, &problem);
	json_decref(root);
	return text;
}

char *policy_rpc_too_long(void)
{
	struct problem problem;

	refuse(&problem, POLICY_RPC_PARSE_ERROR, "a request has at most 1 MiB");
	return finish_refused(json_null(), &problem);
}
