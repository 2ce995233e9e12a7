#include "wire/dhcp.h"

#include <string.h>

#include "wire/reader.h"

#define HTYPE_ETHERNET 1
#define HLEN_ETHERNET  6
#define CHADDR_SIZE    16
#define FLAG_BROADCAST 0x8000
#define MAGIC_COOKIE   0x63825363 /* RFC 2131 3 */

#define SNAME_OFFSET 44
#define SNAME_SIZE   64
#define FILE_OFFSET  108
#define FILE_SIZE    128

#define OVERLOAD_FILE  1
#define OVERLOAD_SNAME 2

#define MAX_SIZE_LEAST 576 /* RFC 2132 9.10 */

/* The one walk over all options: the options field, then file, then sname (RFC 3396 5). */
struct options {
	struct reader area[3];
	size_t count;
	size_t index;
	bool malformed;
};

static bool options_next(struct options *options, uint8_t *ret_code, struct reader *ret_value)
{
	while (options->index < options->count) {
		struct reader *area = &options->area[options->index];
		uint8_t code = reader_left(area) > 0 ? reader_u8(area) : DHCP_OPTION_END;

		if (code == DHCP_OPTION_PAD)
			continue;
		if (code == DHCP_OPTION_END) {
			options->index++;
			continue;
		}
		*ret_value = reader_sub(area, reader_u8(area));
		*ret_code = code;
		options->malformed = !reader_ok(area);
		return !options->malformed;
	}
	return false;
}

static void options_add(struct options *options, const uint8_t *bytes, size_t size)
{
	options->area[options->count++] = reader_of(bytes, size);
}

/* bytes: a message of at least 240 bytes. False: an overload option that is none. */
static bool options_start(const uint8_t *bytes, size_t size, struct options *ret_options)
{
	struct options options = {};
	uint8_t code;
	struct reader value;
	uint8_t overload = 0;

	options_add(&options, bytes + DHCP_FIXED_SIZE, size - DHCP_FIXED_SIZE);
	struct options search = options;
	while (options_next(&search, &code, &value)) {
		if (code != DHCP_OPTION_OVERLOAD || overload != 0)
			continue;
		overload = reader_u8(&value);
		if (reader_left(&value) > 0 || overload == 0 ||
		    overload > (OVERLOAD_FILE | OVERLOAD_SNAME))
			return false;
	}
	if (overload & OVERLOAD_FILE)
		options_add(&options, bytes + FILE_OFFSET, FILE_SIZE);
	if (overload & OVERLOAD_SNAME)
		options_add(&options, bytes + SNAME_OFFSET, SNAME_SIZE);
	*ret_options = options;
	return true;
}

/* Joins a piece (RFC 3396). False: too long. */
static bool join(struct dhcp_bytes *bytes, struct reader *piece)
{
	size_t size = reader_left(piece);

	if (size > DHCP_OPTION_MAX - (size_t)bytes->size)
		return false;
	reader_bytes(piece, bytes->bytes + bytes->size, size);
	bytes->size = (uint8_t)(bytes->size + size);
	return true;
}

static bool read_u32(struct reader *value, uint32_t *number)
{
	*number = reader_u32(value);
	return reader_ok(value) && reader_left(value) == 0;
}

static bool read_addr(struct reader *value, struct ip_addr *addr)
{
	uint32_t number;

	if (!read_u32(value, &number))
		return false;
	*addr = ip_addr_from_v4(number);
	return true;
}

static bool read_type(struct reader *value, enum dhcp_type *type)
{
	uint8_t number = reader_u8(value);

	if (!reader_ok(value) || reader_left(value) > 0 || number < DHCP_TYPE_DISCOVER ||
	    number > DHCP_TYPE_INFORM)
		return false;
	*type = (enum dhcp_type)number;
	return true;
}

static bool read_max_size(struct reader *value, uint16_t *size)
{
	uint16_t number = reader_u16(value);

	*size = number < MAX_SIZE_LEAST ? MAX_SIZE_LEAST : number;
	return reader_ok(value) && reader_left(value) == 0;
}

/* Of options with a fixed size the last one counts; the others are joined. */
static bool read_option(uint8_t code, struct reader *value, struct dhcp_message *message)
{
	switch (code) {
	case DHCP_OPTION_TYPE:
		return read_type(value, &message->type);
	case DHCP_OPTION_REQUESTED_IP:
		return read_addr(value, &message->requested_ip);
	case DHCP_OPTION_SERVER_ID:
		return read_addr(value, &message->server_id);
	case DHCP_OPTION_LEASE:
		message->has_lease = true;
		return read_u32(value, &message->lease_s);
	case DHCP_OPTION_MAX_SIZE:
		return read_max_size(value, &message->max_message_size);
	case DHCP_OPTION_CLIENT_ID:
		return join(&message->client_id, value);
	case DHCP_OPTION_HOSTNAME:
		return join(&message->hostname, value);
	case DHCP_OPTION_PARAMETERS:
		return join(&message->parameters, value);
	default:
		return true;
	}
}

static bool read_fixed(struct reader *reader, struct dhcp_message *message)
{
	message->op = reader_u8(reader);
	uint8_t htype = reader_u8(reader);
	uint8_t hlen = reader_u8(reader);
	message->hops = reader_u8(reader);
	message->xid = reader_u32(reader);
	message->secs = reader_u16(reader);
	message->broadcast = (reader_u16(reader) & FLAG_BROADCAST) != 0;
	message->ciaddr = ip_addr_from_v4(reader_u32(reader));
	message->yiaddr = ip_addr_from_v4(reader_u32(reader));
	message->siaddr = ip_addr_from_v4(reader_u32(reader));
	message->giaddr = ip_addr_from_v4(reader_u32(reader));
	reader_bytes(reader, message->chaddr.octet, sizeof(message->chaddr.octet));
	reader_skip(reader, CHADDR_SIZE - HLEN_ETHERNET + SNAME_SIZE + FILE_SIZE);
	uint32_t cookie = reader_u32(reader);

	return reader_ok(reader) && htype == HTYPE_ETHERNET && hlen == HLEN_ETHERNET &&
	       cookie == MAGIC_COOKIE &&
	       (message->op == DHCP_OP_REQUEST || message->op == DHCP_OP_REPLY);
}

bool dhcp_parse(const void *bytes, size_t size, struct dhcp_message *ret_message)
{
	struct reader reader = reader_of(bytes, size);
	struct dhcp_message message = {};
	struct options options;
	uint8_t code;
	struct reader value;

	if (!read_fixed(&reader, &message) || !options_start(bytes, size, &options))
		return false;
	while (options_next(&options, &code, &value)) {
		if (!read_option(code, &value, &message))
			return false;
	}
	if (options.malformed)
		return false;
	*ret_message = message;
	return true;
}

bool dhcp_find_option(const void *bytes, size_t size, uint8_t code, struct dhcp_bytes *ret_value)
{
	struct reader reader = reader_of(bytes, size);
	struct dhcp_message message = {};
	struct dhcp_bytes joined = {};
	struct options options;
	uint8_t found;
	struct reader value;
	bool present = false;

	if (!read_fixed(&reader, &message) || !options_start(bytes, size, &options))
		return false;
	while (options_next(&options, &found, &value)) {
		if (found != code)
			continue;
		present = true;
		if (!join(&joined, &value))
			return false;
	}
	if (!present || options.malformed)
		return false;
	*ret_value = joined;
	return true;
}

static void write_addr(struct writer *writer, const struct ip_addr *addr)
{
	writer_u32(writer, ip_addr_is_v4(addr) ? ip_addr_to_v4(addr) : 0);
}

static void write_fixed(struct writer *writer, const struct dhcp_reply *reply)
{
	writer_u8(writer, DHCP_OP_REPLY);
	writer_u8(writer, HTYPE_ETHERNET);
	writer_u8(writer, HLEN_ETHERNET);
	writer_u8(writer, 0);
	writer_u32(writer, reply->xid);
	writer_u16(writer, 0);
	writer_u16(writer, reply->broadcast ? FLAG_BROADCAST : 0);
	write_addr(writer, &reply->ciaddr);
	write_addr(writer, &reply->yiaddr);
	write_addr(writer, &reply->siaddr);
	write_addr(writer, &reply->giaddr);
	writer_bytes(writer, reply->chaddr.octet, sizeof(reply->chaddr.octet));
	writer_zeroes(writer, CHADDR_SIZE - HLEN_ETHERNET + SNAME_SIZE + FILE_SIZE);
	writer_u32(writer, MAGIC_COOKIE);
}

static void write_option(struct writer *writer, uint8_t code, const void *bytes, uint8_t size)
{
	writer_u8(writer, code);
	writer_u8(writer, size);
	writer_bytes(writer, bytes, size);
}

static void write_u32_option(struct writer *writer, uint8_t code, uint32_t number)
{
	writer_u8(writer, code);
	writer_u8(writer, sizeof(number));
	writer_u32(writer, number);
}

static void write_addr_option(struct writer *writer, uint8_t code, const struct ip_addr *addr)
{
	if (addr->family != IP_FAMILY_NONE)
		write_u32_option(writer, code, ip_addr_to_v4(addr));
}

static void write_required(struct writer *writer, const struct dhcp_reply *reply)
{
	const uint8_t type = (uint8_t)reply->type;

	write_option(writer, DHCP_OPTION_TYPE, &type, sizeof(type));
	write_addr_option(writer, DHCP_OPTION_SERVER_ID, &reply->server_id);
	if (reply->has_lease) {
		write_u32_option(writer, DHCP_OPTION_LEASE, reply->lease_s);
		if (reply->t1_s > 0)
			write_u32_option(writer, DHCP_OPTION_T1, reply->t1_s);
		if (reply->t2_s > 0)
			write_u32_option(writer, DHCP_OPTION_T2, reply->t2_s);
	}
	/* The mask comes before the router (RFC 2132 3.3). */
	write_addr_option(writer, DHCP_OPTION_MASK, &reply->mask);
	write_addr_option(writer, DHCP_OPTION_ROUTER, &reply->router);
	if (reply->client_id && reply->client_id->size > 0)
		write_option(writer, DHCP_OPTION_CLIENT_ID, reply->client_id->bytes,
			     reply->client_id->size);
}

/* Leaves the option out where it, and the end behind it, do not fit. */
static void write_if_room(struct writer *writer, uint8_t code, const void *bytes, size_t size)
{
	if (size > 0 && size <= DHCP_OPTION_MAX && writer_left(writer) >= 2 + size + 1)
		write_option(writer, code, bytes, (uint8_t)size);
}

static void write_text(struct writer *writer, uint8_t code, const char *text)
{
	if (text)
		write_if_room(writer, code, text, strlen(text));
}

static void write_optional(struct writer *writer, const struct dhcp_reply *reply)
{
	uint8_t bytes[4 * DHCP_MAX_DNS_SERVERS];
	struct writer list = writer_of(bytes, sizeof(bytes));

	for (size_t i = 0; i < reply->dns_count; i++)
		write_addr(&list, &reply->dns[i]);
	write_if_room(writer, DHCP_OPTION_DNS, bytes, list.position);

	list = writer_of(bytes, sizeof(bytes));
	if (reply->mtu > 0)
		writer_u16(&list, reply->mtu);
	write_if_room(writer, DHCP_OPTION_MTU, bytes, list.position);

	list = writer_of(bytes, sizeof(bytes));
	if (reply->broadcast_addr.family != IP_FAMILY_NONE)
		write_addr(&list, &reply->broadcast_addr);
	write_if_room(writer, DHCP_OPTION_BROADCAST, bytes, list.position);

	write_text(writer, DHCP_OPTION_DOMAIN, reply->domain);
	write_text(writer, DHCP_OPTION_HOSTNAME, reply->hostname);
	write_text(writer, DHCP_OPTION_MESSAGE, reply->message);
}

static bool is_v4_or_none(const struct ip_addr *addr)
{
	return addr->family == IP_FAMILY_NONE || ip_addr_is_v4(addr);
}

static bool addresses_are_v4(const struct dhcp_reply *reply)
{
	const struct ip_addr *addrs[] = {
		&reply->ciaddr,	   &reply->yiaddr, &reply->siaddr, &reply->giaddr,
		&reply->server_id, &reply->mask,   &reply->router, &reply->broadcast_addr,
	};

	for (size_t i = 0; i < ARRAY_COUNT(addrs); i++) {
		if (!is_v4_or_none(addrs[i]))
			return false;
	}
	if (reply->dns_count > DHCP_MAX_DNS_SERVERS)
		return false;
	for (size_t i = 0; i < reply->dns_count; i++) {
		if (!ip_addr_is_v4(&reply->dns[i]))
			return false;
	}
	return true;
}

bool dhcp_build_reply(struct writer *writer, const struct dhcp_reply *reply)
{
	size_t start = writer->position;

	if (!addresses_are_v4(reply))
		return false;
	write_fixed(writer, reply);
	write_required(writer, reply);
	write_optional(writer, reply);
	writer_u8(writer, DHCP_OPTION_END);
	size_t size = writer->position - start;
	if (size < DHCP_REPLY_MIN)
		writer_zeroes(writer, DHCP_REPLY_MIN - size);
	return writer_ok(writer);
}
