#pragma once
/* What programs share that carry a new TAP device's frames over a unix socket: DEVICE SOCKET [--limit S]. */

struct carrier {
	const char *device;
	const char *path;
};

/* Parses the command line, and has the program end after the limit; ends it with 64 where that is wrong. `doc` as of
 * argp. */
struct carrier carrier_start(int argc, char **argv, const char *doc);

/* Each ends the program with a sentence where it fails. flags: IFF_VNET_HDR and so on, beside IFF_TAP and IFF_NO_PI;
 * the descriptor does not block. */
int carrier_open_tap(const struct carrier *carrier, short flags);
/* Connected; type: SOCK_STREAM and so on. */
int carrier_connect(const struct carrier *carrier, int type);
