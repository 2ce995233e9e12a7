#pragma once
/*
 * What the two processes of a guest say to each other: whole messages over a socket pair of ours
 * (SOCK_SEQPACKET). Blocking; an end of file means that the other one is gone.
 */

#include "base/compiler.h"
#include "base/error.h"

/* From the resident: how a step went. */
struct resident_report {
	int status; /* 0 or negative errno */
	/* The sentence of a failure; with status 0 a warning, or "". */
	struct error error;
	int fd; /* handed over, the receiver's; -1 = none */
};

/* Both ends close-on-exec. 0 or negative errno. */
int resident_channel_open(int ret_fds[2]) MUST_USE;

/* Neither raises SIGPIPE. 0 or negative errno; receiving: -EPIPE when the other one is gone. */
int resident_channel_send(int socket_fd, const void *message, size_t size) MUST_USE;
/* The message must have that very size, else -EPROTO. */
int resident_channel_receive(int socket_fd, void *message, size_t size) MUST_USE;

/* The same for a report and its descriptor, which stays the sender's too. */
int resident_channel_send_report(int socket_fd, const struct resident_report *report) MUST_USE;
int resident_channel_receive_report(int socket_fd, struct resident_report *ret_report) MUST_USE;
