/* Requests of the control channel, on a network that is really there. */
#include "sidecar/policy_rpc.h"

#include "network_rig.h"

#include <jansson.h>

#include "base/compiler.h"

struct fixture {
	struct policy_rpc rpc;
};

static int setup(void **state)
{
	static struct fixture fixture;
	static const char *const allow[] = { "10.0.0.0/8" };
	vmnet_network_configuration_ref config = new_configuration("rpc");

	assert_int_equal(vmnet_network_configuration_set_policy(config, allow, 1, NULL, 0),
			 VMNET_SUCCESS);
	fixture = (struct fixture){ .rpc.network = create(config) };
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	vmnet_network_release(fixture->rpc.network);
	return 0;
}

static json_t *ask(struct fixture *fixture, const char *request)
{
	char *text = policy_rpc_answer(&fixture->rpc, request, strlen(request));
	json_error_t error;

	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	json_t *answer = json_loads(text, 0, &error);
	assert_non_null(answer);
	assert_string_equal(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	assert_int_equal(json_object_size(answer), 3);
	free(text);
	return answer;
}

/* The answer's result, as text. */
static void assert_result(struct fixture *fixture, const char *request, const char *wanted)
{
	json_t *answer = ask(fixture, request);
	char *text = json_dumps(json_object_get(answer, "result"), JSON_COMPACT);

	assert_non_null(text);
	assert_string_equal(text, wanted);
	free(text);
	json_decref(answer);
}

static void assert_error(struct fixture *fixture, const char *request, int code)
{
	json_t *answer = ask(fixture, request);
	const json_t *error = json_object_get(answer, "error");

	if (json_integer_value(json_object_get(error, "code")) != code)
		fail_msg("%s: %s", request, json_dumps(answer, 0));
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
	json_decref(answer);
}

#define GET "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\"}"
#define SET(allow, block, revision)                                                                         \
	"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"softnet.policy.set\",\"params\":{\"allow\":[" allow \
	"],\"block\":[" block "],\"desiredRevision\":\"" revision "\"}}"
#define AT_FIRST                                                                                   \
	"{\"allow\":[\"10.0.0.0/8\"],\"block\":[],\"desiredRevision\":null,\"ruleCount\":1,"       \
	"\"bridgeIsolation\":true}"

static void test_get(void **state)
{
	assert_result(*state, GET, AT_FIRST);
	assert_result(
		*state,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\",\"params\":{}}",
		AT_FIRST);
	assert_result(
		*state,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\",\"params\":null}",
		AT_FIRST);
	assert_error(
		*state,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\",\"params\":[1]}",
		POLICY_RPC_INVALID_PARAMS);
}

static void test_set(void **state)
{
	static const char result[] =
		"{\"allow\":[\"192.168.0.0/24\",\"@host\",\"in 10.0.0.0/8:80\"],\"block\":[\"0.0.0.0/0\"],"
		"\"desiredRevision\":\"7\",\"ruleCount\":7,\"bridgeIsolation\":true}";

	assert_result(*state,
		      SET("\"@host\",\"in 10.1.2.3/8:80\",\"192.168.0.0/24\",\"@host\"",
			  "\"0.0.0.0/0\"", "7"),
		      result);
	assert_result(*state, GET, result);
	/* The same in another order and spelling is the same. */
	assert_result(
		*state,
		SET("\"192.168.0.9/24\",\"@host\",\"in  10.0.0.0/8:80-80\"", "\"0.0.0.0/0\"", "7"),
		result);
}

/* Whatever is refused changes nothing. */
static void test_refused(void **state)
{
	static const char *const bad_params[] = {
		SET("\"10.0.0.1\"", "", "1"),
		SET("", "\"from @host\"", "1"),
		SET("1", "", "1"),
		SET("null", "", "1"),
		SET("", "", ""),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\",\"params\":[]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\",\"params\":{\"allow\":[],"
		"\"block\":[]}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\",\"params\":{\"allow\":[],"
		"\"block\":[],\"desiredRevision\":7}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\",\"params\":{\"allow\":\"@host\","
		"\"block\":[],\"desiredRevision\":\"7\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.set\",\"params\":{\"allow\":[],"
		"\"block\":[],\"desiredRevision\":\"7\",\"more\":1}}",
	};
	static const char *const bad_requests[] = {
		"1",
		"[]",
		"\"x\"",
		"{}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":2,\"id\":1,\"method\":\"softnet.policy.get\"}",
		"{\"id\":1,\"method\":\"softnet.policy.get\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\",\"extra\":1}",
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.get\"}]",
	};
	static const char *const no_json[] = { "",
					       "{",
					       "nonsense",
					       "{\"id\":1,\"id\":2}",
					       "\xff",
					       "{} {}",
					       "{\"id\":99999999999999999999}",
					       SET("", "\"@host\\u0000\"", "1"),
					       SET("", "", "a\\u0000b") };

	for (size_t i = 0; i < ARRAY_COUNT(bad_params); i++)
		assert_error(*state, bad_params[i], POLICY_RPC_INVALID_PARAMS);
	for (size_t i = 0; i < ARRAY_COUNT(bad_requests); i++)
		assert_error(*state, bad_requests[i], POLICY_RPC_INVALID_REQUEST);
	for (size_t i = 0; i < ARRAY_COUNT(no_json); i++)
		assert_error(*state, no_json[i], POLICY_RPC_PARSE_ERROR);
	assert_error(*state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"softnet.policy.list\"}",
		     POLICY_RPC_METHOD_NOT_FOUND);
	assert_error(*state, SET("\"0.0.0.0/0\"", "", "1"), POLICY_RPC_ISOLATION_CONFLICT);
	assert_result(*state, GET, AT_FIRST);
}

#define TEN(text) text text text text text text text text text text

/* The sentence shows the beginning of the rule, and no half of a character. */
static void test_long_rule(void **state)
{
	static const char *const requests[] = {
		SET("", "\"x" TEN("\xc3\xa9") TEN("\xc3\xa9") TEN("\xc3\xa9") TEN("\xc3\xa9") "\"",
		    "1"),
		SET("", "\"" TEN("\xf0\x9f\x98\x80") TEN("\xf0\x9f\x98\x80") "\"", "1"),
		SET("\"xy" TEN("\xe2\x82\xac") TEN("\xe2\x82\xac") TEN("\xe2\x82\xac") "\"", "",
		    "1"),
	};

	for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
		assert_error(*state, requests[i], POLICY_RPC_INVALID_PARAMS);
	assert_result(*state, GET, AT_FIRST);
}

/* The one piece of memory that jansson does not get; those behind it are there again, for the worst. */
static unsigned long missing_piece;
static unsigned long pieces;

static void *starving_malloc(size_t size)
{
	return pieces++ == missing_piece ? NULL : malloc(size);
}

/* An answer that says "result" while there was no memory for something. */
static void starve(struct fixture *fixture, const char *request, const char *result)
{
	json_malloc_t usual_malloc;
	json_free_t usual_free;

	json_get_alloc_funcs(&usual_malloc, &usual_free);
	for (missing_piece = 0; missing_piece == 0 || missing_piece <= pieces; missing_piece++) {
		pieces = 0;
		json_set_alloc_funcs(starving_malloc, free);
		char *text = policy_rpc_answer(&fixture->rpc, request, strlen(request));
		json_set_alloc_funcs(usual_malloc, usual_free);
		if (text && strstr(text, "\"result\"") && (!result || !strstr(text, result)))
			fail_msg("without piece %lu: %s", missing_piece, text);
		if (text && !strstr(text, "\"result\""))
			assert_non_null(strstr(text, "\"error\":{"));
		free(text);
	}
	assert_true(missing_piece > 10);
}

/* Then the channel ends or an error is said, and the rules are all listed or none is. */
static void test_no_memory(void **state)
{
	starve(*state, SET("", "\"nonsense\"", "1"), NULL);
	assert_result(*state, GET, AT_FIRST);
	starve(*state, GET, AT_FIRST);
	starve(*state, SET("\"@host\",\"192.168.0.0/24\"", "\"0.0.0.0/0\"", "1"),
	       "{\"allow\":[\"192.168.0.0/24\",\"@host\"],\"block\":[\"0.0.0.0/0\"],");
	starve(*state, SET("", "\"0.0.0.0/0\"", "1"), NULL);
	assert_error(*state, SET("", "\"0.0.0.0/0\"", "1"), POLICY_RPC_REVISION_CONFLICT);
}

static void test_revisions(void **state)
{
	json_decref(ask(*state, SET("\"@host\"", "", "1")));
	assert_error(*state, SET("", "\"@host\"", "1"), POLICY_RPC_REVISION_CONFLICT);
	assert_error(*state, SET("\"0.0.0.0/0\"", "", "1"), POLICY_RPC_REVISION_CONFLICT);
	assert_result(
		*state, SET("\"@host\"", "", "1"),
		"{\"allow\":[\"@host\"],\"block\":[],\"desiredRevision\":\"1\",\"ruleCount\":1,"
		"\"bridgeIsolation\":true}");
	/* Another revision may say the same. */
	assert_result(
		*state, SET("\"@host\"", "", "2"),
		"{\"allow\":[\"@host\"],\"block\":[],\"desiredRevision\":\"2\",\"ruleCount\":1,"
		"\"bridgeIsolation\":true}");
}

/* The id comes back as it was; of a request that has none, null does. */
static void test_ids(void **state)
{
	static const struct {
		const char *id;
		const char *back;
	} rows[] = { { "1", "1" },
		     { "-7", "-7" },
		     { "\"\"", "\"\"" },
		     { "\"a\\nb\"", "\"a\\nb\"" },
		     { "9223372036854775807", "9223372036854775807" },
		     { "1.5", "null" },
		     { "{}", "null" } };

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char request[256];
		snprintf(request, sizeof(request),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"softnet.policy.get\"}",
			 rows[i].id);
		json_t *answer = ask(*state, request);
		char *back = json_dumps(json_object_get(answer, "id"), JSON_ENCODE_ANY);
		assert_string_equal(back, rows[i].back);
		free(back);
		json_decref(answer);
	}
	/* 256 bytes are an id, 257 are none. */
	for (size_t size = 256; size <= 257; size++) {
		char request[512];
		snprintf(request, sizeof(request),
			 "{\"jsonrpc\":\"2.0\",\"id\":\"%0*d\",\"method\":\"softnet.policy.get\"}",
			 (int)size, 1);
		json_t *answer = ask(*state, request);
		assert_int_equal(json_object_get(answer, "result") != NULL, size == 256);
		json_decref(answer);
	}
}

static void test_most_rules(void **state)
{
	for (unsigned more = 0; more < 2; more++) {
		json_t *allow = json_array();
		for (unsigned i = 0; i < POLICY_RPC_RULES_MOST + more; i++) {
			char rule[32];
			snprintf(rule, sizeof(rule), "10.%u.%u.0/24", i >> 8, i & 255);
			json_array_append_new(allow, json_string(rule));
		}
		json_t *request = json_pack("{ss si ss s{so s[] ss}}", "jsonrpc", "2.0", "id", 1,
					    "method", "softnet.policy.set", "params", "allow",
					    allow, "block", "desiredRevision", "many");
		char *text = json_dumps(request, 0);
		json_t *answer = ask(*state, text);
		const json_t *count =
			json_object_get(json_object_get(answer, "result"), "ruleCount");
		assert_int_equal(json_integer_value(count), more ? 0 : POLICY_RPC_RULES_MOST);
		json_decref(answer);
		json_decref(request);
		free(text);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get), TEST(test_set),	       TEST(test_refused),   TEST(test_revisions),
		TEST(test_ids), TEST(test_most_rules), TEST(test_long_rule), TEST(test_no_memory),
	};

	return cmocka_run_group_tests_name("policy_rpc", tests, make_directory, remove_directory);
}
