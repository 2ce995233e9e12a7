#include "cli/completion_options.h"

#include <ctype.h>
#include <string.h>

#include "base/compiler.h"

static bool is_end(const struct argp_option *option)
{
	return !option->name && !option->key && !option->doc && !option->group;
}

static void add(struct completion_options *options, const struct argp_option *option,
		const struct argp_option *meant)
{
	bool has_letter = option->key > 0 && option->key < 128 && isprint(option->key);

	if (options->count == COMPLETION_OPTION_MOST || (!option->name && !has_letter))
		return;
	options->items[options->count++] = (struct completion_option){
		.name = option->name,
		.letter = has_letter ? option->key : 0,
		.is_shown = !(option->flags & OPTION_HIDDEN),
		.argument = meant->flags & OPTION_ARG_OPTIONAL ? NULL : meant->arg,
		.doc = meant->doc ? meant->doc : "",
	};
}

/* A tree of programs' own making: two or three levels. */
static void collect(const struct argp *argp, // NOLINT(misc-no-recursion)
		    struct completion_options *options)
{
	const struct argp_option *option = argp->options;
	const struct argp_option *meant = option;
	const struct argp_child *child = argp->children;

	for (; option && !is_end(option); option++) {
		if (!(option->flags & OPTION_ALIAS))
			meant = option;
		if (!(option->flags & OPTION_DOC))
			add(options, option, meant);
	}
	for (; child && child->argp; child++)
		collect(child->argp, options);
}

void completion_options_collect(const struct argp *argp, struct completion_options *ret_options)
{
	ret_options->count = 0;
	collect(argp, ret_options);
}

/* Shortened as getopt allows it. NULL: none, or more than one begins so. */
static const struct completion_option *find_name(const struct completion_options *options,
						 const char *name, size_t size)
{
	const struct completion_option *found = NULL;

	for (size_t i = 0; i < options->count; i++) {
		const struct completion_option *option = &options->items[i];
		if (!option->name || strncmp(option->name, name, size) != 0)
			continue;
		if (strlen(option->name) == size)
			return option;
		if (found)
			return NULL;
		found = option;
	}
	return found;
}

/* The one of "-abc" that waits for the next word. */
static const struct completion_option *find_waiting(const struct completion_options *options,
						    const char *letters)
{
	for (; *letters; letters++) {
		for (size_t i = 0; i < options->count; i++) {
			const struct completion_option *option = &options->items[i];
			if (option->letter == *letters && option->argument)
				return letters[1] ? NULL : option;
		}
	}
	return NULL;
}

/* The option of this word whose value the next word is; NULL = none. */
static const struct completion_option *waiting_of(const struct completion_options *options,
						  const char *word)
{
	if (strncmp(word, "--", 2) != 0)
		return find_waiting(options, word + 1);
	if (strchr(word, '='))
		return NULL;
	const struct completion_option *option = find_name(options, word + 2, strlen(word + 2));
	return option && option->argument ? option : NULL;
}

static void add_argument(struct completion_place *place, size_t index)
{
	if (place->argument_count < ARRAY_COUNT(place->arguments))
		place->arguments[place->argument_count++] = index;
}

static void place_last(const struct completion_options *options, const char *word, size_t index,
		       bool options_end, struct completion_place *place)
{
	const char *value = strchr(word, '=');

	if (place->option)
		return;
	if (options_end || word[0] != '-') {
		add_argument(place, index);
		return;
	}
	place->is_option = true;
	if (value && strncmp(word, "--", 2) == 0) {
		place->option = find_name(options, word + 2, (size_t)(value - word) - 2);
		place->is_option = false;
	}
}

void completion_options_place(const struct completion_options *options, const char *const *words,
			      size_t word_count, bool in_order, struct completion_place *ret_place)
{
	struct completion_place place = { 0 };
	bool options_end = false;

	for (size_t i = 0; i + 1 < word_count; i++) {
		const char *word = words[i];
		if (place.option) {
			place.option = NULL;
		} else if (options_end || word[0] != '-' || word[1] == '\0') {
			add_argument(&place, i);
			options_end = options_end || in_order;
		} else if (strcmp(word, "--") == 0) {
			options_end = true;
		} else {
			place.option = waiting_of(options, word);
		}
	}
	place_last(options, words[word_count - 1], word_count - 1, options_end, &place);
	*ret_place = place;
}
