/* What a person writes as port forwards: what is taken lies within the ports there are, overlaps
 * nothing and can be written so that it is read the same; what is refused gets a sentence, and
 * leaves nothing behind. */

#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "spec/forward_spec.h"
#include "vmnet/vmnet.h"

#define SPEC_TEXT_SIZE 128

static void write_range(char *buffer, size_t size, uint16_t first, uint32_t count)
{
	if (count > 1)
		(void)snprintf(buffer, size, "%u-%u", first, first + count - 1);
	else
		(void)snprintf(buffer, size, "%u", first);
}

static void write_spec(const struct forward_spec *spec, char buffer[SPEC_TEXT_SIZE])
{
	char address[IP_ADDR_TEXT_SIZE + 3] = "";
	char external[16];
	char internal[16] = "";
	char text[IP_ADDR_TEXT_SIZE];

	if (spec->address.family != IP_FAMILY_NONE)
		(void)snprintf(address, sizeof(address),
			       ip_addr_is_v4(&spec->address) ? "%s:" : "[%s]:",
			       ip_addr_format(&spec->address, text));
	write_range(external, sizeof(external), spec->external, spec->count);
	if (spec->internal != 0)
		write_range(internal, sizeof(internal), spec->internal, spec->count);
	(void)snprintf(buffer, SPEC_TEXT_SIZE, "%s%s%s%s/%s", address, external,
		       internal[0] != '\0' ? ":" : "", internal,
		       spec->protocol == IPPROTO_UDP ? "udp" : "tcp");
}

static void check_spec(const struct forward_spec *spec, bool removal)
{
	struct vmnet_port_forward first = { .external_family = AF_UNSPEC };
	struct vmnet_port_forward last = first;

	FUZZ_CHECK(spec->protocol == IPPROTO_TCP || spec->protocol == IPPROTO_UDP);
	FUZZ_CHECK(spec->count >= 1 && spec->external + spec->count - 1 <= UINT16_MAX);
	FUZZ_CHECK(spec->internal + spec->count - 1 <= UINT16_MAX);
	FUZZ_CHECK(removal ? spec->external != 0 : spec->internal != 0);
	forward_spec_get(spec, 0, &first);
	forward_spec_get(spec, spec->count - 1, &last);
	FUZZ_CHECK(first.protocol == spec->protocol && first.external_port == spec->external);
	FUZZ_CHECK(last.internal_port >= first.internal_port);
}

static void check_same(const struct forward_spec *spec, bool removal)
{
	struct forward_specs again = {};
	char buffer[SPEC_TEXT_SIZE];

	write_spec(spec, buffer);
	FUZZ_CHECK(removal ? forward_specs_parse_removal(&again, buffer, NULL)
			   : forward_specs_parse(&again, buffer, NULL));
	FUZZ_CHECK(again.count == 1);
	FUZZ_CHECK(again.items[0].protocol == spec->protocol);
	FUZZ_CHECK(again.items[0].external == spec->external);
	FUZZ_CHECK(again.items[0].internal == spec->internal);
	FUZZ_CHECK(again.items[0].count == spec->count);
	FUZZ_CHECK(ip_addr_equal(&again.items[0].address, &spec->address));
	forward_specs_done(&again);
}

static void check_text(const char *text, bool removal)
{
	struct forward_specs specs = {};
	struct error err = { .text = "" };
	bool good = removal ? forward_specs_parse_removal(&specs, text, &err)
			    : forward_specs_parse(&specs, text, &err);

	FUZZ_CHECK(good == (err.text[0] == '\0') && strlen(err.text) < ERROR_TEXT_SIZE);
	FUZZ_CHECK(good || specs.count == 0);
	for (size_t i = 0; i < specs.count; i++) {
		check_spec(&specs.items[i], removal);
		check_same(&specs.items[i], removal);
	}
	/* The same once more is given twice, unless a free port was asked for. */
	if (good && specs.count == 1 && specs.items[0].external != 0) {
		FUZZ_CHECK(!forward_specs_parse(&specs, text, NULL));
		FUZZ_CHECK(specs.count == 1);
	}
	forward_specs_done(&specs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	check_text(text, false);
	check_text(text, true);
	free(text);
	return 0;
}
