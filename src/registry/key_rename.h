#pragma once
/* Gives a key another name, in both tables. */

#include "base/compiler.h"
#include "base/error.h"
#include "registry/assignment_store.h"
#include "registry/holding_store.h"
#include "registry/registry.h"

/* As registry_assignment_rename(), which takes the handle's lock. No transaction is open. */
int key_rename(struct holding_store *holdings, struct assignment_store *assignments,
	       const struct registry_rename *rename, struct error *err) MUST_USE;
