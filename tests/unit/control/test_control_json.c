#include "control/control_json.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "fake_vmnet.h"

static void check_text(json_t *root, const char *expected)
{
	char *text = json_dumps(root, JSON_COMPACT);

	assert_string_equal(text, expected);
	free(text);
	json_decref(root);
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"{\"protocol\":\"tcp\",\"externalAddress\":\"*\",\"externalPort\":0,"
		"\"internalAddress\":\"0.0.0.0\",\"internalPort\":22}",
		"{\"protocol\":\"udp\",\"externalAddress\":\"localhost\",\"externalPort\":65535,"
		"\"internalAddress\":\"10.1.2.2\",\"internalPort\":1}",
		"{\"protocol\":\"tcp\",\"externalAddress\":\"127.0.0.1\",\"externalPort\":80,"
		"\"internalAddress\":\"10.1.2.2\",\"internalPort\":65535}",
		"{\"protocol\":\"tcp\",\"externalAddress\":\"2001:db8::1\",\"externalPort\":80,"
		"\"internalAddress\":\"10.1.2.2\",\"internalPort\":80}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct vmnet_port_forward forward;
		struct error err = { .text = "" };
		json_t *root = json_loads(texts[i], 0, NULL);
		assert_true(control_json_parse_forward(root, &forward, &err));
		json_decref(root);
		check_text(control_json_forward(&forward), texts[i]);
	}
}

static void test_defaults(void **state)
{
	struct vmnet_port_forward forward;
	json_t *root = json_loads("{\"externalPort\":2222,\"internalPort\":22}", 0, NULL);

	(void)state;
	assert_true(control_json_parse_forward(root, &forward, NULL));
	assert_int_equal(forward.protocol, IPPROTO_TCP);
	assert_int_equal(forward.external_family, AF_UNSPEC);
	assert_int_equal(forward.external_port, 2222);
	assert_int_equal(forward.internal_port, 22);
	assert_int_equal(forward.internal_address.s_addr, 0);
	json_decref(root);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *reason;
	} rows[] = {
		{ "[]", "JSON object" },
		{ "{}", "externalPort is missing" },
		{ "{\"externalPort\":1}", "internalPort is missing" },
		{ "{\"internalPort\":1}", "externalPort is missing" },
		{ "{\"externalPort\":1,\"internalPort\":0}", "internalPort should be" },
		{ "{\"externalPort\":-1,\"internalPort\":1}", "externalPort should be" },
		{ "{\"externalPort\":65536,\"internalPort\":1}", "externalPort should be" },
		{ "{\"externalPort\":4294967297,\"internalPort\":1}", "externalPort should be" },
		{ "{\"externalPort\":1.5,\"internalPort\":1}", "externalPort should be" },
		{ "{\"externalPort\":\"1\",\"internalPort\":1}", "externalPort should be" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"protocol\":\"sctp\"}", "protocol" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"protocol\":6}", "protocol" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"externalAddress\":\"eth0\"}",
		  "externalAddress" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"externalAddress\":null}",
		  "externalAddress" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"internalAddress\":\"::1\"}",
		  "internalAddress" },
		{ "{\"externalPort\":1,\"internalPort\":1,\"x\":1}", "unknown key \"x\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vmnet_port_forward forward;
		struct error err = { .text = "" };
		json_t *root = json_loads(rows[i].text, 0, NULL);
		assert_false(control_json_parse_forward(root, &forward, &err));
		assert_non_null(strstr(err.text, rows[i].reason));
		json_decref(root);
	}
}

static void test_list_of_wanted(void **state)
{
	struct vmnet_port_forward *forwards;
	struct error err;
	size_t count;

	(void)state;
	json_t *list = json_loads("[{\"externalPort\":1,\"internalPort\":2},"
				  "{\"externalPort\":3,\"internalPort\":4,\"protocol\":\"udp\"}]",
				  0, NULL);
	assert_true(control_json_parse_forwards(list, &forwards, &count, &err));
	assert_int_equal(count, 2);
	assert_int_equal(forwards[0].external_port, 1);
	assert_int_equal(forwards[1].protocol, IPPROTO_UDP);
	free(forwards);
	assert_true(control_json_parse_forwards(json_array_get(list, 1), &forwards, &count, &err));
	assert_int_equal(count, 1);
	assert_int_equal(forwards[0].internal_port, 4);
	free(forwards);

	json_array_append_new(list, json_object());
	assert_false(control_json_parse_forwards(list, &forwards, &count, &err));
	assert_string_equal(err.text, "forward 3 of the list: externalPort is missing");
	json_array_clear(list);
	assert_false(control_json_parse_forwards(list, &forwards, &count, &err));
	assert_string_equal(err.text, "a list should have 1 to 4096 forwards");
	for (size_t i = 0; i <= CONTROL_FORWARDS_MOST; i++)
		json_array_append_new(list, json_null());
	assert_false(control_json_parse_forwards(list, &forwards, &count, &err));
	assert_string_equal(err.text, "a list should have 1 to 4096 forwards");
	json_decref(list);
}

static void test_lists(void **state)
{
	struct vmnet_network network;
	struct vmnet_port_forward bound;
	struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
					      .external_port = 80,
					      .internal_port = 8080 };

	(void)state;
	fake_vmnet_init(&network);
	check_text(control_json_forwards(&network), "[]");
	assert_int_equal(vmnet_network_add_port_forward(&network, &forward, &bound, NULL),
			 VMNET_SUCCESS);
	json_t *all = control_json_forwards(&network);
	assert_int_equal(json_array_size(all), 2);
	json_decref(all);
	forward.external_family = AF_INET;
	check_text(control_json_matching_forwards(&network, &forward, 1),
		   "[{\"protocol\":\"tcp\",\"externalAddress\":\"0.0.0.0\",\"externalPort\":80,"
		   "\"internalAddress\":\"0.0.0.0\",\"internalPort\":8080}]");
	forward.external_address.v4.s_addr = htonl(INADDR_LOOPBACK);
	check_text(control_json_matching_forwards(&network, &forward, 1), "[]");
	forward.external_family = AF_UNSPEC;
	forward.protocol = IPPROTO_UDP;
	check_text(control_json_matching_forwards(&network, &forward, 1), "[]");
}

static void test_statistics_and_neighbours(void **state)
{
	struct vmnet_network network;

	(void)state;
	fake_vmnet_init(&network);
	check_text(control_json_statistics(&network),
		   "{\"framesFromGuests\":7,\"bytesFromGuests\":0,\"framesToGuests\":0,"
		   "\"bytesToGuests\":1099511627776,\"ports\":0,\"tcpFlows\":3,\"udpFlows\":0,"
		   "\"icmpFlows\":0,\"dropped\":5,\"drops\":{\"bad_arp\":5}}");
	check_text(control_json_neighbours(&network),
		   "[{\"macAddress\":\"02:00:00:00:00:01\",\"address\":\"10.1.2.2\","
		   "\"leased\":true,\"leaseLeftSeconds\":3600},"
		   "{\"macAddress\":\"02:00:00:00:00:02\",\"address\":\"10.1.2.3\","
		   "\"leased\":false}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_list_of_wanted),
		cmocka_unit_test(test_lists),	   cmocka_unit_test(test_statistics_and_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
