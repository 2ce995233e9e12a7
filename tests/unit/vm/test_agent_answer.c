#include "vm/agent_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		int expected;
		const char *sentence;
	} rows[] = {
		{ "{\"return\": {}}", 0, "" },
		{ " {\"return\": 7, \"id\": 1}\r", 0, "" },
		{ "{\"return\": null}", 0, "" },
		{ "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}", -EREMOTEIO,
		  "no" },
		{ "{\"error\": {\"desc\": \"no\"}, \"return\": {}}", -EREMOTEIO, "no" },
		{ "{\"error\": {\"desc\": 7}}", -EPROTO, "" },
		{ "{\"error\": 7}", -EPROTO, "" },
		{ "{}", -EPROTO, "" },
		{ "[]", -EPROTO, "" },
		{ "7", -EPROTO, "" },
		{ "", -EPROTO, "" },
		{ "{\"return\": {}} {}", -EPROTO, "" },
		{ "{\"return\": {}, \"return\": {}}", -EPROTO, "" },
		{ "{\"return\": 99999999999999999999}", -EPROTO, "" },
		{ "{\"return\": \"\\u0000\"}", -EPROTO, "" },
		{ "{\"return\": \"\xff\"}", -EPROTO, "" },
		{ "{\"return\": {", -EPROTO, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		json_t *value = NULL;

		assert_int_equal(
			agent_answer_parse(rows[i].line, strlen(rows[i].line), &value, &err),
			rows[i].expected);
		assert_string_equal(err.text, rows[i].sentence);
		assert_true(rows[i].expected == 0 ? value != NULL : value == NULL);
		json_decref(value);
	}
}

static void test_deep(void **state)
{
	size_t depth = 200000;
	char *line = malloc(depth);
	json_t *value = NULL;

	(void)state;
	assert_non_null(line);
	memset(line, '[', depth);
	assert_int_equal(agent_answer_parse(line, depth, &value, NULL), -EPROTO);
	free(line);
}

/* {"return": [0,0,...]}: so many values, the two around them too. */
static int parse_values(size_t count)
{
	static const char begin[] = "{\"return\": [0";
	size_t size = strlen(begin) + 2 * (count - 3) + 2;
	char *line = malloc(size + 1);
	json_t *value = NULL;

	assert_non_null(line);
	memcpy(line, begin, strlen(begin));
	for (size_t i = strlen(begin); i < size - 2; i += 2)
		memcpy(line + i, ",0", 2);
	memcpy(line + size - 2, "]}", 3);
	int r = agent_answer_parse(line, size, &value, NULL);
	assert_true(r < 0 || json_array_size(value) == count - 2);
	json_decref(value);
	free(line);
	return r;
}

static void test_many_values(void **state)
{
	(void)state;
	/* Nothing stands before the first. */
	assert_int_equal(parse_values(256 * 1024 + 1), 0);
	assert_int_equal(parse_values(256 * 1024 + 2), -E2BIG);
}

static json_t *parsed(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return value;
}

static void test_pids(void **state)
{
	static const struct {
		const char *text;
		int64_t pid; /* -1 = none */
	} rows[] = {
		{ "{\"pid\": 77}", 77 },
		{ "{\"pid\": 0}", 0 },
		{ "{\"pid\": 9007199254740993}", 9007199254740993 },
		{ "{\"pid\": -1}", -1 },
		{ "{\"pid\": 1.5}", -1 },
		{ "{\"pid\": \"77\"}", -1 },
		{ "{}", -1 },
		{ "77", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		json_t *value = parsed(rows[i].text);
		int64_t pid = -1;

		assert_int_equal(agent_answer_pid(value, &pid), rows[i].pid >= 0);
		assert_int_equal(pid, rows[i].pid);
		json_decref(value);
	}
}

static void test_statuses(void **state)
{
	static const struct {
		const char *text;
		bool good;
		bool exited;
		int exit_code;
		const char *output;
		const char *errors;
	} rows[] = {
		{ "{\"exited\": false}", true, false, 0, "", "" },
		{ "{\"exited\": false, \"exitcode\": \"x\"}", true, false, 0, "", "" },
		{ "{\"exited\": true, \"exitcode\": 0}", true, true, 0, "", "" },
		{ "{\"exited\": true, \"exitcode\": 255, \"out-data\": \"Zm8=\", \"err-data\": "
		  "\"YmFy\"}",
		  true, true, 255, "f\x6f", "bar" },
		{ "{\"exited\": true, \"exitcode\": 0, \"out-data\": \"\"}", true, true, 0, "",
		  "" },
		{ "{\"exited\": true, \"signal\": 9}", true, true, 137, "", "" },
		{ "{\"exited\": true, \"signal\": 127}", true, true, 255, "", "" },
		/* No process ends like that; Windows has exit codes of 32 bits. */
		{ "{\"exited\": true, \"signal\": 0}", true, true, 255, "", "" },
		{ "{\"exited\": true, \"signal\": 128}", true, true, 255, "", "" },
		{ "{\"exited\": true, \"exitcode\": 256}", true, true, 255, "", "" },
		{ "{\"exited\": true, \"exitcode\": 3221225472}", true, true, 255, "", "" },
		{ "{\"exited\": true, \"exitcode\": -1}", true, true, 255, "", "" },
		{ "{\"exited\": true}", false, false, 0, "", "" },
		{ "{\"exited\": 1, \"exitcode\": 0}", false, false, 0, "", "" },
		{ "{\"exitcode\": 0}", false, false, 0, "", "" },
		{ "[true]", false, false, 0, "", "" },
		{ "{\"exited\": true, \"exitcode\": \"0\"}", false, false, 0, "", "" },
		{ "{\"exited\": true, \"exitcode\": 0, \"out-data\": 7}", false, false, 0, "", "" },
		{ "{\"exited\": true, \"exitcode\": 0, \"out-data\": \"Zm8\"}", false, false, 0, "",
		  "" },
		{ "{\"exited\": true, \"exitcode\": 0, \"out-data\": \"Zm8=\", \"err-data\": "
		  "\"Zm8=\\n\"}",
		  false, false, 0, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		json_t *value = parsed(rows[i].text);
		struct agent_exec_status status = { 0 };

		assert_int_equal(agent_answer_status(value, &status), rows[i].good);
		assert_int_equal(status.exited, rows[i].exited);
		assert_int_equal(status.exit_code, rows[i].exit_code);
		assert_int_equal(status.output.size, strlen(rows[i].output));
		assert_memory_equal(status.output.bytes, rows[i].output, status.output.size);
		assert_int_equal(status.errors.size, strlen(rows[i].errors));
		assert_memory_equal(status.errors.bytes, rows[i].errors, status.errors.size);
		assert_false(status.output.truncated || status.errors.truncated);
		agent_exec_status_done(&status);
		json_decref(value);
	}
}

static void test_truncated(void **state)
{
	json_t *value = parsed("{\"exited\": true, \"exitcode\": 0, \"out-data\": \"Zm8=\", "
			       "\"out-truncated\": true, \"err-truncated\": 1}");
	struct agent_exec_status status;

	(void)state;
	assert_true(agent_answer_status(value, &status));
	assert_true(status.output.truncated);
	assert_false(status.errors.truncated);
	agent_exec_status_done(&status);
	json_decref(value);
}

#define CARD(addresses)                                                                                   \
	"{\"name\": \"eth0\", \"hardware-address\": \"02:00:00:00:00:0A\", \"ip-addresses\": [" addresses \
	"]}"
#define IP(address)                                                                                \
	"{\"ip-address-type\": \"ipv4\", \"prefix\": 8, \"ip-address\": \"" address "\"}"
#define LOOPBACK                                                                                   \
	"{\"name\": \"lo\", \"hardware-address\": \"00:00:00:00:00:00\", \"ip-addresses\": [" IP(  \
		"127.0.0.1") "]}"

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		const char *address; /* NULL = none */
	} rows[] = {
		{ "[" LOOPBACK "," CARD(IP("10.1.2.3")) "]", "10.1.2.3" },
		{ "[" CARD(IP("fe80::1") "," IP("10.1.2.3") "," IP("10.1.2.4")) "]", "10.1.2.3" },
		{ "[" CARD("") "," CARD(IP("10.1.2.5")) "]", "10.1.2.5" },
		{ "[" CARD(IP("0.0.0.0") "," IP("127.0.0.1") "," IP("224.0.0.1") "," IP(
			  "255.255.255.255") "," IP("169.254.1.1")) "]",
		  "169.254.1.1" },
		{ "[" CARD(IP("10.1.2") "," IP("10.1.2.3\\n") "," IP("")) "]", NULL },
		{ "[" CARD(IP("fe80::1")) "]", NULL },
		{ "[" CARD("7,[],{},{\"ip-address\": 7}") "]", NULL },
		{ "[" LOOPBACK "]", NULL },
		{ "[{\"hardware-address\": \"02:00:00:00:00:0a\"}]", NULL },
		{ "[{\"hardware-address\": \"02:00:00:00:00:0a\", \"ip-addresses\": {}}]", NULL },
		{ "[{\"hardware-address\": 7}, 7, [], {}, {\"hardware-address\": \"x\"}]", NULL },
		{ "[]", NULL },
		{ "{}", NULL },
		{ "null", NULL },
	};
	const struct mac_addr mac = { { 2, 0, 0, 0, 0, 10 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		json_t *value = parsed(rows[i].text);
		struct ip_addr address;
		char text[IP_ADDR_TEXT_SIZE];
		bool found = agent_answer_address(value, &mac, &address);

		assert_int_equal(found, rows[i].address != NULL);
		if (found)
			assert_string_equal(ip_addr_format(&address, text), rows[i].address);
		json_decref(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	    cmocka_unit_test(test_deep),
		cmocka_unit_test(test_many_values), cmocka_unit_test(test_pids),
		cmocka_unit_test(test_statuses),    cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
