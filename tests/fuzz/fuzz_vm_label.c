/* The name of a VM, of any bytes: the label, its safe form, the host name, and whether a directory
 * may be called so. Also what `qemu --version` prints, another text from outside. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "vm/qemu_version.h"
#include "vm/vm_label.h"
#include "vm/vm_name.h"

static size_t count_characters(const char *text)
{
	size_t count = 0;
	uint32_t code;
	bool valid;

	for (size_t size; (size = utf8_decode(text, &code, &valid)) > 0; text += size) {
		FUZZ_CHECK(size <= 4 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
		FUZZ_CHECK(valid || size == 1);
		count++;
	}
	FUZZ_CHECK(*text == '\0');
	return count;
}

static bool is_safe(char c, const char *others)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr(others, c);
}

static void check_label(const char *name)
{
	char label[VM_LABEL_SIZE];
	char safe[VM_LABEL_SAFE_SIZE];

	if (!vm_label_from_name(name, label))
		return;
	size_t length = count_characters(label);
	FUZZ_CHECK(length > 0 && length <= VM_LABEL_LENGTH);
	vm_label_safe(label, safe);
	FUZZ_CHECK(strlen(safe) > 0 && strlen(safe) <= length);
	for (size_t i = 0; safe[i]; i++)
		FUZZ_CHECK(is_safe(safe[i], "._-"));
}

static void check_hostname(const char *name)
{
	char hostname[VM_HOSTNAME_SIZE];

	if (!vm_label_hostname(name, hostname))
		return;
	size_t length = strlen(hostname);
	FUZZ_CHECK(length > 0 && hostname[0] != '-' && hostname[length - 1] != '-');
	for (size_t i = 0; i < length; i++)
		FUZZ_CHECK(is_safe(hostname[i], "-") && (hostname[i] < 'A' || hostname[i] > 'Z'));
}

static void check_name(const char *name)
{
	struct error err = { .text = "" };

	if (vm_name_check(name, &err) < 0) {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
		return;
	}
	FUZZ_CHECK(name[0] != '\0' && strlen(name) <= VM_NAME_MOST && !strchr(name, '/'));
	FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct qemu_version version;

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	(void)count_characters(text);
	check_label(text);
	check_hostname(text);
	check_name(text);
	if (qemu_version_parse(text, &version))
		FUZZ_CHECK(strstr(text, "version"));
	free(text);
	return 0;
}
