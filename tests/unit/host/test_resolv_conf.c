#include "host_rig.h"

#include "host/resolv_conf.h"

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *servers; /* separated by blanks */
	} cases[] = {
		{ "", "" },
		{ "nameserver 192.0.2.1\n", "192.0.2.1:53" },
		{ "nameserver 192.0.2.1", "192.0.2.1:53" },
		{ "\tnameserver\t192.0.2.1\t# why\n", "192.0.2.1:53" },
		{ "nameserver 192.0.2.1;no comment here\n", "" },
		{ "nameserver 192.0.2.1 ; ignored\r\n", "192.0.2.1:53" },
		{ "# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n", "" },
		{ "search example.org\noptions edns0\nnameserver ::1\n", "[::1]:53" },
		{ "nameserver fe80::1%eth0\nnameserver 192.0.2.2\n", "192.0.2.2:53" },
		{ "nameserver\nnameserver \nnameservers 192.0.2.1\n", "" },
		{ "nameserver 192.0.2.256\nnameserver host\nnameserver 1\n", "" },
		{ "NAMESERVER 192.0.2.1\n", "" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.3\n",
		  "192.0.2.1:53 192.0.2.3:53" },
		{ "nameserver 0000000000000000000000000000000000000000000000000000000001\n", "" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
		  "nameserver 192.0.2.4\nnameserver 192.0.2.5\nnameserver 192.0.2.6\n"
		  "nameserver 192.0.2.7\nnameserver 192.0.2.8\nnameserver 192.0.2.9\n",
		  "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53 192.0.2.4:53 192.0.2.5:53 192.0.2.6:53 "
		  "192.0.2.7:53 192.0.2.8:53" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct ip_endpoint server[RESOLV_CONF_MAX];
		size_t count = resolv_conf_parse(text_view_of(cases[i].text), server);
		char text[RESOLV_CONF_MAX * (IP_ENDPOINT_TEXT_SIZE + 1)] = "";
		for (size_t k = 0; k < count; k++) {
			char one[IP_ENDPOINT_TEXT_SIZE];
			if (k)
				strcat(text, " ");
			strcat(text, ip_endpoint_format(&server[k], one));
		}
		assert_string_equal(text, cases[i].servers);
	}
}

/* Through the host: what changes is seen after 100 ms of the loop's time. */
static void test_change(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct ip_endpoint server[RESOLV_CONF_MAX];
	assert_int_equal(host_call(rig.host, resolvers, server, RESOLV_CONF_MAX), 0);
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n");
	while (host_call(rig.host, resolvers, server, RESOLV_CONF_MAX) == 0)
		assert_int_equal(loop_run_once(rig.loop, 20), 0);
	assert_int_equal(host_call(rig.host, resolvers, server, RESOLV_CONF_MAX), 2);
	struct ip_endpoint expected = rig_endpoint("192.0.2.53", 53);
	assert_true(ip_endpoint_equal(&server[0], &expected));
	assert_int_equal(host_call(rig.host, resolvers, server, 1), 1);
	assert_int_equal(host_call(rig.host, resolvers, NULL, 0), 0);
	assert_int_equal(unlink(rig.resolv_conf), 0);
	while (host_call(rig.host, resolvers, server, RESOLV_CONF_MAX) != 0)
		assert_int_equal(loop_run_once(rig.loop, 20), 0);
	rig_done(&rig);
}

/* Two writes of equal size within one tick of the file system's clock: the second is seen too. */
static void test_quick_second_write(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct resolv_conf conf;
	struct ip_endpoint server[RESOLV_CONF_MAX];
	uint64_t now = 0;
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.1\n");
	assert_int_equal(resolv_conf_init(&conf, rig.resolv_conf), 0);
	assert_int_equal(resolv_conf_servers(&conf, now, server, RESOLV_CONF_MAX), 1);
	rig_write_file(rig.resolv_conf, "nameserver 192.0.2.2\n");
	now += FILE_CHANGE_CHECK_NS;
	assert_int_equal(resolv_conf_servers(&conf, now, server, RESOLV_CONF_MAX), 1);
	struct ip_endpoint expected = rig_endpoint("192.0.2.2", 53);
	assert_true(ip_endpoint_equal(&server[0], &expected));
	resolv_conf_done(&conf);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_quick_second_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
