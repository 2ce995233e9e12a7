/* A run.json of any bytes. */

#include "fuzz.h"

#include <string.h>

#include "vm/run_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run_state state;

	if (!run_state_parse((const char *)data, size, &state))
		return 0;
	FUZZ_CHECK(strlen(state.label) < sizeof(state.label));
	FUZZ_CHECK(json_is_array(state.forwards));
	FUZZ_CHECK(state.address.family == IP_FAMILY_V4 || state.address.family == IP_FAMILY_V6);
	run_state_done(&state);
	return 0;
}
