/* The beginning of a disk image of any bytes: what is taken is a disk that a guest can have; what is refused
 * gets the rest of a sentence. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "vm/disk_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { .text = "" };
	struct disk_image image;

	if (disk_image_judge(data, size, size, &image, &err) < 0) {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
		return 0;
	}
	FUZZ_CHECK(err.text[0] == '\0');
	FUZZ_CHECK(image.size > 0 && image.size <= INT64_MAX);
	FUZZ_CHECK(image.format == DISK_FORMAT_QCOW2 || image.size % DISK_SECTOR_SIZE == 0);
	FUZZ_CHECK(image.format == DISK_FORMAT_QCOW2 || !image.dependence);
	return 0;
}
