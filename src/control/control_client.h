#pragma once
/* Asks the control API of a running VM (control_server.h). */

#include <jansson.h>

#include "base/compiler.h"

struct error;

/*
 * One request: method and path as in control_server.h; body NULL = none. 0 with *ret_answer (a new
 * reference); or negative errno with a sentence: -ECONNREFUSED when no server answers there, -EPROTO
 * for an answer that is no JSON, -EREMOTEIO with the server's own sentence when it refused.
 */
int control_client_request(int directory_fd, const char *method, const char *path,
			   const json_t *body, json_t **ret_answer, struct error *err) MUST_USE;
