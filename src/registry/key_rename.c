/*
 * Theory of Operation
 *
 * A key stands in two files: with its assignment, and with its live holding while it has one. Two
 * files cannot be committed at one stroke, so one commit decides: that of the assignments, for they
 * outlive everything. The holding's row goes first, because it can be given its old key back when
 * the other commit fails; what the new key had before could not be given back so easily. It is the
 * order of registry_hold(), in locking and in committing.
 *
 * Both files are locked from the first look on, and the assignments until the end. The holding's row
 * is changed in place: its subnet is held at every moment.
 *
 * Who is killed between the two commits leaves a live holding that has its new key already, and an
 * assignment that has not. Nothing is lost: the assignment is whole, and the holding's key ends with
 * the holding. The same rename again finds no live holding of the old key, only one of the new, and
 * moves the assignment behind it. That is why a live holding of the new key alone is no obstacle.
 */
#include "registry/key_rename.h"

#include <errno.h>
#include <string.h>

#include "registry/subnet_choice.h"

struct move {
	const struct registry_rename *rename;
	bool has_assignment;
	bool is_live;
	struct holding_row row; /* of the live holding, as it was */
};

static int check(const struct registry_rename *rename, struct error *err)
{
	if (rename->to[0] != '\0' && strlen(rename->to) < REGISTRY_KEY_SIZE)
		return 0;
	error_set(err, "the key of an assignment must have 1 to %d bytes", REGISTRY_KEY_SIZE - 1);
	return -EINVAL;
}

/* Two holdings of one key would be the same virtual machine twice. */
static int check_target(struct holding_store *holdings, const char *state,
			const struct registry_rename *rename, struct error *err)
{
	char holder[SUBNET_CHOICE_HOLDER_SIZE];
	char text[IP_PREFIX_TEXT_SIZE];
	struct holding_row row;
	int result = holding_store_find_key(holdings, state, rename->to, &row, err);

	if (result != 1)
		return result;
	error_set(err, "\"%.64s\" cannot be renamed to \"%.64s\" while it runs: %s holds subnet %s",
		  rename->from, rename->to,
		  subnet_choice_holder(row.label[0] ? row.label : rename->to, holder),
		  ip_prefix_format(&row.subnet, text));
	return -EBUSY;
}

/* What there is to move. */
static int look(struct holding_store *holdings, struct assignment_store *assignments,
		struct move *move, struct error *err)
{
	const struct registry_rename *rename = move->rename;
	struct registry_assignment assignment;
	int result = assignment_store_get(assignments, rename->from, &assignment, err);

	if (result < 0)
		return result;
	move->has_assignment = result == 1;
	result = holding_store_find_key(holdings, assignments->directory, rename->from, &move->row,
					err);
	if (result < 0)
		return result;
	move->is_live = result == 1;
	if (!move->has_assignment && !move->is_live) {
		error_set(err, "\"%.255s\" has no assignment", rename->from);
		return -ENOENT;
	}
	return 0;
}

static const char *new_label(const struct move *move)
{
	const struct registry_rename *rename = move->rename;
	bool follows = rename->from_label && rename->to_label &&
		       strcmp(move->row.label, rename->from_label) == 0;

	return follows ? rename->to_label : move->row.label;
}

/* In both transactions. */
static int write_both(struct holding_store *holdings, struct assignment_store *assignments,
		      struct move *move, struct error *err)
{
	const struct registry_rename *rename = move->rename;
	int result = look(holdings, assignments, move, err);

	if (result < 0 || strcmp(rename->from, rename->to) == 0)
		return result;
	if (move->is_live)
		result = check_target(holdings, assignments->directory, rename, err);
	if (result == 0 && move->is_live)
		result = holding_store_rename(holdings, move->row.id, rename->from, rename->to,
					      new_label(move), err);
	if (result == 0 && move->has_assignment)
		result = assignment_store_rename(assignments, rename->from, rename->to, err);
	return result;
}

/* The sentence stays that of the failure which led here. Should this fail too, the new key ends with
 * the holding. */
static void take_back(struct holding_store *holdings, const struct move *move)
{
	const struct registry_rename *rename = move->rename;
	int result = holding_store_begin(holdings, NULL);

	if (result == 0)
		result = holding_store_rename(holdings, move->row.id, rename->to, rename->from,
					      move->row.label, NULL);
	if (result == 0)
		(void)!holding_store_commit(holdings, NULL);
	holding_store_rollback(holdings);
}

int key_rename(struct holding_store *holdings, struct assignment_store *assignments,
	       const struct registry_rename *rename, struct error *err)
{
	struct move move = { .rename = rename };
	int result = check(rename, err);

	if (result < 0)
		return result;
	result = holding_store_begin(holdings, err);
	if (result == 0)
		result = assignment_store_begin(assignments, true, err);
	if (result == 0)
		result = write_both(holdings, assignments, &move, err);
	if (result == 0)
		result = holding_store_commit(holdings, err);
	if (result == 0) {
		result = assignment_store_commit(assignments, err);
		assignment_store_rollback(assignments);
		if (result < 0 && move.is_live)
			take_back(holdings, &move);
		return result;
	}
	assignment_store_rollback(assignments);
	holding_store_rollback(holdings);
	return result;
}
