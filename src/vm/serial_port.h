#pragma once
/* What the guest's serial port, which is its console, is connected to. */

#include "base/compiler.h"

struct error;

enum serial_kind {
	SERIAL_NONE,
	SERIAL_STDIO,	 /* our own standard input and output */
	SERIAL_TERMINAL, /* a terminal, such as the end of a pty: both ways */
	SERIAL_OUTPUT,	 /* a file, a pipe: what the guest writes goes there, nothing comes back */
};

struct serial_port {
	enum serial_kind kind;
	int fd; /* of SERIAL_TERMINAL and SERIAL_OUTPUT, close-on-exec */
};

/*
 * --serial-path: a terminal, a character device, a named pipe that somebody reads, or a file, which is made
 * where there is none and is written to at its end. 0 or negative errno with a sentence. The caller closes
 * .fd.
 */
int serial_port_open(const char *path, struct serial_port *ret_port, struct error *err) MUST_USE;
