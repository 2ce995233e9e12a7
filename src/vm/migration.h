#pragma once
/*
 * The state of QEMU's guest into a file, and from one: as a migration, by commands of the monitor that are
 * given one after the other. The file goes to QEMU by its descriptor (`getfd`), never by `exec:`, which
 * its sandbox does not let it do.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "vm/qmp.h"

#define MIGRATION_REASON_SIZE 256
#define MIGRATION_ID_SIZE     32

struct migration_step;

enum migration_state {
	MIGRATION_NONE,
	MIGRATION_UNDER_WAY,
	MIGRATION_DONE,
	MIGRATION_FAILED,
};

/* Embedded in its owner. All zeroes: MIGRATION_NONE. */
struct migration {
	enum migration_state state;
	char reason[MIGRATION_REASON_SIZE]; /* MIGRATION_FAILED: why, the end of a sentence */
	struct qmp *qmp;
	const struct migration_step *step; /* that was asked; NULL: why it failed was */
	char id[MIGRATION_ID_SIZE];	   /* of that question */
	unsigned number;
	bool answered;
	int fd;
};

/*
 * Each begins something once QEMU is ready for commands; what was under way is forgotten. qmp and fd are
 * borrowed until it has ended.
 */
/* Stops the guest and writes its state to fd, from its position on. Afterwards the guest stands still, also
 * where that failed. */
void migration_save(struct migration *migration, struct qmp *qmp, int fd);
/* Reads it from fd, in a QEMU that was started for that (`-incoming defer`). The guest stands still. */
void migration_load(struct migration *migration, struct qmp *qmp, int fd);
/* The guest goes on. */
void migration_go_on(struct migration *migration, struct qmp *qmp);

/* By qmp.answered. False for an answer to somebody else's question. */
bool migration_answered(struct migration *migration, const char *id, const json_t *result,
			const char *error);
/* To be called after each qmp_read(): gives the next command. */
void migration_advance(struct migration *migration);
