#include "cli/disk_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

bool disk_spec_parse(const char *text, struct disk_spec *ret_spec, struct error *err)
{
	struct disk_spec spec = { 0 };
	const char *colon = strrchr(text, ':');
	size_t length = strlen(text);

	if (colon && !strchr(colon, '/')) {
		if (!disk_options_parse(colon + 1, &spec.options, err)) {
			error_prefix(err, "invalid disk \"%s\"", text);
			return false;
		}
		length = (size_t)(colon - text);
	}
	if (length == 0) {
		error_set(err, "invalid disk \"%s\": the name of a file or block device is missing",
			  text);
		return false;
	}
	spec.path = strndup(text, length);
	if (!spec.path) {
		error_set(err, "out of memory");
		return false;
	}
	*ret_spec = spec;
	return true;
}

void disk_spec_done(struct disk_spec *spec)
{
	free(spec->path);
	spec->path = NULL;
}
