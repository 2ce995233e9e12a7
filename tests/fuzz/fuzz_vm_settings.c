/* config.json in the home: what is taken is an address that a forward can be given. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "control/control_json.h"
#include "vm/vm_home.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_home_settings settings = { .expose_address = "*" };
	struct vmnet_port_forward forward;
	struct error err = { .text = "" };
	int rc = vm_home_parse_settings((const char *)data, size, &settings, &err);

	FUZZ_CHECK(memchr(settings.expose_address, '\0', sizeof(settings.expose_address)));
	if (rc < 0)
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
	else
		FUZZ_CHECK(control_json_parse_address(settings.expose_address, &forward));
	return 0;
}
