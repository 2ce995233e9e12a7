/*
 * Reading and writing records is for who may open files: a network that has an informant asks that. What is left is
 * the end, where a holding is given back with the lock on its file, as a killed process gives it back.
 */

#include "registry/system_calls.h"

#include "base/compiler.h"

static const struct system_call calls[] = {
	{ .name = "futex", .why = "registry.c: its mutex" },
	{ .name = "close", .why = "registry_owner.c: the lock; registry_database.c" },
};

const struct system_call_list registry_system_calls = { calls, ARRAY_COUNT(calls) };
