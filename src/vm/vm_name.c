#include "vm/vm_name.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static int check_characters(const char *name, struct error *err)
{
	uint32_t code;
	bool valid;
	size_t size;

	for (const char *at = name; (size = utf8_decode(at, &code, &valid)); at += size) {
		if (!valid) {
			error_set(err, "VM name is not valid UTF-8 (at byte %zu)",
				  (size_t)(at - name) + 1);
			return -EINVAL;
		}
		/* Not quoted: it would do on the terminal what it is refused for. */
		if (utf8_is_control(code)) {
			error_set(err, "VM name has a control character (U+%04X at byte %zu)",
				  (unsigned)code, (size_t)(at - name) + 1);
			return -EINVAL;
		}
	}
	return 0;
}

int vm_name_check(const char *name, struct error *err)
{
	size_t size = strlen(name);

	if (size == 0) {
		error_set(err, "VM name is empty");
		return -EINVAL;
	}
	if (size > VM_NAME_MOST) {
		error_set(err, "VM name is too long: %zu bytes, at most %d are allowed", size,
			  VM_NAME_MOST);
		return -EINVAL;
	}
	int r = check_characters(name, err);
	if (r < 0)
		return r;
	if (strchr(name, '/')) {
		error_set(err, "VM name \"%s\" should be a local name: it may not contain \"/\"",
			  name);
		return -EINVAL;
	}
	if (name[0] == '.') {
		error_set(err, "VM name \"%s\" may not begin with a dot", name);
		return -EINVAL;
	}
	if (name[0] == '-') {
		error_set(err, "VM name \"%s\" may not begin with a hyphen", name);
		return -EINVAL;
	}
	return 0;
}
