#pragma once
/* The options of `tartlet netns`. */

#include <stdbool.h>

#include "base/compiler.h"
#include "cli/network_options.h"

struct netns_options {
	struct network_options network;
	const char *interface;
	const char *join; /* a path or a process's number; NULL = new namespaces */
	bool no_config;
	char *const *argv; /* COMMAND, part of the program's own; NULL with `join` */
};

/* Ends the program with 64 on a usage error, and with 0 after --help. */
void netns_options_parse(int argc, char **argv, struct netns_options *ret_options);
void netns_options_done(struct netns_options *options);
