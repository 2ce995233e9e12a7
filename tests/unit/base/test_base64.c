#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

/* The test vectors of RFC 4648, section 10, and the ends of the alphabet. */
static const struct {
	const char *bytes;
	const char *text;
} pairs[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "f\x6f", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+" },
};

static void test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
		size_t size = strlen(pairs[i].bytes);
		char text[16];
		uint8_t bytes[16];
		size_t decoded;

		assert_int_equal(base64_text_size(size), strlen(pairs[i].text));
		base64_encode((const uint8_t *)pairs[i].bytes, size, text);
		assert_string_equal(text, pairs[i].text);
		assert_true(base64_decode(text, strlen(text), bytes, &decoded));
		assert_int_equal(decoded, size);
		assert_true(decoded <= base64_most_bytes(strlen(text)));
		assert_memory_equal(bytes, pairs[i].bytes, size);
	}
}

static void test_all_bytes(void **state)
{
	uint8_t bytes[256];
	uint8_t back[258];
	char text[345];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	base64_encode(bytes, sizeof(bytes), text);
	assert_int_equal(strlen(text), 344);
	assert_int_equal(base64_most_bytes(344), sizeof(back));
	assert_true(base64_decode(text, strlen(text), back, &size));
	assert_int_equal(size, sizeof(bytes));
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"Z",	"Zg",	  "Zg=",      "Zm9",  "=",    "====", "A===", "Zg==Zm9v",
		"Z=g=", "Zm9v\n", "Zm 9vAA=", "Zm9_", "Zm9-", "Zh==", "Zm9=", "Zm\xff=",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		uint8_t bytes[16];
		size_t size = 99;

		assert_false(base64_decode(texts[i], strlen(texts[i]), bytes, &size));
		assert_int_equal(size, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_all_bytes),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
