/* Every invalid input is refused at entry, with a sentence of its own, and changes nothing. */

#include <arpa/inet.h>
#include <netinet/ether.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "network/configuration.h"
#include "vmnet/vmnet.h"

static struct in_addr address(const char *text)
{
	struct in_addr addr;

	assert_int_equal(inet_pton(AF_INET, text, &addr), 1);
	return addr;
}

static vmnet_network_configuration_ref new_configuration(void)
{
	vmnet_return_t status;
	vmnet_network_configuration_ref config =
		vmnet_network_configuration_create(VMNET_SHARED_MODE, &status);

	assert_non_null(config);
	assert_int_equal(status, VMNET_SUCCESS);
	assert_string_equal(vmnet_network_configuration_get_error(config), "");
	return config;
}

static void expect(vmnet_network_configuration_ref config, vmnet_return_t status,
		   const char *sentence)
{
	assert_string_equal(vmnet_network_configuration_get_error(config), sentence);
	assert_int_equal(status, sentence[0] == '\0' ? VMNET_SUCCESS : VMNET_INVALID_ARGUMENT);
}

static void test_modes(void **state)
{
	vmnet_return_t status = VMNET_SUCCESS;

	(void)state;
	assert_null(vmnet_network_configuration_create(VMNET_BRIDGED_MODE, &status));
	assert_int_equal(status, VMNET_INVALID_ARGUMENT);
	assert_null(vmnet_network_configuration_create((vmnet_mode_t)7, NULL));
	vmnet_network_configuration_release(NULL);
}

static void test_apple_values(void **state)
{
	(void)state;
	assert_int_equal(VMNET_HOST_MODE, 1000);
	assert_int_equal(VMNET_SHARED_MODE, 1001);
	assert_int_equal(VMNET_BRIDGED_MODE, 1002);
	assert_int_equal(VMNET_SUCCESS, 1000);
	assert_int_equal(VMNET_FAILURE, 1001);
	assert_int_equal(VMNET_MEM_FAILURE, 1002);
	assert_int_equal(VMNET_INVALID_ARGUMENT, 1003);
	assert_int_equal(VMNET_SETUP_INCOMPLETE, 1004);
	assert_int_equal(VMNET_INVALID_ACCESS, 1005);
	assert_int_equal(VMNET_PACKET_TOO_BIG, 1006);
	assert_int_equal(VMNET_BUFFER_EXHAUSTED, 1007);
	assert_int_equal(VMNET_TOO_MANY_PACKETS, 1008);
	assert_int_equal(VMNET_SHARING_SERVICE_BUSY, 1009);
	assert_int_equal(VMNET_NOT_AUTHORIZED, 1010);
	assert_string_equal(vmnet_return_name(VMNET_SHARING_SERVICE_BUSY),
			    "VMNET_SHARING_SERVICE_BUSY");
	assert_string_equal(vmnet_return_name((vmnet_return_t)5), "unknown");
}

static void test_subnet(void **state)
{
	static const struct {
		const char *subnet, *mask, *sentence;
	} cases[] = {
		{ "10.0.0.0", "255.0.0.0", "" },
		{ "172.16.0.0", "255.240.0.0", "" },
		{ "192.168.200.0", "255.255.255.252", "" },
		{ "192.168.200.1", "255.255.255.0", "" },
		{ "192.168.200.2", "255.255.255.0",
		  "subnet 192.168.200.2/24 has host bits beyond the first host; use "
		  "192.168.200.0/24" },
		{ "192.168.200.0", "255.0.255.0", "mask 255.0.255.0 is not contiguous" },
		{ "192.168.200.0", "255.255.255.254",
		  "subnet 192.168.200.0/31: the prefix must be /8 to /30" },
		{ "10.0.0.0", "254.0.0.0", "subnet 10.0.0.0/7: the prefix must be /8 to /30" },
		{ "203.0.113.0", "255.255.255.0",
		  "subnet 203.0.113.0/24 is not inside 10.0.0.0/8, 172.16.0.0/12 or "
		  "192.168.0.0/16" },
		{ "192.168.0.0", "255.254.0.0",
		  "subnet 192.168.0.0/15 is not inside 10.0.0.0/8, 172.16.0.0/12 or "
		  "192.168.0.0/16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		vmnet_network_configuration_ref config = new_configuration();
		struct in_addr subnet = address(cases[i].subnet);
		struct in_addr mask = address(cases[i].mask);

		expect(config, vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask),
		       cases[i].sentence);
		assert_int_equal(config->subnet.addr.family != IP_FAMILY_NONE,
				 cases[i].sentence[0] == '\0');
		vmnet_network_configuration_release(config);
	}
}

static vmnet_return_t reserve(vmnet_network_configuration_ref config, const char *mac,
			      const char *addr)
{
	struct ether_addr client;
	struct in_addr reservation = address(addr);

	assert_non_null(ether_aton_r(mac, &client));
	return vmnet_network_configuration_add_dhcp_reservation(config, &client, &reservation);
}

static void test_reservation(void **state)
{
	static const struct {
		const char *mac, *addr, *sentence;
	} cases[] = {
		{ "02:00:00:00:00:01", "192.168.5.9", "" },
		{ "02:00:00:00:00:01", "192.168.5.10",
		  "MAC address 02:00:00:00:00:01 has a reservation already" },
		{ "02:00:00:00:00:02", "192.168.5.9", "address 192.168.5.9 is reserved already" },
		{ "02:00:00:00:00:02", "192.168.6.9",
		  "reservation 192.168.6.9 is outside the subnet 192.168.5.0/24" },
		{ "02:00:00:00:00:02", "192.168.5.0",
		  "reservation 192.168.5.0 is the network address of 192.168.5.0/24" },
		{ "02:00:00:00:00:02", "192.168.5.1",
		  "reservation 192.168.5.1 is the gateway's address in 192.168.5.0/24" },
		{ "02:00:00:00:00:02", "192.168.5.255",
		  "reservation 192.168.5.255 is the broadcast address of 192.168.5.0/24" },
		{ "01:00:00:00:00:02", "192.168.5.7",
		  "MAC address 01:00:00:00:00:02 cannot be a guest's" },
		{ "00:00:00:00:00:00", "192.168.5.7",
		  "MAC address 00:00:00:00:00:00 cannot be a guest's" },
	};
	vmnet_network_configuration_ref config = new_configuration();
	struct in_addr subnet = address("192.168.5.0");
	struct in_addr mask = address("255.255.255.0");

	(void)state;
	expect(config, vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask), "");
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		expect(config, reserve(config, cases[i].mac, cases[i].addr), cases[i].sentence);
		assert_int_equal(config->reservation_count, 1);
	}
	vmnet_network_configuration_release(config);
}

/* The subnet comes last: what was reserved before must fit it. */
static void test_reservation_before_subnet(void **state)
{
	vmnet_network_configuration_ref config = new_configuration();
	struct in_addr subnet = address("192.168.5.0");
	struct in_addr mask = address("255.255.255.0");

	(void)state;
	expect(config, reserve(config, "02:00:00:00:00:01", "8.8.8.8"),
	       "reservation 8.8.8.8 is not inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
	assert_int_equal(config->reservation_count, 0);
	expect(config, reserve(config, "02:00:00:00:00:01", "10.1.1.5"), "");
	expect(config, vmnet_network_configuration_set_ipv4_subnet(config, &subnet, &mask),
	       "reservation 10.1.1.5 is outside the subnet 192.168.5.0/24");
	assert_int_equal(config->subnet.addr.family, IP_FAMILY_NONE);
	vmnet_network_configuration_release(config);
}

static void test_complete_chooses_free_addresses(void **state)
{
	vmnet_network_configuration_ref config = new_configuration();
	struct gateway_reservation done[GATEWAY_MAX_RESERVATIONS];
	struct ip_prefix subnet;
	struct ip_addr guest;
	struct ip_addr second;
	struct error err = {};

	(void)state;
	assert_true(ip_prefix_parse("10.9.8.0/29", &subnet));
	assert_true(ip_addr_parse("10.9.8.4", &guest));
	assert_true(ip_addr_parse("10.9.8.3", &second));
	expect(config, reserve(config, "02:00:00:00:00:01", "0.0.0.0"), "");
	expect(config, reserve(config, "02:00:00:00:00:02", "10.9.8.2"), "");
	expect(config, reserve(config, "02:00:00:00:00:03", "0.0.0.0"), "");
	assert_int_equal(configuration_complete(config, &subnet, &guest, done, &err), 0);
	assert_true(ip_addr_equal(&done[0].addr, &guest));
	assert_true(ip_addr_equal(&done[2].addr, &second));

	assert_true(ip_prefix_parse("10.9.8.0/30", &subnet));
	assert_true(configuration_complete(config, &subnet, &guest, done, &err) < 0);
	assert_string_equal(err.text,
			    "subnet 10.9.8.0/30 has fewer guest addresses than reservations");
	vmnet_network_configuration_release(config);
}

static void test_mtu(void **state)
{
	static const struct {
		uint32_t mtu;
		const char *sentence;
	} cases[] = {
		{ 575, "MTU 575: it must be 576 to 65520" },
		{ 576, "" },
		{ 65520, "" },
		{ 65521, "MTU 65521: it must be 576 to 65520" },
		{ UINT32_MAX, "MTU 4294967295: it must be 576 to 65520" },
	};
	vmnet_network_configuration_ref config = new_configuration();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		expect(config, vmnet_network_configuration_set_mtu(config, cases[i].mtu),
		       cases[i].sentence);
	assert_int_equal(config->mtu, 65520);
	vmnet_network_configuration_release(config);
}

static void test_busy_poll(void **state)
{
	vmnet_network_configuration_ref config = new_configuration();

	(void)state;
	assert_int_equal(config->busy_poll_us, 50);
	expect(config, vmnet_network_configuration_set_busy_poll(config, 1001),
	       "busy poll of 1001 us: it must be 0 to 1000");
	expect(config, vmnet_network_configuration_set_busy_poll(config, 1000), "");
	expect(config, vmnet_network_configuration_set_busy_poll(config, 0), "");
	assert_int_equal(config->busy_poll_us, 0);
	vmnet_network_configuration_release(config);
}

static void test_forward(void **state)
{
	static const struct {
		uint8_t protocol;
		sa_family_t family;
		uint16_t internal, external;
		const char *sentence;
	} cases[] = {
		{ IPPROTO_TCP, AF_INET, 22, 2222, "" },
		{ IPPROTO_UDP, AF_INET, 22, 2222, "" },
		{ IPPROTO_TCP, AF_INET, 23, 2222, "TCP port 2222 is forwarded more than once" },
		{ IPPROTO_TCP, AF_INET, 0, 2223, "a forward's internal port must be 1 to 65535" },
		{ IPPROTO_ICMP, AF_INET, 1, 1, "protocol 1 cannot be forwarded, only TCP and UDP" },
		{ IPPROTO_TCP, AF_INET6, 1, 1,
		  "address family 10 cannot be forwarded, only AF_INET" },
		{ IPPROTO_TCP, AF_INET, 22, 0, "" },
		{ IPPROTO_TCP, AF_INET, 22, 0, "" },
	};
	vmnet_network_configuration_ref config = new_configuration();
	const struct in_addr any = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		expect(config,
		       vmnet_network_configuration_add_port_forwarding_rule(
			       config, cases[i].protocol, cases[i].family, cases[i].internal,
			       cases[i].external, &any),
		       cases[i].sentence);
	assert_int_equal(config->forward_count, 4);
	assert_int_equal(config->forwards[0].internal_port, 22);
	assert_int_equal(config->forwards[0].external_port, 2222);
	vmnet_network_configuration_release(config);
}

static void test_forward_collisions(void **state)
{
	struct vmnet_port_forward one = { .protocol = IPPROTO_TCP,
					  .external_family = AF_INET,
					  .external_address.v4 = address("127.0.0.1"),
					  .external_port = 80,
					  .internal_port = 80 };
	struct vmnet_port_forward two = one;
	vmnet_network_configuration_ref config = new_configuration();

	(void)state;
	two.external_address.v4 = address("127.0.0.2");
	expect(config, vmnet_network_configuration_add_port_forward(config, &one), "");
	expect(config, vmnet_network_configuration_add_port_forward(config, &two), "");
	two.external_family = AF_INET6;
	memset(&two.external_address, 0, sizeof(two.external_address));
	expect(config, vmnet_network_configuration_add_port_forward(config, &two), "");
	two.external_family = AF_INET;
	expect(config, vmnet_network_configuration_add_port_forward(config, &two),
	       "TCP port 80 is forwarded more than once");
	two.external_family = AF_UNSPEC;
	expect(config, vmnet_network_configuration_add_port_forward(config, &two),
	       "TCP port 80 is forwarded more than once");
	two.external_family = AF_UNIX + 100;
	expect(config, vmnet_network_configuration_add_port_forward(config, &two),
	       "address family 101 cannot be forwarded");
	two.external_port = 81;
	two.external_family = AF_INET;
	two.external_address.v4 = address("127.255.255.255");
	expect(config, vmnet_network_configuration_add_port_forward(config, &two),
	       "a forward cannot listen on 127.255.255.255, which is a broadcast address");
	two.external_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, "fe80::1", &two.external_address.v6), 1);
	expect(config, vmnet_network_configuration_add_port_forward(config, &two),
	       "a forward cannot listen on fe80::1, which is link-local and means nothing without "
	       "an interface");
	vmnet_network_configuration_release(config);
}

static const struct {
	const char *label;
	const char *sentence;
} bad_labels[] = {
	{ NULL, "a label must not be empty or blank" },
	{ "", "a label must not be empty or blank" },
	{ " \xc2\xa0 ", "a label must not be empty or blank" },
	{ "\xff\xff", "the label is not UTF-8" },
	{ "ci\xc3", "the label is not UTF-8" },
	{ "\xed\xa0\x80", "the label is not UTF-8" },
	/* Also behind the 64 characters that are kept. */
	{ "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmn\xff",
	  "the label is not UTF-8" },
	{ "a\033[31mb", "a label must not have control characters (U+001B)" },
	{ "a\nb", "a label must not have control characters (U+000A)" },
	{ "a\xc2\x9b", "a label must not have control characters (U+009B)" },
	{ "a\xe2\x80\xae", "a label must not have control characters (U+202E)" },
};

static void test_names(void **state)
{
	char longest[70 * 2 + 1];
	vmnet_network_configuration_ref config = new_configuration();

	(void)state;
	for (size_t i = 0; i < 70; i++)
		memcpy(longest + 2 * i, "\xc3\xa9", 3); /* U+00E9, two bytes */
	expect(config, vmnet_network_configuration_set_label(config, longest), "");
	assert_int_equal(strlen(config->label), 128);
	for (size_t i = 0; i < ARRAY_COUNT(bad_labels); i++)
		expect(config, vmnet_network_configuration_set_label(config, bad_labels[i].label),
		       bad_labels[i].sentence);
	assert_int_equal(strlen(config->label), 128);
	expect(config, vmnet_network_configuration_set_hostname(config, "ci-3"), "");
	expect(config, vmnet_network_configuration_set_hostname(config, "-a"),
	       "host name \"-a\": letters, digits and hyphens, at most 63");
	expect(config, vmnet_network_configuration_set_hostname(config, "a b"),
	       "host name \"a b\": letters, digits and hyphens, at most 63");
	expect(config, vmnet_network_configuration_set_assignment(config, "", NULL),
	       "an assignment's key must have 1 to 255 bytes");
	expect(config, vmnet_network_configuration_set_assignment(config, "k", NULL),
	       "an assignment needs a MAC address as seed");
	expect(config, vmnet_network_configuration_set_prefix_length(config, 31),
	       "prefix length 31: it must be 8 to 30");
	expect(config, vmnet_network_configuration_set_capture_fd(config, -1),
	       "cannot capture to file descriptor -1: Bad file descriptor");
	vmnet_network_configuration_release(config);
}

struct bad_document {
	const char *path;
	size_t size;
	const char *sentence;
};

#define BAD_PATH(path)                                                                             \
	"document \"" path "\": a path begins with \"/\" and has at most 255 of "                  \
	"A-Z a-z 0-9 - . _ ~ /, no \".\" behind a \"/\""

static const struct bad_document bad_documents[] = {
	{ NULL, 0, "a document needs a path and its bytes" },
	{ "", 1, BAD_PATH("") },
	{ "a", 1, BAD_PATH("a") },
	{ "/a b", 1, BAD_PATH("/a b") },
	{ "/a?b", 1, BAD_PATH("/a?b") },
	{ "/%61", 1, BAD_PATH("/%61") },
	{ "/a/../b", 1, BAD_PATH("/a/../b") },
	{ "/\xc3\xa4", 1, BAD_PATH("/\xc3\xa4") },
	{ "/seed/a", 1, "document \"/seed/a\" is there already" },
	{ "/more", (1 << 20) - 2, "documents of more than 1048576 bytes in total" },
	{ "/more", SIZE_MAX, "documents of more than 1048576 bytes in total" },
};

static void test_documents(void **state)
{
	static char bytes[1 << 20] = "text";
	vmnet_network_configuration_ref config = new_configuration();
	char path[300];

	(void)state;
	expect(config, vmnet_network_configuration_add_document(config, "/seed/a", bytes, 3), "");
	bytes[0] = 'n'; /* it was copied */
	assert_memory_equal(config->documents[0].bytes, "tex", 3);
	for (size_t i = 0; i < ARRAY_COUNT(bad_documents); i++) {
		const struct bad_document *bad = &bad_documents[i];

		expect(config,
		       vmnet_network_configuration_add_document(config, bad->path, bytes,
								bad->size),
		       bad->sentence);
	}
	expect(config, vmnet_network_configuration_add_document(config, "/null", NULL, 1),
	       "a document needs a path and its bytes");
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[256] = '\0';
	assert_int_equal(vmnet_network_configuration_add_document(config, path, bytes, 1),
			 VMNET_INVALID_ARGUMENT);
	path[255] = '\0';
	expect(config, vmnet_network_configuration_add_document(config, path, NULL, 0), "");
	assert_int_equal(config->document_count, 2);
	expect(config,
	       vmnet_network_configuration_add_document(config, "/rest", bytes, (1 << 20) - 3), "");
	for (unsigned i = 3; i < 64; i++) {
		(void)snprintf(path, sizeof(path), "/%u", i);
		expect(config, vmnet_network_configuration_add_document(config, path, NULL, 0), "");
	}
	expect(config, vmnet_network_configuration_add_document(config, "/65", NULL, 0),
	       "more than 64 documents");
	vmnet_network_configuration_release(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_apple_values),
		cmocka_unit_test(test_subnet),
		cmocka_unit_test(test_reservation),
		cmocka_unit_test(test_reservation_before_subnet),
		cmocka_unit_test(test_complete_chooses_free_addresses),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_busy_poll),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_forward_collisions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
