/*
 * Carries frames between a new TAP device of this namespace and a SOCK_SEQPACKET socket, one frame a
 * packet: the guest's side of an engine that has no TAP of its own (gvproxy, by its bess socket).
 */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier.h"
#include "probe.h"

#define FRAME_MAX (14 + 4 + 65535)
#define BURST_MAX 64

/* Frames that the other side does not take at once are lost, as on a wire. False: it is gone. */
static bool carry(int from, int to)
{
	static char frame[FRAME_MAX];

	for (int i = 0; i < BURST_MAX; i++) {
		ssize_t got = read(from, frame, sizeof(frame));

		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0)
			return false;
		(void)!write(to, frame, (size_t)got);
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct carrier carrier = carrier_start(
		argc, argv,
		"Makes a TAP device and carries its frames over a SOCK_SEQPACKET socket, until "
		"SIGTERM.\v"
		"Example:\n"
		"  bench-wire tap0 /run/engine.sock\n");
	struct pollfd entries[2] = { { .events = POLLIN }, { .events = POLLIN } };

	entries[0].fd = carrier_connect(&carrier, SOCK_SEQPACKET);
	entries[1].fd = carrier_open_tap(&carrier, 0);
	probe_set_buffers(entries[0].fd, 1 << 20);
	probe_set_nonblocking(entries[0].fd);
	probe_say_ready(1);
	while (poll(entries, 2, -1) > 0) {
		if (!carry(entries[1].fd, entries[0].fd) || !carry(entries[0].fd, entries[1].fd))
			probe_fail("the other side is gone");
	}
	return 0;
}
