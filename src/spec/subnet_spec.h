#pragma once
/* The subnet as people write it: ADDRESS/LENGTH, canonical, of RFC 1918, /8 to /30. */

#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;

/* False with a sentence that quotes the text. */
bool subnet_spec_parse(const char *text, struct ip_prefix *ret_subnet, struct error *err) MUST_USE;
