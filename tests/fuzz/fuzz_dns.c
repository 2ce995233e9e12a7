/* A DNS message of any bytes; each answer that we make of it is one that we can read. */

#include "fuzz.h"

#include <string.h>

#include "wire/dns.h"

static void check_reply(const struct writer *writer, const struct dns_message *query)
{
	struct dns_message reply;

	FUZZ_CHECK(dns_parse(writer->data, writer->position, &reply));
	FUZZ_CHECK(reply.has_edns == query->has_edns);
	if (query->question_count > 0)
		FUZZ_CHECK(dns_question_equal(&reply.question, &query->question));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_message message;
	uint8_t bytes[512];
	struct ip_addr addr = ip_addr_from_v4(0x0a000001);
	struct writer writer = writer_of(bytes, sizeof(bytes));

	if (!dns_parse(data, size, &message))
		return 0;
	FUZZ_CHECK(dns_build_truncated(&writer, &message, data, size));
	check_reply(&writer, &message);
	writer = writer_of(bytes, sizeof(bytes));
	FUZZ_CHECK(dns_build_status(&writer, &message, DNS_RCODE_SERVFAIL));
	check_reply(&writer, &message);
	if (message.question_count == 0)
		return 0;

	writer = writer_of(bytes, sizeof(bytes));
	FUZZ_CHECK(dns_build_addresses(&writer, &message, &addr, 1, 60));
	check_reply(&writer, &message);
	if (dns_reverse_to_addr(message.question.text, &addr))
		FUZZ_CHECK(addr.family == IP_FAMILY_V4 || addr.family == IP_FAMILY_V6);

	uint8_t name[DNS_NAME_MAX];
	uint8_t name_size;
	char text[DNS_NAME_TEXT_SIZE];
	FUZZ_CHECK(dns_name_from_text(message.question.text, name, &name_size));
	FUZZ_CHECK(name_size == message.question.name_size);
	dns_name_to_text(name, name_size, text);
	FUZZ_CHECK(strcmp(text, message.question.text) == 0);
	return 0;
}
