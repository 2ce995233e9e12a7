#include "spec/forward_spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/printable.h"
#include "base/text.h"
#include "vmnet/vmnet.h"

/* Tart's own sentence (its section in the contract); the address and the ranges are ours. */
#define EXPECTED	 "expected EXTERNAL_PORT:INTERNAL_PORT[/PROTOCOL] with non-zero ports"
#define EXPECTED_REMOVAL "expected [HOST_ADDRESS:]EXTERNAL_PORT[:INTERNAL_PORT][/PROTOCOL]"

/* One piece between commas while it is read. */
struct piece {
	struct text_view raw;
	bool removal;
	struct error *err;
};

static bool refuse(const struct piece *piece, const char *format, ...) PRINTF_LIKE(2, 3);
static bool refuse(const struct piece *piece, const char *format, ...)
{
	char piece_text[256];
	char reason[256];
	char shown[sizeof(piece_text) + sizeof(reason) + 8];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(piece_text, sizeof(piece_text), "%.*s", (int)piece->raw.length, piece->raw.start);
	snprintf(shown, sizeof(shown), "\"%s\": %s", piece_text, reason);
	char printed[sizeof(piece->err->text)];
	error_set(piece->err, "invalid port forwarding spec %s",
		  printable(shown, printed, sizeof(printed)));
	return false;
}

static bool refuse_form(const struct piece *piece)
{
	return refuse(piece, "%s", piece->removal ? EXPECTED_REMOVAL : EXPECTED);
}

/* As Swift's UInt16(String): digits with at most one '+' before them. */
static bool parse_port(struct text_view text, uint16_t *ret_port)
{
	if (text.length > 1 && text.start[0] == '+') {
		text.start++;
		text.length--;
	}
	return text_parse_u16(text, ret_port);
}

/* PORT or PORT-END; *ret_count is how many ports that are. */
static bool parse_range(const struct piece *piece, struct text_view text, uint16_t *ret_first,
			uint32_t *ret_count)
{
	struct text_view first_text;
	struct text_view last_text;
	uint16_t first;
	uint16_t last;

	bool is_range = text_view_cut(text, '-', &first_text, &last_text);
	if (!parse_port(first_text, &first) || (is_range && !parse_port(last_text, &last)))
		return refuse_form(piece);
	if (!is_range)
		last = first;
	else if (first == 0)
		return refuse(piece, "the range %.*s begins with 0", (int)text.length, text.start);
	if (last < first)
		return refuse(piece, "the range %.*s runs backwards", (int)text.length, text.start);
	*ret_first = first;
	*ret_count = (uint32_t)(last - first) + 1;
	return true;
}

static bool parse_address(const struct piece *piece, struct text_view text, bool bracketed,
			  struct ip_addr *ret_address)
{
	char buffer[IP_ADDR_TEXT_SIZE];

	if (!text_view_copy(text, buffer, sizeof(buffer)) || !ip_addr_parse(buffer, ret_address) ||
	    ip_addr_is_v4(ret_address) == bracketed)
		return refuse(piece, "\"%.*s\" is not an %s address", (int)text.length, text.start,
			      bracketed ? "IPv6" : "IPv4");
	*ret_address = ip_addr_unmap(ret_address);
	const char *why = piece->removal ? NULL : ip_addr_why_no_listener(ret_address);
	if (why)
		return refuse(piece, "cannot listen on %.*s, which %s", (int)text.length,
			      text.start, why);
	return true;
}

static size_t count_character(struct text_view text, char wanted)
{
	size_t count = 0;

	for (size_t i = 0; i < text.length; i++)
		count += text.start[i] == wanted;
	return count;
}

/* Takes "[ADDRESS]:" or "ADDRESS:" off the front, where it is there. */
static bool take_address(const struct piece *piece, struct text_view *text,
			 struct ip_addr *ret_address)
{
	struct text_view address;
	struct text_view rest;

	if (text->length > 0 && text->start[0] == '[') {
		struct text_view inside = { text->start + 1, text->length - 1 };
		if (!text_view_cut(inside, ']', &address, &rest) || rest.length == 0 ||
		    rest.start[0] != ':')
			return refuse(piece, "an IPv6 host address is written [ADDRESS]:");
		*text = (struct text_view){ rest.start + 1, rest.length - 1 };
		return parse_address(piece, address, true, ret_address);
	}
	size_t colons = count_character(*text, ':');
	if (colons > 2)
		return refuse(piece, "an IPv6 host address is written in brackets, [ADDRESS]:");
	(void)text_view_cut(*text, ':', &address, &rest);
	bool short_form = piece->removal && colons == 1 && count_character(address, '.') > 0;
	if (colons < 2 && !short_form)
		return true; /* no address */
	*text = rest;
	return parse_address(piece, address, false, ret_address);
}

static bool parse_ports(const struct piece *piece, struct text_view text, struct forward_spec *spec)
{
	struct text_view external;
	struct text_view internal;
	uint32_t internal_count = 0;

	bool both = text_view_cut(text, ':', &external, &internal);
	if (!both && !piece->removal)
		return refuse_form(piece);
	if (!parse_range(piece, external, &spec->external, &spec->count))
		return false;
	if (piece->removal && spec->external == 0)
		return refuse_form(piece);
	if (!both)
		return true;
	if (!parse_range(piece, internal, &spec->internal, &internal_count))
		return false;
	if (spec->internal == 0)
		return refuse_form(piece);
	if (internal_count != spec->count)
		return refuse(piece, "the ranges %.*s and %.*s are not equally long",
			      (int)external.length, external.start, (int)internal.length,
			      internal.start);
	return true;
}

static bool parse_protocol(const struct piece *piece, struct text_view text,
			   struct forward_spec *spec)
{
	char name[4];

	if (text_view_copy(text, name, sizeof(name))) {
		if (strcasecmp(name, "tcp") == 0)
			return true;
		if (strcasecmp(name, "udp") == 0) {
			spec->protocol = IPPROTO_UDP;
			return true;
		}
	}
	return refuse(piece, "unknown protocol \"%.*s\", expected tcp or udp", (int)text.length,
		      text.start);
}

static bool parse_piece(const struct piece *piece, struct forward_spec *ret_spec)
{
	struct forward_spec spec = { .protocol = IPPROTO_TCP, .count = 1 };
	struct text_view ports;
	struct text_view protocol;

	bool has_protocol = text_view_cut(piece->raw, '/', &ports, &protocol);
	if (!take_address(piece, &ports, &spec.address) || !parse_ports(piece, ports, &spec) ||
	    (has_protocol && !parse_protocol(piece, protocol, &spec)))
		return false;
	*ret_spec = spec;
	return true;
}

/* Could both be bound? A wildcard, or no address, covers every address of its family. */
static bool addresses_meet(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family == IP_FAMILY_NONE || b->family == IP_FAMILY_NONE)
		return true;
	if (a->family != b->family)
		return false;
	return ip_addr_equal(a, b) || ip_addr_is_unspecified(a) || ip_addr_is_unspecified(b);
}

static bool specs_meet(const struct forward_spec *a, const struct forward_spec *b)
{
	if (a->external == 0 || b->external == 0)
		return false;
	return a->protocol == b->protocol && addresses_meet(&a->address, &b->address) &&
	       a->external < b->external + b->count && b->external < a->external + a->count;
}

static bool check_new(const struct piece *piece, const struct forward_specs *specs,
		      const struct forward_spec *spec)
{
	for (size_t i = 0; i < specs->count; i++) {
		const struct forward_spec *other = &specs->items[i];
		if (!specs_meet(other, spec))
			continue;
		uint16_t port = other->external > spec->external ? other->external : spec->external;
		return refuse(piece, "external port %u/%s is given twice", port,
			      spec->protocol == IPPROTO_UDP ? "udp" : "tcp");
	}
	return true;
}

static bool check_count(const struct piece *piece, const struct forward_specs *specs,
			const struct forward_spec *spec)
{
	size_t count = spec->count;

	for (size_t i = 0; i < specs->count; i++)
		count += specs->items[i].count;
	if (count > FORWARD_SPECS_MOST)
		return refuse(piece, "with it there are %zu forwards, at most %zu are possible",
			      count, FORWARD_SPECS_MOST);
	return true;
}

static bool append(struct forward_specs *specs, const struct forward_spec *spec, struct error *err)
{
	struct forward_spec *items =
		realloc(specs->items, (specs->count + 1) * sizeof(*specs->items));
	if (!items) {
		error_set(err, "out of memory");
		return false;
	}
	items[specs->count++] = *spec;
	specs->items = items;
	return true;
}

static bool parse_all(struct forward_specs *specs, const char *text, bool removal,
		      struct error *err)
{
	struct piece piece = { .removal = removal, .err = err };
	struct text_view rest = text_view_of(text);
	size_t count_before = specs->count;
	bool more = true;

	while (more) {
		struct forward_spec spec;
		more = text_view_cut(rest, ',', &piece.raw, &rest);
		if (piece.raw.length == 0)
			continue;
		if (!parse_piece(&piece, &spec) || !check_new(&piece, specs, &spec) ||
		    !check_count(&piece, specs, &spec) || !append(specs, &spec, err)) {
			specs->count = count_before;
			return false;
		}
	}
	return true;
}

bool forward_specs_parse(struct forward_specs *specs, const char *text, struct error *err)
{
	return parse_all(specs, text, false, err);
}

bool forward_specs_parse_removal(struct forward_specs *specs, const char *text, struct error *err)
{
	return parse_all(specs, text, true, err);
}

void forward_specs_done(struct forward_specs *specs)
{
	free(specs->items);
	*specs = (struct forward_specs){ 0 };
}

void forward_spec_get(const struct forward_spec *spec, uint32_t index,
		      struct vmnet_port_forward *forward)
{
	forward->protocol = spec->protocol;
	forward->external_port = spec->external ? (uint16_t)(spec->external + index) : 0;
	forward->internal_port = spec->internal ? (uint16_t)(spec->internal + index) : 0;
	if (ip_addr_is_v4(&spec->address)) {
		forward->external_family = AF_INET;
		forward->external_address.v4.s_addr = htonl(ip_addr_to_v4(&spec->address));
	} else if (spec->address.family == IP_FAMILY_V6) {
		forward->external_family = AF_INET6;
		memcpy(&forward->external_address.v6, spec->address.octet,
		       sizeof(forward->external_address.v6));
	}
}
