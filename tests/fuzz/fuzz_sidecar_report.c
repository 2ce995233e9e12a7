/* What softnet says of its network: any bytes. */

#include "fuzz.h"

#include "cli/forward_text.h"
#include "cli/sidecar_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sidecar_report report;
	char text[FORWARD_TEXT_SIZE];
	const json_t *item;
	size_t i;

	if (!sidecar_report_parse((const char *)data, size, &report))
		return 0;
	FUZZ_CHECK(ip_prefix_contains(&report.subnet, &report.gateway));
	FUZZ_CHECK(ip_prefix_contains(&report.subnet, &report.address));
	FUZZ_CHECK(json_is_array(report.forwards));
	json_array_foreach(report.forwards, i, item)
		FUZZ_CHECK(forward_text_from_json(item, text)[0] != '?');
	json_decref(report.forwards);
	return 0;
}
