#include "vm/qemu_version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "vm/qemu_query.h"

bool qemu_version_parse(const char *text, struct qemu_version *ret_version)
{
	static const char lead[] = "QEMU emulator version ";
	const char *found = strstr(text, lead);
	if (!found)
		return false;
	const char *number = found + sizeof(lead) - 1;
	struct text_view rest = { number, strspn(number, "0123456789.") };
	struct text_view major_text;
	struct text_view minor_text;
	uint16_t major;
	uint16_t minor;

	if (!text_view_cut(rest, '.', &major_text, &rest))
		return false;
	(void)text_view_cut(rest, '.', &minor_text, &rest); /* a third number is optional */
	if (!text_parse_u16(major_text, &major) || !text_parse_u16(minor_text, &minor))
		return false;
	*ret_version = (struct qemu_version){ .major = major, .minor = minor };
	return true;
}

bool qemu_version_is_before(const struct qemu_version *a, const struct qemu_version *b)
{
	return a->major != b->major ? a->major < b->major : a->minor < b->minor;
}

static int ask(const char *program, const struct qemu_query_wait *wait, char *buffer, size_t size)
{
	char *name = strdup(program);
	char option[] = "--version";
	char *const argv[] = { name, option, NULL };

	int r = name ? qemu_query(argv, wait, buffer, size) : -ENOMEM;
	free(name);
	return r;
}

int qemu_version_check(const char *program, const struct qemu_query_wait *wait,
		       struct qemu_version *ret_version, struct error *err)
{
	struct qemu_version version;
	char text[512];

	int r = ask(program, wait, text, sizeof(text));
	if (r == -ECANCELED)
		return r;
	if (r == -ENOENT) {
		error_set(err,
			  "QEMU is missing: there is no %s in PATH (on Debian: apt install "
			  "qemu-system-x86)",
			  program);
		return r;
	}
	if (r == -ETIMEDOUT) {
		error_set(err, "%s --version does not answer within %d s", program,
			  (wait->time_ms + 999) / 1000);
		return r;
	}
	if (r < 0) {
		error_set(err, "QEMU cannot be run: %s: %s", program, strerror(-r));
		return r;
	}
	if (!qemu_version_parse(text, &version)) {
		error_set(err, "%s --version does not answer as QEMU does", program);
		return -EINVAL;
	}
	if (version.major < QEMU_VERSION_LEAST_MAJOR ||
	    (version.major == QEMU_VERSION_LEAST_MAJOR &&
	     version.minor < QEMU_VERSION_LEAST_MINOR)) {
		error_set(err, "QEMU %u.%u is too old: %u.%u or newer is needed", version.major,
			  version.minor, QEMU_VERSION_LEAST_MAJOR, QEMU_VERSION_LEAST_MINOR);
		return -EOPNOTSUPP;
	}
	*ret_version = version;
	return 0;
}
