/* Rules by the public calls, and what a guest notices of them. */

#include <arpa/inet.h>

#include "network_guest.h"

#include "../sanitizer.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

#define LIST(...)                                                                                  \
	(const char *const[]){ __VA_ARGS__ },                                                      \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
#define NOTHING	   NULL, 0
#define TCP_ABROAD 0xcb007107 /* 203.0.113.7: for documentation, so not global */

/* A network of one guest with rules; the guest has its address. */
static vmnet_network_ref start(struct guest *guest, const char *const *allow, size_t allow_count,
			       const char *const *block, size_t block_count)
{
	vmnet_network_configuration_ref config = new_configuration("rules");
	struct guest_dhcp offer;

	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_set_policy(config, allow, allow_count, block,
								block_count),
			 VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	guest_attach(guest, network, 1);
	guest_configure(guest, &offer);
	guest_ask_gateway(guest);
	return network;
}

static void end(vmnet_network_ref network, const struct guest *guest)
{
	vmnet_network_release(network);
	(void)close(guest->fd);
}

/* --- the lists ---------------------------------------------------------------------------------- */

struct listed {
	char text[512];
};

static void list_rule(void *context, bool allow, const char *rule)
{
	struct listed *listed = context;
	size_t size = strlen(listed->text);

	(void)snprintf(listed->text + size, sizeof(listed->text) - size, "%c%s;", allow ? '+' : '-',
		       rule);
}

static struct listed rules_of(vmnet_network_ref network, struct vmnet_policy_status *status)
{
	struct listed listed = { "" };

	assert_int_equal(vmnet_network_visit_policy(network, list_rule, &listed, status, NULL),
			 VMNET_SUCCESS);
	return listed;
}

static void test_lists(void **state)
{
	struct vmnet_policy_status status;
	struct vmnet_error error = { "" };
	struct guest guest;

	(void)state;
	vmnet_network_ref network =
		start(&guest, LIST("@host", "10.1.2.3/8", "10.0.0.0/8"), NOTHING);
	assert_string_equal(rules_of(network, &status).text, "+10.0.0.0/8;+@host;");
	assert_true(status.isolated);
	assert_false(status.stateful);
	assert_int_equal(status.rule_count, 2);

	assert_int_equal(vmnet_network_set_policy(network, LIST("in 10.0.0.0/8:1-2"),
						  LIST("0.0.0.0/0", "@host"), &error),
			 VMNET_SUCCESS);
	assert_string_equal(rules_of(network, &status).text,
			    "+in 10.0.0.0/8:1-2;-0.0.0.0/0;-@host;");
	assert_true(status.stateful);
	assert_int_equal(status.rule_count, 5);

	/* What fails changes nothing. */
	assert_int_equal(
		vmnet_network_set_policy(network, LIST("@host", "10.0.0.0/33"), NOTHING, &error),
		VMNET_INVALID_ARGUMENT);
	assert_non_null(strstr(error.text, "allow: invalid rule \"10.0.0.0/33\""));
	assert_int_equal(vmnet_network_set_policy(network, NOTHING, LIST(""), &error),
			 VMNET_INVALID_ARGUMENT);
	assert_non_null(strstr(error.text, "block: invalid rule \"\""));
	assert_int_equal(vmnet_network_set_policy(network, LIST("0.0.0.0/0"), NOTHING, &error),
			 VMNET_NOT_AUTHORIZED);
	assert_non_null(strstr(error.text, "cannot be changed while the network runs"));
	assert_int_equal(vmnet_network_set_policy(network, NULL, 65537, NULL, 0, &error),
			 VMNET_INVALID_ARGUMENT);
	assert_string_equal(rules_of(network, NULL).text, "+in 10.0.0.0/8:1-2;-0.0.0.0/0;-@host;");
	end(network, &guest);
}

static void test_without_rules(void **state)
{
	vmnet_network_ref network = create(new_configuration("none"));
	struct vmnet_error error = { "" };

	(void)state;
	assert_int_equal(vmnet_network_set_policy(network, NOTHING, NOTHING, &error),
			 VMNET_SETUP_INCOMPLETE);
	assert_string_equal(error.text, "the network was created without rules");
	assert_int_equal(vmnet_network_visit_policy(network, NULL, NULL, NULL, NULL),
			 VMNET_SETUP_INCOMPLETE);
	vmnet_network_release(network);
}

static void test_configuration(void **state)
{
	vmnet_network_configuration_ref config = new_configuration("bad");

	(void)state;
	assert_int_equal(vmnet_network_configuration_set_policy(config, LIST("10.0.0.1"), NOTHING),
			 VMNET_INVALID_ARGUMENT);
	assert_non_null(strstr(vmnet_network_configuration_get_error(config),
			       "allow: invalid rule \"10.0.0.1\""));
	assert_int_equal(vmnet_network_configuration_set_policy(config, LIST("@host"), NOTHING),
			 VMNET_SUCCESS);
	assert_int_equal(vmnet_network_configuration_set_policy(config, NOTHING, LIST("@host:80")),
			 VMNET_SUCCESS);
	vmnet_network_ref network = create(config);
	assert_string_equal(rules_of(network, NULL).text, "-@host:80;");
	vmnet_network_release(network);
}

/* --- what a guest notices --------------------------------------------------------------------------- */

static void send_echo(struct guest *guest, uint16_t sequence)
{
	const struct packet_link link = { .source = guest->mac, .destination = guest->gateway_mac };
	const struct icmp_header header = { .type = ICMP_TYPE_ECHO_REQUEST,
					    .identifier = 7,
					    .sequence = sequence };
	char payload[1] = "x";
	const struct iovec part = { payload, 1 };
	struct frame frame;

	assert_true(
		packet_build_icmp(&frame, &link, &guest->addr, &guest->gateway, &header, &part, 1));
	guest_send(guest, &frame);
}

/* The gateway's next answer: its ICMP type. */
static uint8_t receive_echo(struct guest *guest)
{
	struct frame frame;

	do {
		guest_receive(guest, &frame);
	} while (!frame.packet.has_l4 || frame.packet.ip_protocol != PACKET_IP_PROTOCOL_ICMP);
	return frame.packet.icmp_type;
}

static uint8_t ping_gateway(struct guest *guest)
{
	send_echo(guest, 1);
	return receive_echo(guest);
}

static void test_gateway_is_blocked_and_opened(void **state)
{
	struct guest guest;

	(void)state;
	vmnet_network_ref network = start(&guest, NOTHING, NOTHING);
	assert_int_equal(ping_gateway(&guest), 0);
	assert_int_equal(vmnet_network_set_policy(network, NOTHING, LIST("0.0.0.0/0"), NULL),
			 VMNET_SUCCESS);
	assert_int_equal(ping_gateway(&guest), ICMP_TYPE_UNREACHABLE);
	assert_int_equal(drops_of(network, "filtered"), 1);
	assert_int_equal(vmnet_network_set_policy(network, LIST("@host"), LIST("0.0.0.0/0"), NULL),
			 VMNET_SUCCESS);
	assert_int_equal(ping_gateway(&guest), 0);
	/* Whatever the rules, DHCP works. */
	struct guest_dhcp offer;
	assert_int_equal(
		vmnet_network_set_policy(network, NOTHING, LIST("@host", "0.0.0.0/0"), NULL),
		VMNET_SUCCESS);
	guest_configure(&guest, &offer);
	end(network, &guest);
}

enum {
	MANY = 10000,
	ROUNDS = 10,
	ECHOES = 8, /* as many as wait in any unix socket */
	REPLACED_MS = 50,
};

/* Each has a prefix of its own. The first one, to be among those that block, closes the gateway, and the last one opens
 * it: with the half of them an echo request would not pass. */
static void write_rules(char (*texts)[32], const char **rules, unsigned round)
{
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "10.%u.%u.0/24%s", i / 256, i % 256,
			       (i + round) % 2 ? ":80-443" : "");
		rules[i] = texts[i];
	}
	rules[0] = "0.0.0.0/0";
	rules[MANY - 1] = "@host";
}

/* 10,000 rules are replaced in 50 ms, the best of a few times: others run on this machine, too. What is on its way
 * meanwhile passes. */
static void test_many_rules_are_replaced(void **state)
{
	char(*texts)[32] = calloc(MANY, sizeof(*texts));
	const char **rules = calloc(MANY, sizeof(*rules));
	struct vmnet_policy_status status;
	uint64_t best_ns = UINT64_MAX;
	struct guest guest;

	(void)state;
	assert_non_null(texts);
	assert_non_null(rules);
	vmnet_network_ref network = start(&guest, LIST("@host"), LIST("0.0.0.0/0"));
	for (unsigned round = 0; round < ROUNDS; round++) {
		const size_t half = (size_t)MANY / 2;

		write_rules(texts, rules, round);
		for (uint16_t i = 0; i < ECHOES; i++)
			send_echo(&guest, i);
		const uint64_t before = clock_now(&clock_boottime);
		assert_int_equal(
			vmnet_network_set_policy(network, rules + half, half, rules, half, NULL),
			VMNET_SUCCESS);
		const uint64_t took = clock_now(&clock_boottime) - before;
		best_ns = took < best_ns ? took : best_ns;
		for (unsigned i = 0; i < ECHOES; i++)
			assert_int_equal(receive_echo(&guest), 0);
	}
	assert_int_equal(vmnet_network_visit_policy(network, NULL, NULL, &status, NULL),
			 VMNET_SUCCESS);
	assert_int_equal(status.rule_count, MANY);
	print_message("# %d rules in %llu us\n", MANY, (unsigned long long)(best_ns / 1000));
	assert_true(IS_SANITIZED || best_ns < REPLACED_MS * NS_PER_MS);
	end(network, &guest);
	free(texts);
	free(rules);
}

static bool connect_resets(struct guest *guest, uint32_t addr)
{
	const struct packet_link link = { .source = guest->mac, .destination = guest->gateway_mac };
	const struct tcp_header syn = { .sequence = 1000, .flags = TCP_SYN, .window = 1000 };
	const struct ip_endpoint from = { guest->addr, 40000 };
	const struct ip_endpoint to = { ip_addr_from_v4(addr), 80 };
	uint8_t payload[GUEST_FRAME_SIZE];
	struct tcp_header answer;
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, &to, &syn, NULL, 0, 0));
	guest_send(guest, &frame);
	(void)guest_await_port(guest, PACKET_IP_PROTOCOL_TCP, from.port, &frame, payload,
			       sizeof(payload));
	struct reader reader = frame_l4_reader(&frame);
	assert_true(tcp_parse(&reader, &answer));
	return answer.flags & TCP_RST;
}

static void test_calls_are_refused(void **state)
{
	struct guest guest;

	(void)state;
	vmnet_network_ref network = start(&guest, NOTHING, LIST("8.8.8.0/24:80"));
	assert_true(connect_resets(&guest, TCP_ABROAD)); /* no rule, and not global */
	assert_true(connect_resets(&guest, 0x08080808));
	assert_int_equal(drops_of(network, "filtered"), 2);
	end(network, &guest);
}

/* Each is thrown away, and the guest itself goes on. */
static void test_spoofing(void **state)
{
	static const struct mac_addr other_mac = { { 2, 0, 0, 0, 0, 9 } };
	struct guest guest;
	struct guest liar;

	(void)state;
	vmnet_network_ref network = start(&guest, NOTHING, NOTHING);
	liar = guest;
	liar.addr = guest_addr_at(&guest, 77);
	guest_send_arp(&liar, &guest.mac, &guest.gateway);
	guest_ask_gateway(&guest);
	assert_int_equal(drops_of(network, "bad_arp"), 1);
	guest_send_arp(&guest, &other_mac, &guest.gateway);
	guest_ask_gateway(&guest);
	assert_int_equal(drops_of(network, "bad_source_mac"), 1);
	const struct ip_endpoint from = { liar.addr, 5000 };
	const struct ip_endpoint to = { guest.gateway, 53 };
	guest_send_udp(&guest, &guest.gateway_mac, &from, &to, "x", 1);
	guest_ask_gateway(&guest);
	assert_int_equal(drops_of(network, "bad_source_address"), 1);
	const struct ip_endpoint own = { guest.addr, 5353 };
	const struct ip_endpoint group = { ip_addr_from_v4(0xe00000fb), 5353 };
	guest_send_udp(&guest, &mac_addr_broadcast, &own, &group, "x", 1);
	guest_ask_gateway(&guest);
	assert_int_equal(drops_of(network, "filtered"), 1);
	end(network, &guest);
}

/* Only reserved MACs may be there, when there are reservations. */
static void test_stranger(void **state)
{
	struct guest guest;
	struct guest stranger;

	(void)state;
	vmnet_network_ref network = start(&guest, NOTHING, NOTHING);
	guest_attach(&stranger, network, 2);
	guest_send_dhcp(&stranger, DHCP_TYPE_DISCOVER, NULL);
	guest_send_arp(&stranger, &stranger.mac, &stranger.gateway);
	while (drops_of(network, "bad_source_mac") < 2)
		guest_ask_gateway(&guest);
	(void)close(stranger.fd);
	end(network, &guest);
}

/* Two guests with addresses by DHCP see each other only when everything is allowed. */
static void test_guests_are_apart(void **state)
{
	(void)state;
	for (unsigned together = 0; together < 2; together++) {
		vmnet_network_configuration_ref config = new_configuration("apart");
		static struct guest guests[2];
		struct guest_dhcp offer;
		struct vmnet_policy_status status;

		assert_int_equal(
			vmnet_network_configuration_set_policy(config, LIST("0.0.0.0/0"), NOTHING),
			VMNET_SUCCESS);
		if (!together)
			assert_int_equal(
				vmnet_network_configuration_set_policy(config, NOTHING, NOTHING),
				VMNET_SUCCESS);
		vmnet_network_ref network = create(config);
		for (uint8_t i = 0; i < 2; i++) {
			guest_attach(&guests[i], network, (uint8_t)(i + 1));
			guest_configure(&guests[i], &offer);
			guest_ask_gateway(&guests[i]);
		}
		(void)rules_of(network, &status);
		assert_int_equal(status.isolated, !together);
		const struct ip_endpoint from = { guests[0].addr, 5000 };
		const struct ip_endpoint to = { guests[1].addr, 6000 };
		struct vmnet_statistics before;
		struct vmnet_statistics after;
		vmnet_network_get_statistics(network, &before);
		guest_send_udp(&guests[0], &guests[1].mac, &from, &to, "x", 1);
		guest_send_arp(&guests[0], &guests[0].mac, &guests[1].addr);
		guest_ask_gateway(&guests[0]);
		vmnet_network_get_statistics(network, &after);
		/* The answer to the last question; together, the three frames of the first guest for the
		 * second: a broadcast goes to it, too. */
		assert_int_equal(after.frames_to_guests - before.frames_to_guests,
				 together ? 4 : 1);
		vmnet_network_release(network);
		(void)close(guests[0].fd);
		(void)close(guests[1].fd);
	}
}

static void note_connected(void *context, vmnet_return_t status, int fd, const char *error)
{
	(void)context;
	(void)status;
	(void)fd;
	(void)error;
	abort(); /* it is decided at once */
}

static void test_own_connection_is_refused(void **state)
{
	struct vmnet_error error = { "" };
	struct guest guest;

	(void)state;
	vmnet_network_ref network = start(&guest, NOTHING, LIST("in @host"));
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(22),
					.sin_addr.s_addr = htonl(ip_addr_to_v4(&guest.addr)) };
	assert_int_equal(vmnet_network_connect(network, &to, note_connected, NULL, &error),
			 VMNET_INVALID_ACCESS);
	assert_string_equal(error.text,
			    "the network's rules do not let the host connect to the guest");
	end(network, &guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_gateway_is_blocked_and_opened),
		cmocka_unit_test(test_many_rules_are_replaced),
		cmocka_unit_test(test_calls_are_refused),
		cmocka_unit_test(test_spoofing),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_guests_are_apart),
		cmocka_unit_test(test_own_connection_is_refused),
	};

	return cmocka_run_group_tests_name("policy", tests, make_directory, remove_directory);
}
