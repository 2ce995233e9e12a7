#include "cli/forward_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_from_json(void **state)
{
	static const struct {
		const char *json;
		const char *text;
	} rows[] = {
		{ "{\"protocol\":\"tcp\",\"externalAddress\":\"0.0.0.0\",\"externalPort\":2222,"
		  "\"internalPort\":22}",
		  "tcp 0.0.0.0:2222 -> 22" },
		{ "{\"protocol\":\"udp\",\"externalAddress\":\"::\",\"externalPort\":5353,"
		  "\"internalPort\":53}",
		  "udp [::]:5353 -> 53" },
		{ "{\"externalPort\":1,\"internalPort\":65535}", "tcp *:1 -> 65535" },
		{ "{\"externalAddress\":\"localhost\",\"externalPort\":1,\"internalPort\":2}",
		  "tcp localhost:1 -> 2" },
		{ "{}", "?" },
		{ "[]", "?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char text[FORWARD_TEXT_SIZE];
		json_t *root = json_loads(rows[i].json, 0, NULL);
		assert_string_equal(forward_text_from_json(root, text), rows[i].text);
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
