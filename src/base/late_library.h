#pragma once
/* A shared library that is loaded when it is needed, for the rest of the process. */

#include <stdbool.h>

/* The first of `names` (NULL-terminated) that is there; NULL: none is. */
void *late_library_open(const char *const *names);

/* Where a function of it is. ret_function points to a function pointer. */
bool late_library_find(void *handle, const char *name, void *ret_function);
