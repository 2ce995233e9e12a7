#pragma once
/* What the compiler can check for us, under short names. */

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument)                                                  \
	__attribute__((format(printf, format_index, first_argument)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The structure that embeds `pointer` as its member `member`. */
#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))
