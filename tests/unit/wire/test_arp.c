#include "wire_test.h"

#include "wire/arp.h"

static const uint8_t request[ARP_MESSAGE_SIZE] = {
	0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1,
};

static bool parse(const uint8_t *bytes, size_t size, struct arp_message *message)
{
	uint8_t *copy = exact_copy(bytes, size);
	struct reader reader = reader_of(copy, size);
	bool good = arp_parse(&reader, message);

	free(copy);
	return good;
}

static void test_round_trip(void **state)
{
	(void)state;
	struct arp_message message;
	uint8_t built[ARP_MESSAGE_SIZE];
	struct writer writer = writer_of(built, sizeof(built));
	struct ip_addr sender = v4(10, 0, 0, 2);
	struct ip_addr target = v4(10, 0, 0, 1);

	assert_true(parse(request, sizeof(request), &message));
	assert_int_equal(message.operation, ARP_OPERATION_REQUEST);
	assert_int_equal(message.sender_mac.octet[5], 9);
	assert_true(ip_addr_equal(&message.sender_ip, &sender));
	assert_true(ip_addr_equal(&message.target_ip, &target));
	arp_build(&writer, &message);
	assert_true(writer_ok(&writer));
	assert_memory_equal(built, request, sizeof(request));
}

/* CVE-2020-29130: an ARP frame shorter than its message. */
static void test_every_short_size(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(request); size++) {
		struct arp_message message = { .operation = 77 };
		assert_false(parse(request, size, &message));
		assert_int_equal(message.operation, 77);
	}
}

static void test_padding_is_legal(void **state)
{
	(void)state;
	uint8_t padded[46] = { 0 };
	struct arp_message message;

	memcpy(padded, request, sizeof(request));
	memset(padded + sizeof(request), 0xff, sizeof(padded) - sizeof(request));
	assert_true(parse(padded, sizeof(padded), &message));
}

static void test_wrong_fields(void **state)
{
	(void)state;
	const struct {
		size_t offset;
		uint8_t value;
	} rows[] = {
		{ 0, 1 },  { 1, 6 }, { 2, 0x86 }, { 3, 6 }, { 4, 0 }, { 4, 255 },
		{ 5, 16 }, { 5, 0 }, { 6, 1 },	  { 7, 0 }, { 7, 3 }, { 7, 255 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arp_message message;
		uint8_t bytes[ARP_MESSAGE_SIZE];
		memcpy(bytes, request, sizeof(bytes));
		bytes[rows[i].offset] = rows[i].value;
		assert_false(parse(bytes, sizeof(bytes), &message));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_short_size),
		cmocka_unit_test(test_padding_is_legal),
		cmocka_unit_test(test_wrong_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
