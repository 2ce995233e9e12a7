#pragma once
/* Where the program softnet is. */

#include <limits.h>

#include "base/compiler.h"

struct error;

/*
 * Beside the program whose file is own_path (NULL: not known), as it is installed or built: ../libexec/tartlet/softnet,
 * ../sidecar/softnet. Else in the folders of search_path (as $PATH, NULL = none), absolute ones alone. 0, or -ENOENT with
 * a sentence.
 */
int sidecar_program_find(const char *own_path, const char *search_path, char ret_path[PATH_MAX],
			 struct error *err) MUST_USE;
