#include "host_rig.h"

#include "host/hosts_file.h"

static const char text[] = "# a comment\n"
			   "127.0.0.1\tlocalhost\n"
			   "192.0.2.10  Web.Example.ORG www   WWW2. # www3\n"
			   "::1 localhost ip6-localhost\n"
			   "192.0.2.11 www\n"
			   "192.0.2.11 www\n"
			   "2001:db8::7 www\n"
			   "fe80::1%lo0 scoped\n"
			   "not-an-address broken\n"
			   "192.0.2.300 broken\n"
			   "192.0.2.12\n"
			   "192.0.2.13 . ..\n"
			   "192.0.2.14 last";

static void test_lookup(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum ip_family family;
		bool known;
		const char *addrs; /* separated by blanks */
	} cases[] = {
		{ "localhost", IP_FAMILY_V4, true, "127.0.0.1" },
		{ "localhost", IP_FAMILY_V6, true, "::1" },
		{ "web.example.org", IP_FAMILY_V4, true, "192.0.2.10" },
		{ "web.example.org", IP_FAMILY_V6, true, "" },
		{ "www", IP_FAMILY_V4, true, "192.0.2.10 192.0.2.11" },
		{ "www", IP_FAMILY_V6, true, "2001:db8::7" },
		{ "www2", IP_FAMILY_V4, true, "192.0.2.10" },
		{ "www3", IP_FAMILY_V4, false, "" },
		{ "ww", IP_FAMILY_V4, false, "" },
		{ "scoped", IP_FAMILY_V6, false, "" },
		{ "broken", IP_FAMILY_V4, false, "" },
		{ "", IP_FAMILY_V4, false, "" },
		{ "last", IP_FAMILY_V4, true, "192.0.2.14" },
		{ "zzz", IP_FAMILY_V4, false, "" },
	};
	struct rig rig;
	rig_init(&rig);
	rig_write_file(rig.hosts, text);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct ip_addr addr[4];
		bool known = !cases[i].known;
		size_t count = host_call(rig.host, hosts_lookup, cases[i].name, cases[i].family,
					 addr, ARRAY_COUNT(addr), &known);
		char found[4 * (IP_ADDR_TEXT_SIZE + 1)] = "";
		for (size_t k = 0; k < count; k++) {
			char one[IP_ADDR_TEXT_SIZE];
			if (k)
				strcat(found, " ");
			strcat(found, ip_addr_format(&addr[k], one));
		}
		assert_string_equal(found, cases[i].addrs);
		assert_int_equal(known, cases[i].known);
	}
	struct ip_addr one;
	bool known;
	assert_int_equal(host_call(rig.host, hosts_lookup, "www", IP_FAMILY_V4, &one, 1, &known),
			 1);
	rig_done(&rig);
}

static void test_change(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct hosts_file hosts;
	struct ip_addr addr;
	bool known;
	uint64_t now = 0;
	assert_int_equal(hosts_file_init(&hosts, rig.hosts), 0);
	assert_int_equal(hosts_file_lookup(&hosts, now, "a", IP_FAMILY_V4, &addr, 1, &known), 0);
	assert_false(known);
	rig_write_file(rig.hosts, "192.0.2.1 a\n");
	now += FILE_CHANGE_CHECK_NS;
	assert_int_equal(hosts_file_lookup(&hosts, now, "a", IP_FAMILY_V4, &addr, 1, &known), 1);
	assert_int_equal(unlink(rig.hosts), 0);
	now += FILE_CHANGE_CHECK_NS;
	assert_int_equal(hosts_file_lookup(&hosts, now, "a", IP_FAMILY_V4, &addr, 1, &known), 0);
	assert_false(known);
	hosts_file_done(&hosts);
	rig_done(&rig);
}

/* More names than there is room for: the first ones count. Also long and strange ones. */
static void test_bounds(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	FILE *file = fopen(rig.hosts, "we");
	assert_non_null(file);
	char name[400];
	memset(name, 'n', sizeof(name));
	name[254] = '\0'; /* one too long */
	(void)fprintf(file, "192.0.2.1 %s\n192.0.2.1 bad\x01name \xc3\xa4\n", name);
	name[253] = '\0';
	(void)fprintf(file, "192.0.2.1 %s\n", name);
	for (int i = 0; i < HOSTS_FILE_MAX + 10; i++)
		(void)fprintf(file, "10.0.%d.%d h%d\n", i / 256, i % 256, i);
	assert_int_equal(fclose(file), 0);

	struct hosts_file hosts;
	struct ip_addr addr;
	bool known;
	assert_int_equal(hosts_file_init(&hosts, rig.hosts), 0);
	assert_int_equal(hosts_file_lookup(&hosts, 0, name, IP_FAMILY_V4, &addr, 1, &known), 1);
	assert_int_equal(hosts.count, HOSTS_FILE_MAX);
	assert_int_equal(hosts_file_lookup(&hosts, 0, "h0", IP_FAMILY_V4, &addr, 1, &known), 1);
	/* The long name took one place. */
	(void)snprintf(name, sizeof(name), "h%d", HOSTS_FILE_MAX - 2);
	assert_int_equal(hosts_file_lookup(&hosts, 0, name, IP_FAMILY_V4, &addr, 1, &known), 1);
	(void)snprintf(name, sizeof(name), "h%d", HOSTS_FILE_MAX - 1);
	assert_int_equal(hosts_file_lookup(&hosts, 0, name, IP_FAMILY_V4, &addr, 1, &known), 0);
	assert_false(known);
	hosts_file_done(&hosts);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
