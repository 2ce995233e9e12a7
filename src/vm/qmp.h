#pragma once
/* As much of QEMU's machine protocol as a run needs: is the guest started, why did it stop, commands with
 * their answers, and what the events say of a migration. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define QMP_BUFFER_SIZE ((size_t)64 * 1024)

enum qmp_state {
	QMP_GREETING,	 /* waits for QEMU's greeting */
	QMP_NEGOTIATING, /* asked for command mode */
	QMP_READY,	 /* the machine is set up and runs */
	QMP_CLOSED,	 /* QEMU closed, or sent what is not QMP */
};

/* Of the migration that was begun last. */
enum qmp_migration {
	QMP_MIGRATION_UNDER_WAY, /* or none was begun */
	QMP_MIGRATION_COMPLETED,
	QMP_MIGRATION_FAILED,
};

struct qmp {
	int fd; /* borrowed; non-blocking */
	enum qmp_state state;
	bool guest_stopped; /* SHUTDOWN that the guest caused */
	char stop_cause
		[32]; /* QEMU's word for it: "guest-shutdown", "host-signal"; "" = none yet */
	/* What QEMU answers to a command of qmp_execute(): `result` is NULL where it refused, and `error`
	 * its sentence then. The owner sets it; NULL = nobody listens. */
	void (*answered)(struct qmp *qmp, const char *id, const json_t *result, const char *error);
	enum qmp_migration migration; /* who begins one sets it anew */
	char *buffer;
	size_t used;
};

/* 0 or negative errno. */
int qmp_init(struct qmp *qmp, int fd) MUST_USE;
void qmp_done(struct qmp *qmp);

/* Takes what has come in; to be called when fd is readable. The state tells what it was. A call that makes
 * it QMP_READY leaves the rest to the next, so that nobody misses it. */
void qmp_read(struct qmp *qmp);

/* Sends a command; its answer comes with this id. `arguments` may be NULL and is not taken over. 0 or negative
 * errno: -ENOTCONN before the state is QMP_READY. */
int qmp_execute(struct qmp *qmp, const char *id, const char *command,
		const json_t *arguments) MUST_USE;

/* The same, and a descriptor goes with it, which stays the caller's; -1 = none. */
int qmp_execute_with_fd(struct qmp *qmp, const char *id, const char *command,
			const json_t *arguments, int fd) MUST_USE;

/* Presses the power button. 0 or negative errno. */
int qmp_power_down(struct qmp *qmp) MUST_USE;
