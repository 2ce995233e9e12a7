#include "fake_assignments.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOST 8

static struct {
	char key[256];
	int number; /* 0 = free */
} rows[MOST];
static vmnet_return_t refusal;
static int refusals;

void fake_assignments_clear(void)
{
	memset(rows, 0, sizeof(rows));
	refusals = 0;
}

static int find(const char *key)
{
	for (int i = 0; i < MOST; i++) {
		if (rows[i].number != 0 && strcmp(rows[i].key, key) == 0)
			return i;
	}
	return -1;
}

void fake_assignments_put(const char *key, int number)
{
	int i = find(key);

	for (int free = 0; i < 0 && free < MOST; free++) {
		if (rows[free].number == 0)
			i = free;
	}
	assert(i >= 0);
	(void)snprintf(rows[i].key, sizeof(rows[i].key), "%s", key);
	rows[i].number = number;
}

int fake_assignments_get(const char *key)
{
	int i = find(key);

	return i < 0 ? 0 : rows[i].number;
}

void fake_assignments_refuse(vmnet_return_t status, int calls)
{
	refusal = status;
	refusals = calls;
}

static bool refuses(struct vmnet_error *error)
{
	if (refusals == 0)
		return false;
	refusals--;
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "the fake refuses");
	return true;
}

static void forget(const char *key)
{
	int i = find(key);

	if (i >= 0)
		rows[i].number = 0;
}

vmnet_return_t vmnet_assignment_remove(const char *state_directory, const char *key,
				       struct vmnet_error *error)
{
	(void)state_directory;
	if (refuses(error))
		return refusal;
	forget(key);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_assignment_rename(const char *state_directory, const char *from,
				       const char *to, struct vmnet_error *error)
{
	int i = find(from);

	(void)state_directory;
	if (refuses(error))
		return refusal;
	if (i < 0)
		return VMNET_INVALID_ARGUMENT;
	forget(to);
	(void)snprintf(rows[i].key, sizeof(rows[i].key), "%s", to);
	return VMNET_SUCCESS;
}
