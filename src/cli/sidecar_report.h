#pragma once
/* What softnet says of the network that it has made: one line of JSON. It comes from another program. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/compiler.h"

struct error;

struct sidecar_report {
	struct ip_prefix subnet;
	struct ip_addr gateway;
	struct ip_addr address; /* the guest's */
	json_t *forwards;	/* a list, each as control_json_parse_forward() takes it; owned */
};

/* The line without its end. False: it is no report. One json_decref() of the forwards. */
bool sidecar_report_parse(const char *text, size_t size,
			  struct sidecar_report *ret_report) MUST_USE;
/*
 * Waits for the line at a pipe. 0; -EPIPE without a sentence: the pipe ended before; -ECANCELED: stop_fd became
 * readable; another negative errno with a sentence. The forwards as above.
 */
int sidecar_report_read(int fd, int stop_fd, int timeout_ms, struct sidecar_report *ret_report,
			struct error *err) MUST_USE;
