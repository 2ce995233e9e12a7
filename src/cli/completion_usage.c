#include "cli/completion_usage.h"

#include <string.h>

#define SMALL	"abcdefghijklmnopqrstuvwxyz"
#define LITERAL SMALL "0123456789-"

bool completion_usage_is_literal(const char *word)
{
	return word[0] != '-' && strpbrk(word, SMALL) && word[strspn(word, LITERAL)] == '\0';
}

static bool is_mark(char c)
{
	return c == '[' || c == ']' || c == '.';
}

static void read_word(const char *text, size_t size, struct completion_word *word)
{
	size_t from = 0;

	word->repeats = size > 3 && memmem(text, size, "...", 3);
	while (from < size && text[from] == '[')
		from++;
	while (size > from && is_mark(text[size - 1]))
		size--;
	/* A bracket that opens behind the word's beginning closes at its end. */
	if (memchr(text + from, '[', size - from) && !memchr(text + from, ']', size - from))
		size = (size_t)((const char *)memchr(text + from, '[', size - from) - text);
	size -= from;
	if (size >= sizeof(word->text))
		size = sizeof(word->text) - 1;
	memcpy(word->text, text + from, size);
	word->text[size] = '\0';
}

bool completion_usage_next(const char **form, const char *const *written, size_t index,
			   struct completion_word *ret_word)
{
	const char *at = *form;
	const char *end = at + strcspn(at, "\n");
	struct completion_word word = { .text = "" };
	size_t number = 0;
	bool fits = true;

	*form = *end ? end + 1 : NULL;
	/* A form that an option makes has no arguments that differ from it. */
	if (at[0] == '-' && at[1] == '-' && at[2] != ' ')
		return false;
	while (at < end && fits) {
		size_t size = strcspn(at, " \n");
		if (size > 0 && strncmp(at, "--", 2) != 0) {
			read_word(at, size, &word);
			if (number == index)
				break;
			fits = !completion_usage_is_literal(word.text) ||
			       strcmp(written[number], word.text) == 0;
			number++;
		}
		at += size;
		at += *at == ' ';
	}
	*ret_word = word;
	return fits && (at < end || (number > 0 && word.repeats));
}
