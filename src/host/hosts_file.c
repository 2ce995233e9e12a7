#include "host/hosts_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_FILE_NAME_LENGTH 253 /* RFC 1035 2.3.4, without the root's dot */

struct hosts_file_parser {
	struct hosts_file_entry *entries;
	size_t count;
	size_t capacity;
	char *names; /* as large as the text: names in it are never longer */
	size_t names_used;
};

static void hosts_file_clear(struct hosts_file *hosts)
{
	free(hosts->entries);
	free(hosts->names);
	hosts->entries = NULL;
	hosts->names = NULL;
	hosts->count = 0;
}

int hosts_file_init(struct hosts_file *hosts, const char *path)
{
	*hosts = (struct hosts_file){ 0 };
	return file_change_init(&hosts->file, path);
}

void hosts_file_done(struct hosts_file *hosts)
{
	hosts_file_clear(hosts);
	file_change_done(&hosts->file);
}

/* Lower case and without the final dot into the parser's names; NULL when it is no host name. */
static const char *hosts_file_add_name(struct hosts_file_parser *parser, struct text_view word)
{
	if (word.length && word.start[word.length - 1] == '.')
		word.length--;
	if (word.length == 0 || word.length > HOSTS_FILE_NAME_LENGTH)
		return NULL;
	char *name = parser->names + parser->names_used;
	for (size_t i = 0; i < word.length; i++) {
		char c = word.start[i];
		if (c <= ' ' || c >= 127)
			return NULL;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		name[i] = c;
	}
	name[word.length] = '\0';
	parser->names_used += word.length + 1;
	return name;
}

static bool hosts_file_grow(struct hosts_file_parser *parser)
{
	if (parser->count < parser->capacity)
		return true;
	if (parser->count >= HOSTS_FILE_MAX)
		return false;
	size_t capacity = parser->capacity ? parser->capacity * 2 : 32;
	if (capacity > HOSTS_FILE_MAX)
		capacity = HOSTS_FILE_MAX;
	struct hosts_file_entry *entries =
		reallocarray(parser->entries, capacity, sizeof(*entries));
	if (!entries)
		return false;
	parser->entries = entries;
	parser->capacity = capacity;
	return true;
}

/* ADDRESS NAME ALIAS... False when no more fits. */
static bool hosts_file_parse_line(struct hosts_file_parser *parser, struct text_view line)
{
	struct text_view word;
	char text[IP_ADDR_TEXT_SIZE];
	struct ip_addr addr;
	if (!file_change_next_word(&line, &word) || !text_view_copy(word, text, sizeof(text)) ||
	    !ip_addr_parse(text, &addr))
		return true;
	while (file_change_next_word(&line, &word)) {
		if (!hosts_file_grow(parser))
			return false;
		const char *name = hosts_file_add_name(parser, word);
		if (!name)
			continue;
		parser->entries[parser->count] = (struct hosts_file_entry){
			.name = name,
			.order = (uint32_t)parser->count,
			.addr = addr,
		};
		parser->count++;
	}
	return true;
}

static int hosts_file_compare(const void *left, const void *right)
{
	const struct hosts_file_entry *a = left;
	const struct hosts_file_entry *b = right;
	int names = strcmp(a->name, b->name);
	if (names)
		return names;
	return (a->order > b->order) - (a->order < b->order);
}

static void hosts_file_read(struct hosts_file *hosts)
{
	char *text;
	size_t size;
	int rc = file_change_read(&hosts->file, HOSTS_FILE_SIZE_MAX, &text, &size);
	if (rc == -EAGAIN)
		return;
	hosts_file_clear(hosts);
	if (rc < 0)
		return;
	/* Each name is followed by a separator in the text, the last one perhaps not. */
	struct hosts_file_parser parser = { .names = malloc(size + 1) };
	struct text_view rest = { .start = text, .length = size };
	struct text_view line;
	while (parser.names && file_change_next_line(&rest, &line)) {
		if (!hosts_file_parse_line(&parser, line))
			break;
	}
	free(text);
	if (parser.count)
		qsort(parser.entries, parser.count, sizeof(*parser.entries), hosts_file_compare);
	hosts->entries = parser.entries;
	hosts->count = parser.count;
	hosts->names = parser.names;
}

/* The first entry whose name is not less than `name`. */
static size_t hosts_file_find(const struct hosts_file *hosts, const char *name)
{
	size_t low = 0;
	size_t high = hosts->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(hosts->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool hosts_file_has(const struct ip_addr *addrs, size_t count, const struct ip_addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_addr_equal(&addrs[i], addr))
			return true;
	}
	return false;
}

size_t hosts_file_lookup(struct hosts_file *hosts, uint64_t now_ns, const char *name,
			 enum ip_family family, struct ip_addr *ret_addrs, size_t capacity,
			 bool *ret_known)
{
	if (file_change_check(&hosts->file, now_ns))
		hosts_file_read(hosts);
	size_t copied = 0;
	*ret_known = false;
	for (size_t i = hosts_file_find(hosts, name);
	     i < hosts->count && strcmp(hosts->entries[i].name, name) == 0; i++) {
		const struct ip_addr *addr = &hosts->entries[i].addr;
		*ret_known = true;
		if (addr->family == family && copied < capacity &&
		    !hosts_file_has(ret_addrs, copied, addr))
			ret_addrs[copied++] = *addr;
	}
	return copied;
}
