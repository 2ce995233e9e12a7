#include "vm/vm_label.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static bool is_alphanumeric(uint32_t code)
{
	return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') ||
	       (code >= '0' && code <= '9');
}

static const char *skip_blanks(const char *text)
{
	uint32_t code;
	bool valid;
	size_t size;

	while ((size = utf8_decode(text, &code, &valid)) && utf8_is_blank(code))
		text += size;
	return text;
}

/* Bytes of the text without the blanks at its end. */
static size_t trimmed_size(const char *text)
{
	uint32_t code;
	bool valid;
	size_t size;
	size_t end = 0;

	for (size_t at = 0; (size = utf8_decode(text + at, &code, &valid)); at += size) {
		if (!utf8_is_blank(code))
			end = at + size;
	}
	return end;
}

bool vm_label_from_name(const char *name, char label[VM_LABEL_SIZE])
{
	const char *start = skip_blanks(name);
	size_t used = utf8_cut(start, trimmed_size(start), VM_LABEL_LENGTH);

	if (used == 0)
		return false;
	memcpy(label, start, used);
	label[used] = 0;
	return true;
}

void vm_label_safe(const char *label, char safe[VM_LABEL_SAFE_SIZE])
{
	uint32_t code;
	bool valid;
	size_t size;
	size_t length = 0;

	while (length < VM_LABEL_LENGTH && (size = utf8_decode(label, &code, &valid))) {
		bool keep = is_alphanumeric(code) || code == '.' || code == '_' || code == '-';
		safe[length++] = (char)(keep ? code : '-');
		label += size;
	}
	safe[length] = 0;
}

bool vm_label_hostname(const char *name, char hostname[VM_HOSTNAME_SIZE])
{
	uint32_t code;
	bool valid;
	size_t size;
	size_t length = 0;

	for (; length < VM_HOSTNAME_SIZE - 1 && (size = utf8_decode(name, &code, &valid));
	     name += size) {
		if (is_alphanumeric(code))
			hostname[length++] =
				(char)(code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code);
		else if (length > 0 && hostname[length - 1] != '-')
			hostname[length++] = '-';
	}
	while (length > 0 && hostname[length - 1] == '-')
		length--;
	hostname[length] = 0;
	return length > 0;
}
