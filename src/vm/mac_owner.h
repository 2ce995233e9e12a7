#pragma once
/* Which VM of the home has a MAC address: two that run at once must not have the same. */

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/vm_name.h"

struct error;
struct vm_home;

/* To be asked under the home's lock, which whoever gives a VM a MAC address has. 0 with the name, "" where no
 * VM but `except` has it; negative errno with a sentence. */
int mac_owner_find(const struct vm_home *home, const struct mac_addr *mac, const char *except,
		   char ret_name[VM_NAME_MOST + 1], struct error *err) MUST_USE;
