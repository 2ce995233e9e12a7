#pragma once
/*
 * A run's part in suspending its VM and in resuming it: which file, which sentence, and what becomes of
 * the guest where something fails. It owns no event: run_guest.c calls it when QEMU has said something,
 * and does what comes out.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "vm/migration.h"
#include "vm/saved_machine.h"

struct error;
struct run_guest_launch;

/* In the VM's directory: why the VM was not suspended, for `tartlet suspend`. Of the run under way. */
#define RUN_SUSPEND_REFUSAL_NAME "suspend.refused"

enum run_suspend_phase {
	RUN_SUSPEND_IDLE,
	RUN_SUSPEND_SAVING,
	RUN_SUSPEND_GIVING_UP, /* not saved: the guest is to go on */
	RUN_SUSPEND_LOADING,
	RUN_SUSPEND_RESUMING,
};

enum run_suspend_event {
	RUN_SUSPEND_NOTHING,
	RUN_SUSPEND_SAVED,     /* QEMU is to end */
	RUN_SUSPEND_NOT_SAVED, /* the guest goes on */
	RUN_SUSPEND_RESUMED,   /* the guest runs */
	RUN_SUSPEND_BROKEN,    /* the guest stands still for good: QEMU is to end */
};

struct run_suspend {
	const struct run_guest_launch *launch;
	enum run_suspend_phase phase;
	struct migration migration;
	struct saved_machine machine; /* what this run is */
	int fd;			      /* written to; -1 = none */
};

void run_suspend_init(struct run_suspend *suspend);
/* What was begun and not finished is removed. */
void run_suspend_done(struct run_suspend *suspend);

/*
 * Before QEMU is started with these arguments. Where there is a saved state that does not go on in this
 * machine: -EINVAL with a sentence. 0 or another negative errno with a sentence. launch is borrowed.
 */
int run_suspend_prepare(struct run_suspend *suspend, const struct run_guest_launch *launch,
			char *const *argv, struct error *err) MUST_USE;

/* The guest runs and is asked to be suspended. NOTHING: it has begun; NOT_SAVED: it cannot be. */
enum run_suspend_event run_suspend_save(struct run_suspend *suspend, struct qmp *qmp) MUST_USE;
/* A save under way comes to nothing, whatever QEMU still does. */
void run_suspend_abandon(struct run_suspend *suspend);
/* QEMU waits for the saved state of the launch. */
void run_suspend_resume(struct run_suspend *suspend, struct qmp *qmp);
/* By qmp.answered. False for an answer to somebody else's question. */
bool run_suspend_answered(struct run_suspend *suspend, const char *id, const json_t *result,
			  const char *error);
/* After each qmp_read(). */
enum run_suspend_event run_suspend_advance(struct run_suspend *suspend, struct qmp *qmp) MUST_USE;
