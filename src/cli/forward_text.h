#pragma once
/* A forward as one line for people: "tcp 0.0.0.0:2222 -> 22". */

#include <jansson.h>

#include "base/compiler.h"

struct vmnet_port_forward;

#define FORWARD_TEXT_SIZE 96

const char *forward_text_format(const struct vmnet_port_forward *forward,
				char buffer[FORWARD_TEXT_SIZE]);
/* From the JSON of the control API or run.json; "?" for what is not a forward. */
const char *forward_text_from_json(const json_t *object, char buffer[FORWARD_TEXT_SIZE]);
