/* The body of a request to the control API, of any bytes: a forward that is taken is written so
 * that it is read the same; what is refused gets a sentence. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "cli/forward_text.h"
#include "control/control_json.h"

static void check_address(const struct vmnet_port_forward *a, const struct vmnet_port_forward *b)
{
	FUZZ_CHECK(a->external_family == b->external_family);
	if (a->external_family == AF_INET)
		FUZZ_CHECK(a->external_address.v4.s_addr == b->external_address.v4.s_addr);
	if (a->external_family == AF_INET6)
		FUZZ_CHECK(memcmp(&a->external_address.v6, &b->external_address.v6,
				  sizeof(a->external_address.v6)) == 0);
}

static void check_again(const struct vmnet_port_forward *forward)
{
	char text[FORWARD_TEXT_SIZE];
	struct vmnet_port_forward again;
	json_t *object = control_json_forward(forward);

	FUZZ_CHECK(object && control_json_parse_forward(object, &again, NULL));
	FUZZ_CHECK(again.protocol == forward->protocol);
	FUZZ_CHECK(again.external_port == forward->external_port);
	FUZZ_CHECK(again.internal_port == forward->internal_port);
	FUZZ_CHECK(again.internal_address.s_addr == forward->internal_address.s_addr);
	check_address(&again, forward);
	FUZZ_CHECK(strlen(forward_text_from_json(object, text)) > 1);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { .text = "" };
	char text[FORWARD_TEXT_SIZE];
	struct vmnet_port_forward forward;
	/* As the server reads it. */
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (!object)
		return 0;
	if (control_json_parse_forward(object, &forward, &err)) {
		FUZZ_CHECK(forward.internal_port != 0);
		check_again(&forward);
	} else {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
		FUZZ_CHECK(strcmp(forward_text_from_json(object, text), "?") == 0);
	}
	json_decref(object);
	return 0;
}
