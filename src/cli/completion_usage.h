#pragma once
/*
 * The arguments of a command as its usage names them (argp's args_doc): one line for each form, the
 * words of a form separated by spaces, "[...]" around what may be left out, "..." behind what may come
 * again. Small letters stand for themselves ("add"), capitals for something else (NAME).
 */

#include <stdbool.h>
#include <stddef.h>

#define COMPLETION_WORD_SIZE 64

/* A word of the usage without its brackets and dots, cut to its size. */
struct completion_word {
	char text[COMPLETION_WORD_SIZE];
	bool repeats;
};

/* True for what stands for itself. */
bool completion_usage_is_literal(const char *word);

/*
 * Word `index` of the form that begins at *form, if what was written before fits it; *form goes on to
 * the next form, NULL at the end. False: this form has no such word.
 */
bool completion_usage_next(const char **form, const char *const *written, size_t index,
			   struct completion_word *ret_word);
