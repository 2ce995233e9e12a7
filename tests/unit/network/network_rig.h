#pragma once
/* What the tests of this room share: a directory for the records of their networks, and networks in
 * it. */

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmnet/vmnet.h"

/* Of the program that runs: one for all of its tests. */
static char directory[64];

static inline int remove_one(const char *path, const struct stat *status, int type,
			     struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline int make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/test-network-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	/* The calls on assignments look for what runs now where the environment says: nothing of
	 * these tests is in the user's own. */
	return setenv("XDG_RUNTIME_DIR", directory, 1);
}

static inline int remove_directory(void **state)
{
	(void)state;
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline vmnet_network_configuration_ref new_configuration_of(const char *label,
								   vmnet_mode_t mode)
{
	vmnet_network_configuration_ref config = vmnet_network_configuration_create(mode, NULL);
	char runtime[sizeof(directory) + 8];

	assert_non_null(config);
	(void)snprintf(runtime, sizeof(runtime), "%s/vmnet", directory); /* the default, too */
	assert_int_equal(vmnet_network_configuration_set_label(config, label), VMNET_SUCCESS);
	assert_int_equal(vmnet_network_configuration_set_state_directory(config, directory),
			 VMNET_SUCCESS);
	assert_int_equal(vmnet_network_configuration_set_runtime_directory(config, runtime),
			 VMNET_SUCCESS);
	return config;
}

static inline vmnet_network_configuration_ref new_configuration(const char *label)
{
	return new_configuration_of(label, VMNET_SHARED_MODE);
}

/* Consumes the configuration. */
static inline vmnet_network_ref create(vmnet_network_configuration_ref config)
{
	vmnet_return_t status;
	vmnet_network_ref network = vmnet_network_create(config, &status);

	if (!network)
		print_error("%s\n", vmnet_network_configuration_get_error(config));
	assert_non_null(network);
	assert_int_equal(status, VMNET_SUCCESS);
	vmnet_network_configuration_release(config);
	return network;
}

static inline struct ether_addr ether_of(uint8_t number)
{
	return (struct ether_addr){ { 2, 0, 0, 0, 0, number } };
}

static inline void reserve(vmnet_network_configuration_ref config, uint8_t number)
{
	const struct in_addr any = { 0 };
	const struct ether_addr client = ether_of(number);

	assert_int_equal(vmnet_network_configuration_add_dhcp_reservation(config, &client, &any),
			 VMNET_SUCCESS);
}

/* --- what a network tells of itself -------------------------------------------------------- */

struct drop_wanted {
	const char *name;
	uint64_t count;
	bool found;
};

static inline void look_at_drop(void *context, const char *name, uint64_t count)
{
	struct drop_wanted *wanted = context;

	if (strcmp(name, wanted->name) != 0)
		return;
	assert_false(wanted->found);
	wanted->found = true;
	wanted->count = count;
}

static inline uint64_t drops_of(vmnet_network_ref network, const char *name)
{
	struct drop_wanted wanted = { .name = name };

	vmnet_network_visit_drops(network, look_at_drop, &wanted);
	assert_true(wanted.found);
	return wanted.count;
}

static inline struct vmnet_statistics statistics_of(vmnet_network_ref network)
{
	struct vmnet_statistics statistics;

	vmnet_network_get_statistics(network, &statistics);
	return statistics;
}
