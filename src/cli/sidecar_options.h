#pragma once
/* The options of `tartlet run` that begin with --net-softnet: the network in a process of its own, under rules. */

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

struct sidecar_options {
	bool is_wanted; /* one of them was given */
	/* What softnet is told, judged, as "--allow=RULES": owned, each and all. */
	char **passed;
	size_t passed_count;
	bool has_control;
	int control_fd; /* valid with has_control; who starts softnet closes it */
};

/* A child of a command's parser; its input is a struct sidecar_options, all zero. Ends the program with 64 on a
 * usage error. */
extern const struct argp sidecar_options_argp;

/* After all options: the control channel has to be one, and from now on no child of ours gets it by chance. Ends the
 * program as the parser does. */
void sidecar_options_check(struct sidecar_options *options, struct argp_state *state);
void sidecar_options_done(struct sidecar_options *options);
