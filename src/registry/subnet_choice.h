#pragma once
/* Which subnet a request gets, given what is held, what is assigned and what the host has. */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/random.h"
#include "registry/assignment_store.h"
#include "registry/holding_store.h"
#include "registry/registry.h"

struct subnet_choice {
	struct ip_prefix subnet;
	struct ip_addr guest;
	struct error warning;
	bool is_assignment; /* to be written as the assignment of the request's key */
};

/* The request's own sense: -EINVAL with a sentence. */
int subnet_choice_check(const struct registry_request *request, struct error *err) MUST_USE;

/* Both stores are in a transaction, the holdings' for writing. The request was checked. Writes
 * nothing, but for the removal of dead owners. Errors as registry_hold(). */
int subnet_choice_make(struct holding_store *holdings, struct assignment_store *assignments,
		       const struct registry_request *request, struct random *random,
		       struct subnet_choice *ret_choice, struct error *err) MUST_USE;

/* `VM "ci-3"`, or "another network" without a label. */
#define SUBNET_CHOICE_HOLDER_SIZE (REGISTRY_LABEL_SIZE + 8)
const char *subnet_choice_holder(const char *label, char buffer[SUBNET_CHOICE_HOLDER_SIZE]);
