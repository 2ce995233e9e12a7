#include "vm/migration.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct migration_step {
	const char *command; /* NULL ends a list */
	const char *arguments;
	bool takes_fd;
	bool by_event; /* its answer says that it has begun */
};

#define EVENTS "{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}"
/* Bytes a second, more than any disk takes: the default would make a large guest wait. */
#define BANDWIDTH "{\"max-bandwidth\":1099511627776}"
#define FD_NAME	  "{\"fdname\":\"state\"}"
#define FD_URI	  "{\"uri\":\"fd:state\"}"

/* Stopped first, so that one pass is enough and no memory is written twice. */
static const struct migration_step save_steps[] = {
	{ .command = "stop" },
	{ .command = "migrate-set-capabilities", .arguments = EVENTS },
	{ .command = "migrate-set-parameters", .arguments = BANDWIDTH },
	{ .command = "getfd", .arguments = FD_NAME, .takes_fd = true },
	{ .command = "migrate", .arguments = FD_URI, .by_event = true },
	{ .command = NULL },
};

static const struct migration_step load_steps[] = {
	{ .command = "migrate-set-capabilities", .arguments = EVENTS },
	{ .command = "getfd", .arguments = FD_NAME, .takes_fd = true },
	{ .command = "migrate-incoming", .arguments = FD_URI, .by_event = true },
	{ .command = NULL },
};

static const struct migration_step go_on_steps[] = {
	{ .command = "cont" },
	{ .command = NULL },
};

static void fail(struct migration *migration, const char *reason)
{
	migration->state = MIGRATION_FAILED;
	snprintf(migration->reason, sizeof(migration->reason), "%s",
		 reason[0] ? reason : "QEMU gives no reason");
}

static void ask(struct migration *migration, const struct migration_step *step)
{
	json_t *arguments = step && step->arguments ? json_loads(step->arguments, 0, NULL) : NULL;

	migration->step = step;
	migration->answered = false;
	if (step && step->by_event)
		migration->qmp->migration = QMP_MIGRATION_UNDER_WAY;
	snprintf(migration->id, sizeof(migration->id), "migration-%u", ++migration->number);
	int r = qmp_execute_with_fd(migration->qmp, migration->id,
				    step ? step->command : "query-migrate", arguments,
				    step && step->takes_fd ? migration->fd : -1);
	json_decref(arguments);
	if (r < 0)
		fail(migration, strerror(-r));
}

static void begin(struct migration *migration, struct qmp *qmp, int fd,
		  const struct migration_step *steps)
{
	/* The numbers go on: a late answer to what is forgotten is nobody's. */
	*migration = (struct migration){
		.state = MIGRATION_UNDER_WAY, .qmp = qmp, .number = migration->number, .fd = fd
	};
	ask(migration, steps);
}

void migration_save(struct migration *migration, struct qmp *qmp, int fd)
{
	begin(migration, qmp, fd, save_steps);
}

void migration_load(struct migration *migration, struct qmp *qmp, int fd)
{
	begin(migration, qmp, fd, load_steps);
}

void migration_go_on(struct migration *migration, struct qmp *qmp)
{
	begin(migration, qmp, -1, go_on_steps);
}

bool migration_answered(struct migration *migration, const char *id, const json_t *result,
			const char *error)
{
	if (migration->state != MIGRATION_UNDER_WAY || strcmp(id, migration->id) != 0)
		return false;
	migration->answered = true;
	if (!result) {
		fail(migration, error);
	} else if (!migration->step) {
		const char *reason = json_string_value(json_object_get(result, "error-desc"));
		fail(migration, reason ? reason : "");
	}
	return true;
}

static void take_step(struct migration *migration)
{
	const struct migration_step *step = migration->step;

	if (step->by_event && migration->qmp->migration == QMP_MIGRATION_FAILED)
		ask(migration, NULL);
	else if (step[1].command)
		ask(migration, &step[1]);
	else
		migration->state = MIGRATION_DONE;
}

void migration_advance(struct migration *migration)
{
	const struct migration_step *step = migration->step;

	if (migration->state != MIGRATION_UNDER_WAY)
		return;
	if (migration->qmp->state == QMP_CLOSED)
		fail(migration, "QEMU has ended");
	else if (migration->answered && step &&
		 !(step->by_event && migration->qmp->migration == QMP_MIGRATION_UNDER_WAY))
		take_step(migration);
}
