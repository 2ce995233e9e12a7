/* /proc/cpuinfo: a flag is found only where its name stands. */

#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "vm/accel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) /* fmemopen() has no empty streams */
		return 0;
	char *bytes = malloc(size);
	FUZZ_CHECK(bytes);
	memcpy(bytes, data, size);
	FILE *stream = fmemopen(bytes, size, "r");
	FUZZ_CHECK(stream);
	if (accel_cpuinfo_has_flag(stream)) {
		FUZZ_CHECK(memmem(data, size, "flags", 5));
		FUZZ_CHECK(memmem(data, size, "vmx", 3) || memmem(data, size, "svm", 3));
	}
	FUZZ_CHECK(fclose(stream) == 0);
	free(bytes);
	return 0;
}
