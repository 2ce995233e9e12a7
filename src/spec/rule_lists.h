#pragma once
/* Lists of rules as --net-vmnet-allow and its kin take them: separated by commas. What a rule is, libvmnet says. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct error;

/* All zero = empty. */
struct rule_list {
	char **texts; /* as vmnet_network_configuration_set_policy() takes them */
	size_t count;
};

/* Adds all rules of the argument, or none: false with a sentence. */
bool rule_list_add(struct rule_list *list, const char *argument, struct error *err) MUST_USE;
void rule_list_done(struct rule_list *list);
