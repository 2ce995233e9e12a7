#pragma once
/* Bytes between two descriptors and a connected stream socket, both ways, each way to its own end. */

#include "base/compiler.h"

struct error;

struct byte_tunnel {
	int socket_fd; /* in blocking mode; borrowed */
	int input_fd;  /* its end becomes the socket's: shutdown() */
	int output_fd; /* closed, and set to -1, when the socket's end has come */
};

/*
 * Until both ways have ended; or the socket's alone where the input is a terminal, which nobody would
 * know to end. 0 or negative errno with a sentence: -ECONNRESET when the far end or the network broke
 * off, which may have lost bytes. Then, a thread may still be reading the input: the program is to end.
 */
int byte_tunnel_run(struct byte_tunnel *tunnel, struct error *err) MUST_USE;
