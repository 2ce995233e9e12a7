#include "network/informant_message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "host/hosts_file.h"
#include "host/resolv_conf.h"

static void test_questions(void **state)
{
	static const struct informant_question questions[] = {
		{ .sequence = 1,
		  .kind = INFORMANT_HELLO,
		  .version = 7,
		  .holding = INT64_MAX,
		  .owner = INT64_MIN },
		{ .sequence = UINT32_MAX, .kind = INFORMANT_LOOK, .file = INFORMANT_HOSTS },
		{ .sequence = 0, .kind = INFORMANT_READ, .file = INFORMANT_RESOLV_CONF },
		{ .sequence = 3, .kind = INFORMANT_HELD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
		struct informant_question question = questions[i];
		struct informant_question again;
		uint8_t bytes[INFORMANT_QUESTION_SIZE + 1];
		struct writer writer = writer_of(bytes, sizeof(bytes));

		question.addr = ip_addr_from_v4(question.kind == INFORMANT_HELD ? 0xfffefdfc : 0);
		informant_build_question(&writer, &question);
		assert_true(writer_ok(&writer));
		assert_int_equal(writer.position, INFORMANT_QUESTION_SIZE);
		assert_true(informant_parse_question(bytes, &again));
		assert_int_equal(again.sequence, question.sequence);
		assert_int_equal(again.kind, question.kind);
		assert_int_equal(again.version, question.version);
		assert_int_equal(again.holding, question.holding);
		assert_int_equal(again.owner, question.owner);
		assert_int_equal(again.file, question.file);
		if (question.kind == INFORMANT_HELD)
			assert_true(ip_addr_equal(&again.addr, &question.addr));
		/* whatever stands where nothing must stand is no question */
		for (size_t at = 4; at < INFORMANT_QUESTION_SIZE; at++) {
			bool operand = at >= 8 && at < (question.kind == INFORMANT_HELLO ? 32 : 12);
			if (at == 5 || (operand && question.kind != INFORMANT_LOOK &&
					question.kind != INFORMANT_READ &&
					(question.kind != INFORMANT_HELLO || at < 12 || at >= 16)))
				continue;
			bytes[at] ^= 0x40;
			assert_false(informant_parse_question(bytes, &again));
			bytes[at] ^= 0x40;
		}
		for (unsigned kind = 0; kind < 256; kind++) {
			bytes[5] = (uint8_t)kind;
			if (kind < INFORMANT_HELLO || kind > INFORMANT_HELD)
				assert_false(informant_parse_question(bytes, &again));
		}
	}
}

static void test_headers(void **state)
{
	static const struct {
		struct informant_header header;
		bool good;
	} cases[] = {
		{ { 1, INFORMANT_HELLO, 0, 0 }, true },
		{ { 1, INFORMANT_HELLO, -EPROTONOSUPPORT, 0 }, true },
		{ { 1, INFORMANT_HELLO, 0, 1 }, false },
		{ { 2, INFORMANT_LOOK, 0, INFORMANT_IDENTITY_SIZE }, true },
		{ { 2, INFORMANT_LOOK, 0, INFORMANT_IDENTITY_SIZE - 1 }, false },
		{ { 2, INFORMANT_LOOK, -EIO, INFORMANT_IDENTITY_SIZE }, false },
		{ { 3, INFORMANT_READ, 0, 0 }, true },
		{ { 3, INFORMANT_READ, 0, HOSTS_FILE_SIZE_MAX }, true },
		{ { 3, INFORMANT_READ, 0, HOSTS_FILE_SIZE_MAX + 1 }, false },
		{ { 3, INFORMANT_READ, 0, UINT32_MAX }, false },
		{ { 3, INFORMANT_READ, -ENOENT, 0 }, true },
		{ { 3, INFORMANT_READ, -4095, 0 }, true },
		{ { 3, INFORMANT_READ, -4096, 0 }, false },
		{ { UINT32_MAX, INFORMANT_HELD, 0, INFORMANT_HELD_SIZE }, true },
		{ { UINT32_MAX, INFORMANT_HELD, 0, 0 }, false },
		{ { 4, (enum informant_kind)0, 0, 0 }, false },
		{ { 4, (enum informant_kind)5, 0, 0 }, false },
	};

	(void)state;
	assert_int_equal(informant_file_most(INFORMANT_HOSTS), HOSTS_FILE_SIZE_MAX);
	assert_int_equal(informant_file_most(INFORMANT_RESOLV_CONF), RESOLV_CONF_SIZE_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct informant_header header;
		uint8_t bytes[INFORMANT_HEADER_SIZE];
		struct writer writer = writer_of(bytes, sizeof(bytes));

		informant_build_header(&writer, &cases[i].header);
		assert_true(writer_ok(&writer));
		assert_int_equal(writer.position, sizeof(bytes));
		assert_int_equal(informant_parse_header(bytes, &header), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(header.sequence, cases[i].header.sequence);
		assert_int_equal(header.kind, cases[i].header.kind);
		assert_int_equal(header.status, cases[i].header.status);
		assert_int_equal(header.size, cases[i].header.size);
		bytes[15] = 1;
		assert_false(informant_parse_header(bytes, &header));
	}
}

static void test_identity(void **state)
{
	const struct file_identity identity = {
		.exists = true,
		.device = UINT64_MAX,
		.inode = UINT64_C(0x0102030405060708),
		.size = 9,
		.modified = { .tv_sec = -1, .tv_nsec = 999999999 },
		.changed = { .tv_sec = INT64_C(0x7000000000), .tv_nsec = 3 },
	};
	uint8_t bytes[INFORMANT_IDENTITY_SIZE];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct file_identity again;

	(void)state;
	informant_build_identity(&writer, &identity);
	assert_true(writer_ok(&writer));
	assert_int_equal(writer.position, sizeof(bytes));
	assert_true(informant_parse_identity(bytes, &again));
	assert_true(again.exists);
	assert_true(again.device == identity.device && again.inode == identity.inode);
	assert_int_equal(again.size, 9);
	assert_int_equal(again.modified.tv_sec, -1);
	assert_int_equal(again.modified.tv_nsec, 999999999);
	assert_int_equal(again.changed.tv_sec, identity.changed.tv_sec);
	assert_int_equal(again.changed.tv_nsec, 3);
	static const size_t bad[] = { 0, 3, 4, 8, 15 }; /* flag, nanoseconds, zero */
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		bytes[bad[i]] ^= 0x82;
		assert_false(informant_parse_identity(bytes, &again));
		bytes[bad[i]] ^= 0x82;
	}
}

static void test_held(void **state)
{
	static const struct {
		struct held_answer answer;
		bool good;
	} cases[] = {
		{ { true, 0x0a000000, 0x0a0000ff, HELD_SNAPSHOT_MOST_NS }, true },
		{ { false, 0, UINT32_MAX, 0 }, true },
		{ { false, 5, 5, 1 }, true },
		{ { false, 6, 5, 1 }, false },
		{ { true, 5, 6, HELD_SNAPSHOT_MOST_NS + 1 }, false },
		{ { true, 5, 6, UINT64_MAX }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t bytes[INFORMANT_HELD_SIZE];
		struct writer writer = writer_of(bytes, sizeof(bytes));
		struct held_answer again;

		informant_build_held(&writer, &cases[i].answer);
		assert_true(writer_ok(&writer));
		assert_int_equal(writer.position, sizeof(bytes));
		assert_int_equal(informant_parse_held(bytes, &again), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(again.held, cases[i].answer.held);
		assert_int_equal(again.first, cases[i].answer.first);
		assert_int_equal(again.last, cases[i].answer.last);
		assert_int_equal(again.for_ns, cases[i].answer.for_ns);
		bytes[3] |= 2;
		assert_false(informant_parse_held(bytes, &again));
		bytes[3] &= 1;
		bytes[12] = 1;
		assert_false(informant_parse_held(bytes, &again));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
