/* A seed.json of any bytes: what was taken can be written and is the same when read again. */

#include "fuzz.h"

#include <string.h>

#include "vm/seed_documents.h"
#include "vm/seed_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seed_settings settings;
	struct seed_settings again;
	struct seed_documents documents;

	if (seed_settings_parse((const char *)data, size, &settings, NULL) < 0)
		return 0;
	FUZZ_CHECK(settings.instance_id && settings.key_count <= SEED_KEYS_MOST);
	char *text = seed_settings_format(&settings);
	FUZZ_CHECK(text && seed_settings_parse(text, strlen(text), &again, NULL) == 0);
	FUZZ_CHECK(again.key_count == settings.key_count);
	FUZZ_CHECK(!again.user_data == !settings.user_data);
	FUZZ_CHECK(!again.user_data || strcmp(again.user_data, settings.user_data) == 0);
	FUZZ_CHECK(seed_documents_build(&settings, settings.hostname, &documents) == 0);
	/* One line each: what a comment says is no document of its own. */
	size_t lines = 0;
	for (const char *at = documents.items[0].text; *at; at++)
		lines += *at == '\n';
	FUZZ_CHECK(lines == (size_t)1 + (settings.hostname != NULL) + settings.key_count +
				    (settings.key_count > 0));
	seed_documents_done(&documents);
	seed_settings_done(&again);
	seed_settings_done(&settings);
	free(text);
	return 0;
}
