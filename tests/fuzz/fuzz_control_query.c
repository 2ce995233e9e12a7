/* The query of DELETE /v1/forwards, as its three values, one a line; a line that is not there is a
 * value that was not given. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "control/control_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *values[3] = { NULL, NULL, NULL };
	struct error err = { .text = "" };
	struct vmnet_port_forward forward;
	char address[CONTROL_ADDRESS_TEXT_SIZE];
	char *text = malloc(size + 1);
	char *rest = text;

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < 3 && rest; i++)
		values[i] = strsep(&rest, "\n");
	if (control_json_parse_removal(values[0], values[1], values[2], &forward, &err)) {
		FUZZ_CHECK(forward.external_port != 0);
		FUZZ_CHECK(control_json_protocol_name(forward.protocol));
		FUZZ_CHECK(values[2] || forward.external_family == AF_UNSPEC);
		FUZZ_CHECK(strlen(control_json_format_address(&forward, address)) > 0);
	} else {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
	}
	free(text);
	return 0;
}
