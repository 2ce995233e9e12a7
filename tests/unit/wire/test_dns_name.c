#include "wire_test.h"

#include "wire/dns_name.h"

/* Reads a name at `position` of exactly these bytes. */
static bool read_at(const void *bytes, size_t size, size_t position, char *text, size_t *ret_next)
{
	uint8_t *copy = exact_copy(bytes, size);
	struct reader reader = reader_of(copy, size);
	uint8_t name[DNS_NAME_MAX];
	uint8_t name_size;

	reader_skip(&reader, position);
	bool good = dns_name_read(&reader, name, &name_size);
	if (good) {
		dns_name_to_text(name, name_size, text);
		*ret_next = reader.position;
	}
	free(copy);
	return good;
}

struct name_row {
	const char *what;
	const char *bytes;
	size_t size;
	size_t position;
	const char *text; /* NULL = refused */
	size_t next;
};

static const struct name_row name_rows[] = {
	{ "the root", "\0", 1, 0, "", 1 },
	{ "two labels", "\3wwW\4Test\0rest", 14, 0, "www.test", 10 },
	{ "a dot inside a label", "\3a.b\0", 5, 0, "a\\046b", 5 },
	{ "bytes that are no letters", "\4\0\xff\\*\0", 6, 0, "\\000\\255\\092\\042", 6 },
	{ "a pointer back", "\1a\0\1b\xc0\0", 7, 3, "b.a", 7 },
	{ "a pointer to a pointer", "\1a\0\1b\xc0\0\1c\xc0\3", 11, 7, "c.b.a", 11 },
	{ "only a pointer", "\1a\0\xc0\0", 5, 3, "a", 5 },
	{ "a pointer to itself", "\1a\0\xc0\3", 5, 3, NULL, 0 },
	{ "a pointer forward", "\xc0\2\1a\0", 5, 0, NULL, 0 },
	{ "a pointer into its own name", "\1a\xc0\0", 4, 0, NULL, 0 },
	{ "two pointers in a ring", "\xc0\2\xc0\0", 4, 2, NULL, 0 },
	{ "a ring by way of labels", "\1a\xc0\4\1b\xc0\0", 8, 4, NULL, 0 },
	{ "a pointer beyond the end", "\1a\0\xff\xff", 5, 3, NULL, 0 },
	{ "half a pointer", "\1a\0\xc0", 4, 3, NULL, 0 },
	{ "label type 01",
	  "\x41"
	  "a\0",
	  3, 0, NULL, 0 },
	{ "label type 10",
	  "\x81"
	  "a\0",
	  3, 0, NULL, 0 },
	{ "nothing", "", 0, 0, NULL, 0 },
	{ "a label cut short", "\3ab", 3, 0, NULL, 0 },
	{ "no root at the end", "\3abc", 4, 0, NULL, 0 },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(name_rows) / sizeof(name_rows[0]); i++) {
		const struct name_row *row = &name_rows[i];
		char text[DNS_NAME_TEXT_SIZE];
		size_t next = 0;
		bool good = read_at(row->bytes, row->size, row->position, text, &next);

		if (good != (row->text != NULL))
			print_message("# %s\n", row->what);
		assert_int_equal(good, row->text != NULL);
		if (!good)
			continue;
		assert_string_equal(text, row->text);
		assert_int_equal(next, row->next);
	}
}

/* Labels of `size` bytes until `total` bytes are reached, and the root. */
static size_t long_name(uint8_t *bytes, size_t total, uint8_t byte)
{
	size_t used = 0;

	while (total - 1 - used > 1) {
		size_t left = total - 1 - used - 1;
		uint8_t size = (uint8_t)(left > 63 ? 63 : left);
		if (left - size == 1)
			size--;
		bytes[used] = size;
		memset(bytes + used + 1, byte, size);
		used += 1U + size;
	}
	bytes[used++] = 0;
	return used;
}

static void test_longest(void **state)
{
	(void)state;
	uint8_t bytes[300];
	char text[DNS_NAME_TEXT_SIZE];
	size_t next;

	assert_int_equal(long_name(bytes, 255, 0xff), 255);
	assert_true(read_at(bytes, 255, 0, text, &next));
	assert_true(strlen(text) < DNS_NAME_TEXT_SIZE);
	assert_int_equal(long_name(bytes, 256, 'a'), 256);
	assert_false(read_at(bytes, 256, 0, text, &next));

	/* Short pieces that grow too long by way of pointers. */
	assert_int_equal(long_name(bytes, 200, 'a'), 200);
	size_t size = 200;
	size_t end = long_name(bytes + size, 60, 'b') - 1;
	bytes[size + end] = 0xc0;
	bytes[size + end + 1] = 0;
	assert_false(read_at(bytes, size + end + 2, size, text, &next));
}

/* A long chain of pointers ends, whatever it costs is bounded by the message. */
static void test_chain_of_pointers(void **state)
{
	(void)state;
	uint8_t *bytes = malloc(16384);
	char text[DNS_NAME_TEXT_SIZE];
	size_t next;

	assert_non_null(bytes);
	bytes[0] = 0;
	bytes[1] = 0;
	for (size_t at = 2; at < 16384; at += 2) {
		bytes[at] = (uint8_t)(0xc0 | (at - 2) >> 8);
		bytes[at + 1] = (uint8_t)(at - 2);
	}
	assert_true(read_at(bytes, 16384, 16382, text, &next));
	assert_string_equal(text, "");
	free(bytes);
}

static void test_skip(void **state)
{
	(void)state;
	const struct {
		const char *bytes;
		size_t size;
		bool good;
		size_t next;
	} rows[] = {
		{ "\0x", 2, true, 1 },	  { "\1a\0", 3, true, 3 }, { "\1a\xc0\xff", 4, true, 4 },
		{ "\xc0\0", 2, true, 2 }, { "\xc0", 1, false, 0 }, { "\1", 1, false, 0 },
		{ "\x40", 1, false, 0 },  { "", 0, false, 0 },	   { "\1a", 2, false, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *copy = exact_copy(rows[i].bytes, rows[i].size);
		struct reader reader = reader_of(copy, rows[i].size);
		assert_int_equal(dns_name_skip(&reader), rows[i].good);
		if (rows[i].good)
			assert_int_equal(reader.position, rows[i].next);
		free(copy);
	}
}

static void test_from_text(void **state)
{
	(void)state;
	const char label63[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	char too_long[65];
	const struct {
		const char *text;
		const char *want; /* as text again; NULL = refused */
	} rows[] = {
		{ "", "" },
		{ ".", "" },
		{ "Host.Internal", "host.internal" },
		{ "host.internal.", "host.internal" },
		{ "a\\046b.c", "a\\046b.c" },
		{ label63, label63 },
		{ "..", NULL },
		{ ".a", NULL },
		{ "a..b", NULL },
		{ "\\256", NULL },
		{ "\\12", NULL },
		{ "a\\", NULL },
		{ too_long, NULL },
	};

	memset(too_long, 'a', 64);
	too_long[64] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t name[DNS_NAME_MAX];
		uint8_t size;
		char text[DNS_NAME_TEXT_SIZE];

		assert_int_equal(dns_name_from_text(rows[i].text, name, &size),
				 rows[i].want != NULL);
		if (!rows[i].want)
			continue;
		dns_name_to_text(name, size, text);
		assert_string_equal(text, rows[i].want);
	}

	/* Every name comes back; 255 bytes are the most. */
	for (size_t total = 240; total <= 256; total++) {
		uint8_t bytes[300];
		uint8_t name[DNS_NAME_MAX];
		uint8_t size;
		char text[4 * 256 + 8] = "";
		size_t used = long_name(bytes, total, 'q');
		struct reader reader = reader_of(bytes, used);

		for (uint8_t left = reader_u8(&reader); left > 0; left = reader_u8(&reader)) {
			strncat(text, (const char *)reader_take(&reader, left), left);
			strcat(text, ".");
		}
		bool good = dns_name_from_text(text, name, &size);
		assert_int_equal(good, total <= 255);
		if (good)
			assert_memory_equal(name, bytes, used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_chain_of_pointers),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_from_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
