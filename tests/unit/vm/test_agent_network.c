#include "vm/agent_network.h"

#include <errno.h>

#include "base/clock.h"
#include "base/error.h"
#include "fake_agent.h"

static const char *interfaces(unsigned number, const char *question)
{
	if (strcmp(question, "{\"execute\":\"guest-network-get-interfaces\"}\n") != 0)
		return NULL;
	if (number == 2)
		return ""; /* silence */
	return number == 0 ? "{\"return\": [{\"name\": \"eth0\", \"hardware-address\": "
			     "\"02:00:00:00:00:01\"}]}\n"
			   : "{\"return\": [{\"name\": \"eth0\", \"hardware-address\": "
			     "\"02:00:00:00:00:01\", \"ip-addresses\": [{\"ip-address-type\": "
			     "\"ipv4\", \"ip-address\": \"10.1.2.3\", \"prefix\": 30}]}]}\n";
}

static void test_address(void **state)
{
	const struct scratch *scratch = *state;
	const struct mac_addr mac = { { 2, 0, 0, 0, 0, 1 } };
	struct fake_agent agent = { .answer = interfaces };
	struct ip_addr address;
	struct error err;
	uint64_t deadline_ns = clock_now(&clock_boottime) + 60 * NS_PER_S;
	char text[IP_ADDR_TEXT_SIZE];

	assert_int_equal(agent_network_address(scratch->fd, &mac, deadline_ns, &address, &err),
			 -ENOENT);
	assert_string_equal(err.text, "No such file or directory"); /* no socket */
	fake_agent_start(&agent, scratch);
	assert_int_equal(agent_network_address(scratch->fd, &mac, deadline_ns, &address, &err),
			 -ENOENT);
	assert_string_equal(err.text, "the agent knows no IPv4 address of the VM's interface");
	assert_int_equal(agent_network_address(scratch->fd, &mac, deadline_ns, &address, &err), 0);
	assert_string_equal(ip_addr_format(&address, text), "10.1.2.3");
	deadline_ns = clock_now(&clock_boottime) + 100 * NS_PER_MS;
	assert_int_equal(agent_network_address(scratch->fd, &mac, deadline_ns, &address, &err),
			 -ETIMEDOUT);
	fake_agent_end(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_address, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
