#include "host_rig.h"

#include "host/survey_internal.h"

static struct survey survey;

static bool listed(const struct ip_prefix *list, size_t count, const char *text)
{
	struct ip_prefix wanted;
	if (!ip_prefix_parse(text, &wanted))
		abort();
	for (size_t i = 0; i < count; i++) {
		if (list[i].length == wanted.length && ip_addr_equal(&list[i].addr, &wanted.addr))
			return true;
	}
	return false;
}

static bool avoided(const char *text)
{
	return listed(survey.avoid, survey.avoid_count, text);
}

static bool ranked(const char *text)
{
	return listed(survey.rank, survey.rank_count, text);
}

static void test_here(void **state)
{
	(void)state;
	struct error err = { 0 };
	assert_int_equal(survey_take(&survey, &err), 0);
	assert_true(avoided("127.0.0.0/8"));
	assert_string_equal(err.text, "");
	for (size_t i = 0; i < survey.avoid_count; i++) {
		struct ip_prefix canonical = ip_prefix_canonical(&survey.avoid[i]);
		assert_int_equal(survey.avoid[i].addr.family, IP_FAMILY_V4);
		assert_true(survey.avoid[i].length > 0);
		assert_true(ip_addr_equal(&canonical.addr, &survey.avoid[i].addr));
	}
}

static void routes(void)
{
	struct rig rig;
	rig_init(&rig);
	rig_write_file(rig.resolv_conf, "nameserver 10.200.0.53\nnameserver 2001:db8::53\n"
					"nameserver 127.0.0.53\n");
	rig_ip("link add v0 type veth peer name v1");
	rig_ip("link set v0 up");
	rig_ip("link set v1 up");
	rig_ip("addr add 10.9.7.1/20 dev v0");
	rig_ip("addr add 10.77.0.1 peer 10.77.0.9 dev v0"); /* point to point */
	rig_ip("route add default via 10.9.0.254");
	rig_ip("route add 172.20.0.0/14 via 10.9.0.253"); /* a VPN's */
	rig_ip("route add 10.60.0.0/16 dev v0");	  /* on-link by hand */
	rig_ip("route add blackhole 10.61.0.0/16");
	rig_ip("route add 10.62.0.0/16 nexthop via 10.9.0.251 nexthop via 10.9.0.252");
	rig_ip("route add 10.63.0.0/16 dev v0 table 100");
	rig_ip("route add local 10.64.0.0/16 dev lo");
	/* A device without neighbours stands for a tunnel. */
	rig_ip("link set v1 arp off");
	rig_ip("addr add 192.168.200.1/32 dev v1");
	rig_ip("route add 10.128.0.0/9 dev v1");
	CHECK(survey_take_with_path(rig.resolv_conf, &survey, NULL) == 0);

	CHECK(avoided("127.0.0.0/8"));
	CHECK(avoided("10.9.0.0/20"));
	CHECK(avoided("10.77.0.1/32") && avoided("10.77.0.9/32"));
	CHECK(avoided("10.60.0.0/16"));
	CHECK(avoided("10.63.0.0/16"));
	CHECK(avoided("10.64.0.0/16"));
	CHECK(avoided("192.168.200.1/32"));
	CHECK(avoided("10.200.0.53/32")); /* a resolver */
	CHECK(ranked("172.20.0.0/14"));
	CHECK(ranked("10.61.0.0/16"));
	CHECK(ranked("10.62.0.0/16"));
	CHECK(ranked("10.128.0.0/9"));
	CHECK(!avoided("10.128.0.0/9") && !avoided("172.20.0.0/14"));
	/* Next hops lie in an on-link prefix here, which stands for them. */
	CHECK(!avoided("10.9.0.254/32"));
	CHECK(!avoided("0.0.0.0/0") && !ranked("0.0.0.0/0"));
	CHECK(!avoided("127.0.0.53/32")); /* inside 127/8 already */

	/* A next hop that is on no prefix of ours. */
	rig_ip("route add default via 10.201.0.1 dev v0 onlink metric 9");
	CHECK(survey_take_with_path("/nonexistent", &survey, NULL) == 0);
	CHECK(avoided("10.201.0.1/32"));
	CHECK(!avoided("10.200.0.53/32"));
	rig_done(&rig);
}

static void test_routes(void **state)
{
	(void)state;
	rig_in_namespace(routes);
}

/* More than fits: no crash, the rest is left out. */
static void many(void)
{
	FILE *file = popen("PATH=$PATH:/usr/sbin:/sbin ip -batch -", "we");
	CHECK(file);
	(void)fputs("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n"
		    "addr add 10.9.0.1/24 dev v0\n",
		    file);
	for (int i = 0; i < SURVEY_MAX + 100; i++)
		(void)fprintf(file, "route add 172.%d.%d.0/24 via 10.9.0.2\n", 16 + i / 256,
			      i % 256);
	CHECK(pclose(file) == 0);
	CHECK(survey_take_with_path("/nonexistent", &survey, NULL) == 0);
	CHECK(survey.rank_count == SURVEY_MAX);
	CHECK(avoided("10.9.0.0/24"));
}

static void test_many(void **state)
{
	(void)state;
	rig_in_namespace(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
