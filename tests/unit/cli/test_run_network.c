/* The network of a run over a library that makes another one than was asked for. */
#include "cli/run_network.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "cli/network_options.h"
#include "fake_vmnet.h"
#include "vm/seed_settings.h"
#include "vm/vm_home.h"

/* Of the one network that is made here. */
static struct vmnet_network network;
static struct in_addr subnet;
static struct in_addr mask;
static struct {
	int configurations; /* not released yet */
	vmnet_mode_t mode;  /* of the last one */
	char label[64];
	char hostname[64];
	uint32_t wanted; /* the subnet that it has to be; 0: it comes by the VM's name */
	unsigned documents;
	char meta_data[200];
} made;

/* Only its address is used. */
static char configuration;

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode,
								   vmnet_return_t *status)
{
	*status = VMNET_SUCCESS;
	made.mode = mode;
	made.configurations++;
	return (vmnet_network_configuration_ref)(void *)&configuration;
}

void vmnet_network_configuration_release(vmnet_network_configuration_ref config)
{
	assert_ptr_equal(config, &configuration);
	made.configurations--;
}

const char *vmnet_network_configuration_get_error(vmnet_network_configuration_ref config)
{
	(void)config;
	return "";
}

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref config,
							   const struct in_addr *wanted,
							   const struct in_addr *wanted_mask)
{
	(void)config;
	(void)wanted_mask;
	made.wanted = ntohl(wanted->s_addr);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_busy_poll(vmnet_network_configuration_ref config,
							 uint32_t microseconds)
{
	(void)config;
	(void)microseconds;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref config,
						   uint32_t mtu)
{
	(void)config;
	(void)mtu;
	return VMNET_SUCCESS;
}

vmnet_return_t
vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref config,
						 const ether_addr_t *client,
						 const struct in_addr *reservation)
{
	(void)config;
	(void)client;
	assert_int_equal(reservation->s_addr, INADDR_ANY);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_label(vmnet_network_configuration_ref config,
						     const char *label)
{
	(void)config;
	snprintf(made.label, sizeof(made.label), "%s", label);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_assignment(vmnet_network_configuration_ref config,
							  const char *key, const ether_addr_t *seed)
{
	(void)config;
	(void)key;
	(void)seed;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_prefix_length(vmnet_network_configuration_ref config,
							     uint8_t length)
{
	(void)config;
	(void)length;
	return VMNET_SUCCESS;
}

vmnet_return_t
vmnet_network_configuration_set_state_directory(vmnet_network_configuration_ref config,
						const char *path)
{
	(void)config;
	(void)path;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_hostname(vmnet_network_configuration_ref config,
							const char *hostname)
{
	(void)config;
	snprintf(made.hostname, sizeof(made.hostname), "%s", hostname);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_document(vmnet_network_configuration_ref config,
							const char *path, const void *bytes,
							size_t size)
{
	(void)config;
	made.documents++;
	if (strcmp(path, "/seed/meta-data") == 0)
		snprintf(made.meta_data, sizeof(made.meta_data), "%.*s", (int)size,
			 (const char *)bytes);
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_policy(vmnet_network_configuration_ref config,
						      const char *const *allow, size_t allow_count,
						      const char *const *block, size_t block_count)
{
	(void)config;
	(void)allow;
	(void)allow_count;
	(void)block;
	(void)block_count;
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_host_access(vmnet_network_configuration_ref config,
							   vmnet_host_access_t access)
{
	(void)config;
	(void)access;
	return VMNET_SUCCESS;
}

vmnet_return_t
vmnet_network_configuration_add_port_forward(vmnet_network_configuration_ref config,
					     const struct vmnet_port_forward *forward)
{
	(void)config;
	(void)forward;
	return VMNET_SUCCESS;
}

void vmnet_network_configuration_set_log_callback(vmnet_network_configuration_ref config,
						  void (*callback)(void *context,
								   enum vmnet_log_level level,
								   const char *line),
						  void *context)
{
	(void)config;
	(void)callback;
	(void)context;
}

vmnet_return_t vmnet_network_configuration_set_capture_fd(vmnet_network_configuration_ref config,
							  int fd)
{
	(void)config;
	(void)fd;
	return VMNET_SUCCESS;
}

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref config,
				       vmnet_return_t *status)
{
	(void)config;
	fake_vmnet_init(&network);
	*status = VMNET_SUCCESS;
	return &network;
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref of, struct in_addr *ret_subnet,
				   struct in_addr *ret_mask)
{
	(void)of;
	*ret_subnet = subnet;
	*ret_mask = mask;
}

void vmnet_network_get_gateway(vmnet_network_ref of, struct in_addr *address, ether_addr_t *mac)
{
	(void)of;
	(void)mac;
	address->s_addr = htonl(ntohl(subnet.s_addr) + 1);
}

vmnet_return_t vmnet_network_get_reservation(vmnet_network_ref of, const ether_addr_t *client,
					     struct in_addr *address)
{
	(void)of;
	(void)client;
	address->s_addr = htonl(ntohl(subnet.s_addr) + 2);
	return VMNET_SUCCESS;
}

/* What the VM has by its name; no address: nothing. */
static struct vmnet_assignment assigned;

vmnet_return_t vmnet_assignment_get(const char *state_directory, const char *key,
				    struct vmnet_assignment *assignment, struct vmnet_error *error)
{
	(void)error;
	assert_non_null(state_directory);
	assert_string_equal(key, " one ");
	*assignment = assigned;
	return assigned.subnet.s_addr ? VMNET_SUCCESS : VMNET_INVALID_ARGUMENT;
}

static int setup(void **state)
{
	static struct vm_home home;
	static char path[64];

	snprintf(path, sizeof(path), "/tmp/tartlet-run-network-XXXXXX");
	assert_non_null(mkdtemp(path));
	setenv("TARTLET_HOME", path, 1);
	assert_int_equal(vm_home_open(&home, NULL), 0);
	memset(&made, 0, sizeof(made));
	*state = &home;
	return 0;
}

static int teardown(void **state)
{
	static const char *const parts[] = { "networks", "vms", "tmp", "" };
	struct vm_home *home = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", home->path, parts[i]);
		(void)rmdir(path);
	}
	assert_int_equal(access(home->path, F_OK), -1);
	vm_home_close(home);
	assert_int_equal(made.configurations, 0);
	return 0;
}

static int create_with(const struct vm_home *home, const char *asked, const char *label,
		       const struct seed_settings *seed, struct run_network *ret_network,
		       struct error *err)
{
	struct network_options options = { .has_subnet = asked != NULL };
	const struct run_network_request request = {
		.home = home,
		.options = &options,
		.name = " one ",
		.label = label,
		.is_vm = true,
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.seed = seed,
	};

	if (asked)
		assert_true(ip_prefix_parse(asked, &options.subnet));
	return run_network_create(&request, ret_network, err);
}

static int create(const struct vm_home *home, const char *asked, const char *label,
		  struct run_network *ret_network, struct error *err)
{
	return create_with(home, asked, label, NULL, ret_network, err);
}

static void test_real_subnet_is_compared(void **state)
{
	static const struct {
		const char *asked; /* NULL = an automatic one */
		uint32_t subnet;
		uint32_t mask;
		const char *said; /* "" = good */
	} rows[] = {
		{ NULL, 0x0a090800, 0xfffffffc, "" },
		{ "10.9.8.0/30", 0x0a090800, 0xfffffffc, "" },
		{ "10.9.8.0/30", 0x0a090804, 0xfffffffc,
		  "subnet 10.9.8.0/30 was asked for, but the network has 10.9.8.4/30" },
		{ "10.9.8.0/30", 0x0a090800, 0xfffffff8,
		  "subnet 10.9.8.0/30 was asked for, but the network has 10.9.8.0/29" },
		{ "10.9.8.0/30", 0x0a090800, 0xff00ff00,
		  "the network does not know its own subnet and reservation" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct run_network made_network = { 0 };
		struct error err = { .text = "" };
		char text[IP_PREFIX_TEXT_SIZE];
		subnet.s_addr = htonl(rows[i].subnet);
		mask.s_addr = htonl(rows[i].mask);
		int r = create(*state, rows[i].asked, "one", &made_network, &err);
		assert_int_equal(r, rows[i].said[0] ? -EIO : 0);
		assert_string_equal(err.text, rows[i].said);
		if (r == 0) {
			assert_string_equal(ip_prefix_format(&made_network.subnet, text),
					    "10.9.8.0/30");
			assert_string_equal(ip_addr_format(&made_network.address, text),
					    "10.9.8.2");
			assert_string_equal(ip_addr_format(&made_network.gateway, text),
					    "10.9.8.1");
			run_network_done(&made_network);
		}
		assert_int_equal(network.references, 0);
	}
}

/* What log lines begin with. */
static void test_name_is_the_label(void **state)
{
	struct run_network made_network = { 0 };

	subnet.s_addr = htonl(0x0a090800);
	mask.s_addr = htonl(0xfffffffc);
	assert_int_equal(create(*state, NULL, "one", &made_network, NULL), 0);
	assert_string_equal(made_network.name, "one");
	assert_string_equal(made.label, "one");
	run_network_done(&made_network);
	memset(&made.label, 0, sizeof(made.label));
	assert_int_equal(create(*state, NULL, NULL, &made_network, NULL), 0);
	assert_string_equal(made_network.name, " one ");
	assert_string_equal(made.label, "");
	run_network_done(&made_network);
}

/* The name that the seed says is that of DHCP, too; without one the VM's name makes both. */
static void test_seed(void **state)
{
	static char id[] = "iid-1", hostname[] = "box";
	struct seed_settings seed = { .instance_id = id };
	struct run_network made_network = { 0 };

	subnet.s_addr = htonl(0x0a090800);
	mask.s_addr = htonl(0xfffffffc);
	assert_int_equal(create(*state, NULL, NULL, &made_network, NULL), 0);
	assert_int_equal(made.documents, 0);
	assert_string_equal(made.hostname, "one");
	run_network_done(&made_network);
	assert_int_equal(create_with(*state, NULL, NULL, &seed, &made_network, NULL), 0);
	assert_int_equal(made.documents, 3);
	assert_string_equal(made.hostname, "one");
	assert_string_equal(made.meta_data, "instance-id: iid-1\nlocal-hostname: \"one\"\n");
	run_network_done(&made_network);
	seed.hostname = hostname;
	assert_int_equal(create_with(*state, NULL, NULL, &seed, &made_network, NULL), 0);
	assert_string_equal(made.hostname, "box");
	assert_string_equal(made.meta_data, "instance-id: iid-1\nlocal-hostname: \"box\"\n");
	run_network_done(&made_network);
}

/* A guest that is resumed is where it was: by its name where that is the same, else because it has to be. */
static void test_resumed_subnet(void **state)
{
	static const struct {
		uint32_t assigned;
		const char *asked;
		uint32_t wanted;
	} rows[] = {
		{ 0x0a090800, NULL, 0 },
		{ 0x0a070600, NULL, 0x0a090800 },
		{ 0, NULL, 0x0a090800 },
		{ 0x0a070600, "10.9.8.0/30", 0x0a090800 },
	};
	struct ip_prefix subnet_of_before;

	assert_true(ip_prefix_parse("10.9.8.0/30", &subnet_of_before));
	subnet.s_addr = htonl(0x0a090800);
	mask.s_addr = htonl(0xfffffffc);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct network_options options = { .has_subnet = rows[i].asked != NULL };
		const struct run_network_request request = {
			.home = *state,
			.options = &options,
			.name = " one ",
			.is_vm = true,
			.mac = { { 2, 0, 0, 0, 0, 1 } },
			.resumed_subnet = &subnet_of_before,
		};
		struct run_network made_network = { 0 };
		if (rows[i].asked)
			assert_true(ip_prefix_parse(rows[i].asked, &options.subnet));
		assigned = (struct vmnet_assignment){ .subnet.s_addr = htonl(rows[i].assigned),
						      .mask.s_addr = htonl(0xfffffffc) };
		made.wanted = 0;
		assert_int_equal(run_network_create(&request, &made_network, NULL), 0);
		assert_int_equal(made.wanted, rows[i].wanted);
		run_network_done(&made_network);
	}
}

static void test_mode(void **state)
{
	static const vmnet_mode_t modes[] = { VMNET_SHARED_MODE, VMNET_HOST_MODE };

	subnet.s_addr = htonl(0x0a090800);
	mask.s_addr = htonl(0xfffffffc);
	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		const struct network_options options = { .is_host = i == 1 };
		const struct run_network_request request = {
			.home = *state,
			.options = &options,
			.name = " one ",
			.is_vm = true,
			.mac = { { 2, 0, 0, 0, 0, 1 } },
		};
		struct run_network made_network = { 0 };

		assert_int_equal(run_network_create(&request, &made_network, NULL), 0);
		assert_int_equal(made.mode, modes[i]);
		run_network_done(&made_network);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_real_subnet_is_compared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_name_is_the_label, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumed_subnet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
