#include "wire/dns.h"

#include <assert.h>
#include <string.h>

#define FLAG_RESPONSE		 0x8000
#define FLAG_AUTHORITATIVE	 0x0400
#define FLAG_TRUNCATED		 0x0200
#define FLAG_RECURSION_DESIRED	 0x0100
#define FLAG_RECURSION_AVAILABLE 0x0080
#define FLAG_CHECKING_DISABLED	 0x0010
#define OPCODE_SHIFT		 11
#define LOW_4_BITS		 0x000f

#define EDNS_FLAG_DO	0x8000
#define EDNS_FIXED_SIZE 11 /* owner, type, class, TTL, data size */

/* A pointer to the first question's name, right behind the header. */
#define POINTER_TO_QUESTION (0xc000 | DNS_HEADER_SIZE)

static void read_header(struct reader *reader, struct dns_message *message)
{
	message->id = reader_u16(reader);
	uint16_t flags = reader_u16(reader);
	message->response = (flags & FLAG_RESPONSE) != 0;
	message->opcode = flags >> OPCODE_SHIFT & LOW_4_BITS;
	message->authoritative = (flags & FLAG_AUTHORITATIVE) != 0;
	message->truncated = (flags & FLAG_TRUNCATED) != 0;
	message->recursion_desired = (flags & FLAG_RECURSION_DESIRED) != 0;
	message->recursion_available = (flags & FLAG_RECURSION_AVAILABLE) != 0;
	message->checking_disabled = (flags & FLAG_CHECKING_DISABLED) != 0;
	message->rcode = flags & LOW_4_BITS;
	message->question_count = reader_u16(reader);
	message->answer_count = reader_u16(reader);
	message->authority_count = reader_u16(reader);
	message->additional_count = reader_u16(reader);
}

static bool read_questions(struct reader *reader, struct dns_message *message)
{
	struct dns_question *question = &message->question;

	if (message->question_count == 0)
		return true;
	if (!dns_name_read(reader, question->name, &question->name_size))
		return false;
	dns_name_to_text(question->name, question->name_size, question->text);
	question->type = reader_u16(reader);
	question->class = reader_u16(reader);
	/* More than one question has no meaning to anybody, but it is not malformed. */
	for (unsigned int i = 1; i < message->question_count; i++) {
		if (!dns_name_skip(reader))
			return false;
		reader_skip(reader, 4);
	}
	return reader_ok(reader);
}

/* Behind the record's type. */
static bool read_edns(struct reader *reader, size_t start, struct dns_message *message)
{
	uint16_t udp_size = reader_u16(reader);
	reader_skip(reader, 1); /* the upper bits of the rcode */
	uint8_t version = reader_u8(reader);
	uint16_t flags = reader_u16(reader);
	reader_skip(reader, reader_u16(reader));
	/* Its owner is the root (RFC 6891 6.1.2), and it stands alone. */
	if (!reader_ok(reader) || reader->data[start] != 0 || message->has_edns)
		return false;

	message->has_edns = true;
	message->edns_udp_size = udp_size < DNS_UDP_SIZE_DEFAULT ? DNS_UDP_SIZE_DEFAULT : udp_size;
	message->edns_version = version;
	message->edns_do = (flags & EDNS_FLAG_DO) != 0;
	message->edns_offset = start;
	message->edns_size = reader->position - start;
	return true;
}

/* Only the OPT record is of interest; it belongs into the additional section. */
static bool read_records(struct reader *reader, struct dns_message *message)
{
	uint32_t before = (uint32_t)message->answer_count + message->authority_count;
	uint32_t count = before + message->additional_count;

	/* Every record takes bytes, so the message's size ends this. */
	for (uint32_t i = 0; i < count; i++) {
		size_t start = reader->position;

		if (!dns_name_skip(reader))
			return false;
		if (reader_u16(reader) == DNS_TYPE_OPT) {
			if (i < before || !read_edns(reader, start, message))
				return false;
			continue;
		}
		reader_skip(reader, 2 + 4); /* class and TTL */
		reader_skip(reader, reader_u16(reader));
		if (!reader_ok(reader))
			return false;
	}
	return true;
}

bool dns_parse(const void *bytes, size_t size, struct dns_message *ret_message)
{
	struct reader reader = reader_of(bytes, size);
	struct dns_message message = {};

	read_header(&reader, &message);
	if (!reader_ok(&reader) || !read_questions(&reader, &message))
		return false;
	if (!read_records(&reader, &message) && !(message.response && message.truncated))
		return false;
	*ret_message = message;
	return true;
}

bool dns_question_equal(const struct dns_question *a, const struct dns_question *b)
{
	/* The texts are lower case and escape what is no letter, so they are equal when the names
	 * are. */
	return a->type == b->type && a->class == b->class && a->name_size == b->name_size &&
	       strcmp(a->text, b->text) == 0;
}

static bool nibble_of(char digit, uint8_t *ret_nibble)
{
	if (digit >= '0' && digit <= '9')
		*ret_nibble = (uint8_t)(digit - '0');
	else if (digit >= 'a' && digit <= 'f')
		*ret_nibble = (uint8_t)(digit - 'a' + 10);
	else
		return false;
	return true;
}

/* 32 nibbles with a dot behind each, the last one first (RFC 3596 2.5). */
static bool reverse_v6(const char *text, struct ip_addr *ret_addr)
{
	uint8_t octet[16];

	for (size_t i = 0; i < sizeof(octet); i++) {
		const char *pair = text + 4 * i;
		uint8_t low;
		uint8_t high;

		if (!nibble_of(pair[0], &low) || pair[1] != '.' || !nibble_of(pair[2], &high) ||
		    pair[3] != '.')
			return false;
		octet[sizeof(octet) - 1 - i] = (uint8_t)(high << 4 | low);
	}
	*ret_addr = ip_addr_from_v6(octet);
	return true;
}

static bool reverse_v4(const char *text, size_t length, struct ip_addr *ret_addr)
{
	char backwards[IP_ADDR_TEXT_SIZE];
	struct ip_addr addr;

	if (length >= sizeof(backwards))
		return false;
	memcpy(backwards, text, length);
	backwards[length] = '\0';
	if (!ip_addr_parse(backwards, &addr) || !ip_addr_is_v4(&addr))
		return false;
	*ret_addr = ip_addr_from_v4(__builtin_bswap32(ip_addr_to_v4(&addr)));
	return true;
}

bool dns_reverse_to_addr(const char *text, struct ip_addr *ret_addr)
{
	static const char v4[] = ".in-addr.arpa";
	static const char v6[] = "ip6.arpa";
	const size_t v6_digits = 64;
	size_t length = strlen(text);

	if (length == v6_digits + strlen(v6) && strcmp(text + v6_digits, v6) == 0)
		return reverse_v6(text, ret_addr);
	if (length > strlen(v4) && strcmp(text + length - strlen(v4), v4) == 0)
		return reverse_v4(text, length - strlen(v4), ret_addr);
	return false;
}

void dns_set_id(void *bytes, uint16_t id)
{
	struct writer writer = writer_of(bytes, 2);

	writer_u16(&writer, id);
}

static void write_question(struct writer *writer, const struct dns_question *question)
{
	writer_bytes(writer, question->name, question->name_size);
	writer_u16(writer, question->type);
	writer_u16(writer, question->class);
}

/* Header and question of an answer to `query`. */
static void start_answer(struct writer *writer, const struct dns_message *query, uint8_t rcode,
			 bool authoritative, uint16_t answer_count)
{
	unsigned int flags = FLAG_RESPONSE | (unsigned int)query->opcode << OPCODE_SHIFT |
			     FLAG_RECURSION_AVAILABLE | (rcode & LOW_4_BITS);

	if (authoritative)
		flags |= FLAG_AUTHORITATIVE;
	if (query->recursion_desired)
		flags |= FLAG_RECURSION_DESIRED;
	if (query->checking_disabled)
		flags |= FLAG_CHECKING_DISABLED;
	writer_u16(writer, query->id);
	writer_u16(writer, (uint16_t)flags);
	writer_u16(writer, query->question_count > 0 ? 1 : 0);
	writer_u16(writer, answer_count);
	writer_u16(writer, 0);
	writer_u16(writer, query->has_edns ? 1 : 0);
	if (query->question_count > 0)
		write_question(writer, &query->question);
}

/* Our OPT record where the query had one (RFC 6891 7); DO is returned (RFC 3225 3). */
static void end_answer(struct writer *writer, const struct dns_message *query)
{
	if (!query->has_edns)
		return;
	writer_u8(writer, 0);
	writer_u16(writer, DNS_TYPE_OPT);
	writer_u16(writer, DNS_UDP_SIZE_OURS);
	writer_u16(writer, 0); /* upper rcode bits, version */
	writer_u16(writer, query->edns_do ? EDNS_FLAG_DO : 0);
	writer_u16(writer, 0);
}

static void write_record(struct writer *writer, uint16_t type, uint32_t ttl_s, const void *data,
			 uint16_t size)
{
	writer_u16(writer, POINTER_TO_QUESTION);
	writer_u16(writer, type);
	writer_u16(writer, DNS_CLASS_IN);
	writer_u32(writer, ttl_s);
	writer_u16(writer, size);
	writer_bytes(writer, data, size);
}

static bool is_asked(const struct dns_question *question, const struct ip_addr *addr)
{
	uint16_t type = ip_addr_is_v4(addr) ? DNS_TYPE_A : DNS_TYPE_AAAA;

	return addr->family != IP_FAMILY_NONE &&
	       (question->type == type || question->type == DNS_TYPE_ANY);
}

bool dns_build_addresses(struct writer *writer, const struct dns_message *query,
			 const struct ip_addr *addrs, size_t count, uint32_t ttl_s)
{
	size_t answers = 0;

	assert(query->question_count > 0);
	for (size_t i = 0; i < count; i++)
		answers += is_asked(&query->question, &addrs[i]);
	if (answers > UINT16_MAX)
		return false;

	start_answer(writer, query, DNS_RCODE_NOERROR, true, (uint16_t)answers);
	for (size_t i = 0; i < count; i++) {
		if (!is_asked(&query->question, &addrs[i]))
			continue;
		if (ip_addr_is_v4(&addrs[i]))
			write_record(writer, DNS_TYPE_A, ttl_s, addrs[i].octet, 4);
		else
			write_record(writer, DNS_TYPE_AAAA, ttl_s, addrs[i].octet, 16);
	}
	end_answer(writer, query);
	return writer_ok(writer);
}

bool dns_build_pointer(struct writer *writer, const struct dns_message *query, const char *name,
		       uint32_t ttl_s)
{
	uint8_t wire_name[DNS_NAME_MAX];
	uint8_t wire_size;

	assert(query->question_count > 0);
	if (!dns_name_from_text(name, wire_name, &wire_size))
		return false;
	start_answer(writer, query, DNS_RCODE_NOERROR, true, 1);
	write_record(writer, DNS_TYPE_PTR, ttl_s, wire_name, wire_size);
	end_answer(writer, query);
	return writer_ok(writer);
}

bool dns_build_status(struct writer *writer, const struct dns_message *query, uint8_t rcode)
{
	start_answer(writer, query, rcode, false, 0);
	end_answer(writer, query);
	return writer_ok(writer);
}

bool dns_build_truncated(struct writer *writer, const struct dns_message *reply, const void *bytes,
			 size_t size)
{
	struct reader reader = reader_of(bytes, size);

	writer_u16(writer, reader_u16(&reader)); /* the id may have been changed since */
	writer_u16(writer, reader_u16(&reader) | FLAG_TRUNCATED);
	writer_u16(writer, reply->question_count > 0 ? 1 : 0);
	writer_u16(writer, 0);
	writer_u16(writer, 0);
	writer_u16(writer, reply->has_edns ? 1 : 0);
	if (reply->question_count > 0)
		write_question(writer, &reply->question);
	if (!reply->has_edns)
		return reader_ok(&reader) && writer_ok(writer);

	struct reader edns = reader_of(bytes, size);
	reader_skip(&edns, reply->edns_offset);
	const uint8_t *record = reader_take(&edns, reply->edns_size);
	if (!record)
		return false;
	if (reply->edns_size <= writer_left(writer)) {
		writer_bytes(writer, record, reply->edns_size);
	} else {
		/* Its options are what there is no room for. */
		writer_bytes(writer, record, EDNS_FIXED_SIZE - 2);
		writer_u16(writer, 0);
	}
	return writer_ok(writer);
}
