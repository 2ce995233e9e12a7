#include "vm/mac_owner.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vm/vm_config.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

/* False for one that cannot be read: it does not run with that MAC address either. */
static bool has_mac(const struct vm_home *home, const char *name, const struct mac_addr *mac)
{
	struct vm_directory directory;
	struct vm_config config;

	if (vm_directory_open(home, name, &directory, NULL) < 0)
		return false;
	bool same = vm_config_load(directory.fd, &config, NULL) == 0;
	if (same) {
		same = mac_addr_equal(&config.mac, mac);
		vm_config_done(&config);
	}
	vm_directory_close(&directory);
	return same;
}

int mac_owner_find(const struct vm_home *home, const struct mac_addr *mac, const char *except,
		   char ret_name[VM_NAME_MOST + 1], struct error *err)
{
	char **names;
	size_t count;

	int r = vm_directory_names(home, &names, &count, err);
	if (r < 0)
		return r;
	ret_name[0] = 0;
	for (size_t i = 0; i < count && !ret_name[0]; i++) {
		if (strcmp(names[i], except) != 0 && has_mac(home, names[i], mac))
			snprintf(ret_name, VM_NAME_MOST + 1, "%s", names[i]);
	}
	vm_directory_free_names(names, count);
	return 0;
}
