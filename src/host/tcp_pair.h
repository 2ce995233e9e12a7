#pragma once
/* A TCP connection over loopback whose two ends are ours. */

#include "base/compiler.h"

/*
 * Of a pair of unix sockets a reset cannot be told from an end; of this one it can. Both ends are in
 * blocking mode and close-on-exec. For the moment of it there is a listener on a free port of
 * 127.0.0.1; whoever else connects to that is turned away. Waits for others, who may try to fill its
 * queue, a second at most. 0 or negative errno: -EAGAIN when they did.
 */
int tcp_pair_new(int ret_fds[2]) MUST_USE;
