#pragma once
/* Asks a running VM for a connection to its guest (connect_server.h). */

#include <stdint.h>

#include "base/compiler.h"

struct error;

/*
 * Waits until the guest has answered. 0 with a connected TCP socket in blocking mode, close-on-exec; or
 * negative errno with a sentence: -ECONNREFUSED when no server answers there, -EREMOTEIO with the
 * server's own sentence (the guest refused, or did not answer), -EPROTO for anything else it says.
 */
int connect_client_request(int directory_fd, uint16_t port, int *ret_fd,
			   struct error *err) MUST_USE;
