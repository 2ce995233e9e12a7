/* What QEMU says on its monitor, of any bytes and in any pieces: the first byte is the size of a
 * piece. What we say back is one of two lines. */

#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size > 0 ? (size_t)data[0] + 1 : 1;
	struct qmp qmp;
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	FUZZ_CHECK(qmp_init(&qmp, fds[0]) == 0);
	for (size_t at = 1; at < size && qmp.state != QMP_CLOSED; at += piece) {
		size_t part = size - at < piece ? size - at : piece;

		FUZZ_CHECK(send(fds[1], data + at, part, MSG_NOSIGNAL) == (ssize_t)part);
		qmp_read(&qmp);
		FUZZ_CHECK(qmp.used < QMP_BUFFER_SIZE);
		FUZZ_CHECK(strlen(qmp.stop_cause) < sizeof(qmp.stop_cause));
	}
	if (qmp.state == QMP_READY)
		FUZZ_CHECK(qmp_power_down(&qmp) == 0);
	(void)close(fds[1]);
	qmp_read(&qmp);
	FUZZ_CHECK(qmp.state == QMP_CLOSED);
	qmp_done(&qmp);
	(void)close(fds[0]);
	return 0;
}
