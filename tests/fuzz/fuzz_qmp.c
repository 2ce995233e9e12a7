/* What QEMU says on its monitor, of any bytes and in any pieces: the first byte is the size of a
 * piece. What we say back is a power button, and the
 * commands of a save. */

#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/migration.h"
#include "vm/qmp.h"

static struct migration migration;

static void take_answer(struct qmp *qmp, const char *id, const json_t *result, const char *error)
{
	(void)qmp;
	(void)migration_answered(&migration, id, result, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size > 0 ? (size_t)data[0] + 1 : 1;
	struct qmp qmp;
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	FUZZ_CHECK(qmp_init(&qmp, fds[0]) == 0);
	migration = (struct migration){ .state = MIGRATION_NONE };
	qmp.answered = take_answer;
	for (size_t at = 1; at < size && qmp.state != QMP_CLOSED; at += piece) {
		size_t part = size - at < piece ? size - at : piece;

		FUZZ_CHECK(send(fds[1], data + at, part, MSG_NOSIGNAL) == (ssize_t)part);
		qmp_read(&qmp);
		/* Commands, so that answers may come. */
		if (qmp.state == QMP_READY && migration.state == MIGRATION_NONE)
			migration_save(&migration, &qmp, fds[0]);
		migration_advance(&migration);
		FUZZ_CHECK(qmp.used < QMP_BUFFER_SIZE);
		FUZZ_CHECK(strlen(qmp.stop_cause) < sizeof(qmp.stop_cause));
	}
	FUZZ_CHECK(strlen(migration.reason) < sizeof(migration.reason));
	if (qmp.state == QMP_READY)
		FUZZ_CHECK(qmp_power_down(&qmp) == 0);
	(void)close(fds[1]);
	qmp_read(&qmp);
	FUZZ_CHECK(qmp.state == QMP_CLOSED);
	qmp_done(&qmp);
	(void)close(fds[0]);
	return 0;
}
