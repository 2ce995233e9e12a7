#pragma once
/* The options of a command as its argp has them, and which words of a command line they take. */

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

#define COMPLETION_OPTION_MOST 128

struct completion_option {
	const char *name; /* NULL = only a letter */
	int letter;	  /* 0 = only a name */
	bool is_shown;
	const char *argument; /* its name in the usage; NULL = takes none */
	const char *doc;
};

struct completion_options {
	struct completion_option items[COMPLETION_OPTION_MOST];
	size_t count;
};

/* Of an argp and its children, in their order. */
void completion_options_collect(const struct argp *argp, struct completion_options *ret_options);

struct completion_place {
	/* The option whose value is being written; NULL = none. */
	const struct completion_option *option;
	bool is_option; /* an option itself may be meant: "-" is written and no "--" was before */
	/* The words that are arguments, as indices: those complete, then the one being written. */
	size_t arguments[64];
	size_t argument_count;
};

/* Where in its command's line the last of the words is. `in_order`: options end at the first argument. */
void completion_options_place(const struct completion_options *options, const char *const *words,
			      size_t word_count, bool in_order, struct completion_place *ret_place);
