/*
 * What a VMM may send into a datagram attachment. The first byte holds marks (1: the MTU is 65520,
 * else 1500; 2: frames are sent back), the rest is a row of datagrams, each behind its size in two
 * bytes. Each is one frame or one counted drop, whatever came before it.
 */

#include "attach_rig.h"
#include "wire/reader.h"

static void read_back(int fd, size_t most)
{
	static uint8_t bytes[FRAME_MAX_SIZE + 64];
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0)
		FUZZ_CHECK((size_t)got >= FRAME_MIN_SIZE && (size_t)got <= most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader = reader_of(data, size);
	uint8_t marks = reader_u8(&reader);
	struct attach_rig rig = { .sends_back = (marks & 2) != 0 };
	uint64_t sent = 0;
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
	attach_rig_start(&rig, attachment_new_datagram, fds[0], marks & 1 ? 65520 : 1500);
	while (reader_left(&reader) >= 2) {
		size_t part = reader_u16(&reader);

		if (part > reader_left(&reader))
			part = reader_left(&reader);
		if (send(fds[1], reader_take(&reader, part), part, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			continue;
		sent++;
		FUZZ_CHECK(loop_run_once(rig.loop, 0) == 0);
		FUZZ_CHECK(rig.flushed == rig.frames && rig.closed == 0);
		read_back(fds[1], rig.most);
	}
	FUZZ_CHECK(rig.frames + attach_rig_dropped(&rig, DROP_REASON_COUNT) >= sent);
	FUZZ_CHECK(rig.frames <= sent);
	(void)close(fds[1]);
	FUZZ_CHECK(loop_run_once(rig.loop, 0) == 0);
	attach_rig_end(&rig);
	return 0;
}
