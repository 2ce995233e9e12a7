#pragma once
/* Whether a program is there, asked before anything is made for it. */

#include "base/compiler.h"

struct error;

/*
 * Looks where execvp() would look. 0, -ENOENT or -EACCES with a sentence. What it finds may have
 * gone, or may be no program, when it is executed: that says it again.
 */
int program_check(const char *name, struct error *err) MUST_USE;
