/* A file of ssh keys in any bytes: each that is taken is one printable line. */

#include "fuzz.h"

#include <string.h>

#include "vm/ssh_key.h"

static int take(void *context, struct text_view key, struct error *err)
{
	size_t *count = context;

	(void)err;
	FUZZ_CHECK(key.length > 0 && key.length <= SSH_KEY_LINE_MOST);
	for (size_t i = 0; i < key.length; i++)
		FUZZ_CHECK((unsigned char)key.start[i] >= ' ' && key.start[i] != 0x7f);
	++*count;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count = 0;

	if (ssh_keys_parse((const char *)data, size, take, &count, NULL) == 0)
		FUZZ_CHECK(count > 0 && !memmem(data, size, "PRIVATE KEY-----", 16));
	return 0;
}
