/* The header of a saved state, of any bytes. What is taken can be written, read again, and fits
 * itself. */

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "vm/saved_machine.h"
#include "vm/saved_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct saved_machine machine;
	struct saved_machine again;
	struct error err;

	if (!saved_state_parse(data, size, &machine))
		return 0;
	FUZZ_CHECK(machine.disk_count <= SAVED_DISK_MOST);
	FUZZ_CHECK(machine.cpu_count >= 1);
	char *text = saved_machine_format(&machine);
	FUZZ_CHECK(text && saved_machine_parse(text, strlen(text), &again));
	FUZZ_CHECK(saved_machine_fits(&machine, &again, &err));
	saved_machine_done(&machine);
	saved_machine_done(&again);
	free(text);
	return 0;
}
