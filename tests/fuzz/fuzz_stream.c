/*
 * What a VMM may send into a stream attachment, cut into any pieces. The first byte holds marks,
 * the second the size of the pieces, the rest is the stream.
 *
 *     1  the socket is a listening one       4  frames are sent back and read
 *     2  the MTU is 65520, else 1500         8  ... and not read until the end
 *
 * However it is cut, as many frames arrive as the stream has, until the first impossible length.
 */

#include <errno.h>
#include <sys/un.h>

#include "attach_rig.h"
#include "wire/reader.h"

#define READ_BUFFER 262144

/* The stream as a whole: how many frames it has, and whether it ends in an impossible length. */
static uint64_t count_frames(const uint8_t *data, size_t size, size_t most, bool *ret_broken)
{
	struct reader reader = reader_of(data, size);
	uint64_t count = 0;

	*ret_broken = false;
	while (reader_left(&reader) >= 4) {
		uint32_t frame = reader_u32(&reader);

		if (frame < FRAME_ETHERNET_SIZE || frame > most) {
			*ret_broken = true;
			break;
		}
		if (reader_left(&reader) < frame)
			break;
		reader_skip(&reader, frame);
		count++;
	}
	return count;
}

/* What the other end of the stream does with what comes back: whole frames, one behind the other. */
struct front_end {
	int fd;
	uint8_t bytes[READ_BUFFER];
	size_t filled;
	uint64_t frames;
};

static void front_end_read(struct front_end *end, size_t most)
{
	ssize_t got;

	while ((got = recv(end->fd, end->bytes + end->filled, sizeof(end->bytes) - end->filled,
			   MSG_DONTWAIT)) > 0) {
		end->filled += (size_t)got;
		struct reader reader = reader_of(end->bytes, end->filled);
		size_t done = 0;

		while (reader_left(&reader) >= 4) {
			uint32_t frame = reader_u32(&reader);

			FUZZ_CHECK(frame >= FRAME_MIN_SIZE && frame <= most);
			if (reader_left(&reader) < frame)
				break;
			reader_skip(&reader, frame);
			end->frames++;
			done = reader.position;
		}
		end->filled -= done;
		memmove(end->bytes, end->bytes + done, end->filled);
	}
}

static void connect_ends(bool listening, int *ret_ours, int *ret_theirs)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int fds[2];

	if (!listening) {
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
		*ret_ours = fds[0];
		*ret_theirs = fds[1];
		return;
	}
	/* With no name to bind to, the kernel gives an abstract one (unix(7), "Autobind"). */
	fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(fds[0] >= 0 && fds[1] >= 0);
	FUZZ_CHECK(bind(fds[0], (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	FUZZ_CHECK(listen(fds[0], 1) == 0);
	FUZZ_CHECK(getsockname(fds[0], (struct sockaddr *)&address, &size) == 0);
	FUZZ_CHECK(connect(fds[1], (struct sockaddr *)&address, size) == 0);
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
}

static void run(struct attach_rig *rig, struct front_end *end, const uint8_t *data, size_t size,
		size_t piece, bool reads)
{
	for (size_t at = 0; at < size;) {
		size_t part = size - at < piece ? size - at : piece;
		ssize_t sent = send(end->fd, data + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN)
			break; /* closed after an impossible length */
		at += sent > 0 ? (size_t)sent : 0;
		FUZZ_CHECK(loop_run_once(rig->loop, 0) == 0);
		FUZZ_CHECK(rig->flushed == rig->frames);
		if (reads)
			front_end_read(end, rig->most);
	}
	/* Accepting, reading and writing take a batch each; the queue leaves in pieces. */
	for (int i = 0; i < 16; i++) {
		FUZZ_CHECK(loop_run_once(rig->loop, 0) == 0);
		front_end_read(end, rig->most);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct front_end end;
	struct attach_rig rig = {};
	bool broken;
	int ours;

	if (size < 2)
		return 0;
	uint8_t marks = data[0];
	bool listening = (marks & 1) != 0;
	uint32_t mtu = marks & 2 ? 65520 : 1500;
	size_t piece = data[1] < 128 ? (size_t)data[1] + 1 : ((size_t)data[1] - 127) * 512;
	data += 2;
	size -= 2;

	connect_ends(listening, &ours, &end.fd);
	end.filled = 0;
	end.frames = 0;
	rig.sends_back = (marks & 4) != 0;
	attach_rig_start(&rig, attachment_new_stream, ours, mtu);
	FUZZ_CHECK(loop_run_once(rig.loop, 0) == 0); /* accepts */
	run(&rig, &end, data, size, piece, (marks & 8) == 0);

	uint64_t frames = count_frames(data, size, rig.most, &broken);
	FUZZ_CHECK(rig.drops.count[DROP_BAD_STREAM_LENGTH] == (broken ? 1 : 0));
	FUZZ_CHECK(rig.closed == (broken && !listening ? 1 : 0));
	if (!rig.sends_back)
		FUZZ_CHECK(rig.frames + attach_rig_dropped(&rig, DROP_BAD_STREAM_LENGTH) == frames);
	else if (!broken && size < READ_BUFFER / 4)
		FUZZ_CHECK(end.frames == rig.frames && end.filled == 0);
	(void)close(end.fd);
	if (rig.closed == 0) {
		FUZZ_CHECK(loop_run_once(rig.loop, 0) == 0);
		FUZZ_CHECK(rig.closed == (listening ? 0 : 1));
	}
	attach_rig_end(&rig);
	return 0;
}
