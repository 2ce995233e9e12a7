#pragma once
/* What a person or a script wants to know of a network that was just made. */

#include <stdio.h>

struct run_network;

/* Subnet, address and each forward as bound, one line each; and a word on who may reach them.
 * home_path: where the default for that can be set. */
void run_facts_print(FILE *stream, const struct run_network *network, const char *home_path);
