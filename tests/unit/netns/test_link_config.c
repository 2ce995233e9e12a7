#include "netns_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "netns/link_config.h"
#include "netns/tap_device.h"

static const struct mac_addr mac = { { 0x02, 1, 2, 3, 4, 5 } };

static struct link_config config_of(const char *address, uint8_t length, const char *gateway,
				    uint32_t mtu)
{
	struct link_config config = { .mac = mac, .mtu = mtu, .address.length = length };

	if (address)
		CHILD_CHECK(ip_addr_parse(address, &config.address.addr) &&
			    ip_addr_parse(gateway, &config.gateway));
	return config;
}

static int open_tap(void)
{
	int fd = -1;

	if (tap_device_open("vm0", &fd, NULL) < 0)
		_exit(CHILD_SKIP);
	return fd;
}

static void ask(unsigned long question, struct ifreq *ret_answer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHILD_CHECK(fd >= 0 && ioctl(fd, question, ret_answer) == 0);
	close(fd);
}

static struct ifreq about(const char *interface)
{
	struct ifreq request = { .ifr_name = "" };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return request;
}

static bool has_address(unsigned long question, const char *expected)
{
	struct ifreq answer = about("vm0");
	char text[INET_ADDRSTRLEN];
	struct sockaddr_in address;

	ask(question, &answer);
	memcpy(&address, &answer.ifr_addr, sizeof(address));
	CHILD_CHECK(inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text)));
	return strcmp(text, expected) == 0;
}

static bool is_up(const char *interface)
{
	struct ifreq answer = about(interface);

	ask(SIOCGIFFLAGS, &answer);
	return answer.ifr_flags & IFF_UP;
}

static void check_link(int mtu)
{
	struct ifreq answer = about("vm0");

	CHILD_CHECK(is_up("lo") && is_up("vm0"));
	ask(SIOCGIFHWADDR, &answer);
	CHILD_CHECK(answer.ifr_hwaddr.sa_family == ARPHRD_ETHER);
	CHILD_CHECK(memcmp(answer.ifr_hwaddr.sa_data, mac.octet, sizeof(mac.octet)) == 0);
	ask(SIOCGIFMTU, &answer);
	CHILD_CHECK(answer.ifr_mtu == mtu);
}

/* The source address that a packet to the world would leave with; false without a route. */
static bool has_default_route(void)
{
	struct sockaddr_in world = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHILD_CHECK(fd >= 0 && inet_pton(AF_INET, "198.51.100.1", &world.sin_addr) == 1);
	bool routed = connect(fd, (const struct sockaddr *)&world, sizeof(world)) == 0;
	close(fd);
	return routed;
}

static void child_configures(void)
{
	struct link_config config = config_of("10.9.8.2", 30, "10.9.8.1", 576);
	struct error err = { .text = "" };
	int fd = open_tap();

	CHILD_CHECK(!is_up("lo") && !is_up("vm0"));
	CHILD_CHECK(link_config_apply("vm0", &config, &err) == 0);
	check_link(576);
	CHILD_CHECK(has_address(SIOCGIFADDR, "10.9.8.2"));
	CHILD_CHECK(has_address(SIOCGIFNETMASK, "255.255.255.252"));
	CHILD_CHECK(has_address(SIOCGIFBRDADDR, "10.9.8.3"));
	CHILD_CHECK(has_default_route());
	close(fd);
	CHILD_CHECK(!has_default_route());
}

static void child_configures_large(void)
{
	struct link_config config = config_of("10.200.0.2", 8, "10.0.0.1", 65520);
	struct error err = { .text = "" };
	int fd = open_tap();

	CHILD_CHECK(link_config_apply("vm0", &config, &err) == 0);
	check_link(65520);
	CHILD_CHECK(has_address(SIOCGIFBRDADDR, "10.255.255.255"));
	CHILD_CHECK(has_default_route());
	close(fd);
}

static void child_leaves_it_to_dhcp(void)
{
	struct link_config config = config_of(NULL, 0, NULL, 1500);
	struct ifreq answer = about("vm0");
	struct error err = { .text = "" };
	int tap_fd = open_tap();

	CHILD_CHECK(link_config_apply("vm0", &config, &err) == 0);
	check_link(1500);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHILD_CHECK(ioctl(fd, SIOCGIFADDR, &answer) < 0 && errno == EADDRNOTAVAIL);
	CHILD_CHECK(!has_default_route());
	close(tap_fd);
}

static void child_fails(void)
{
	struct link_config config = config_of("10.9.8.2", 30, "10.9.8.1", 1500);
	struct error err = { .text = "" };

	CHILD_CHECK(link_config_apply("vm0", &config, &err) == -ENODEV);
	CHILD_CHECK(strstr(err.text, "cannot configure the interface vm0: "));
	int fd = open_tap();
	config.mtu = 100000;
	CHILD_CHECK(link_config_apply("vm0", &config, &err) == -EINVAL);
	CHILD_CHECK(strstr(err.text, "MAC address and MTU"));
	config.mtu = 1500;
	CHILD_CHECK(ip_addr_parse("192.0.2.1", &config.gateway));
	CHILD_CHECK(link_config_apply("vm0", &config, &err) == -ENETUNREACH);
	CHILD_CHECK(strstr(err.text, "default route"));
	close(fd);
}

/* Its own subnet, and no way out of it. */
static void child_has_no_router(void)
{
	struct link_config config = config_of("10.9.8.2", 30, "10.9.8.1", 1500);
	struct error err = { .text = "" };
	int fd = open_tap();

	config.gateway = (struct ip_addr){ .family = IP_FAMILY_NONE };
	CHILD_CHECK(link_config_apply("vm0", &config, &err) == 0);
	check_link(1500);
	CHILD_CHECK(has_address(SIOCGIFADDR, "10.9.8.2"));
	CHILD_CHECK(!has_default_route());
	close(fd);
}

/* The namespace of somebody else may have one. */
static void child_has_a_default_route(void)
{
	struct link_config first = config_of("10.9.8.2", 30, "10.9.8.1", 1500);
	struct link_config second = config_of("10.9.9.2", 30, "10.9.9.1", 1500);
	struct error err = { .text = "" };
	int fd = open_tap();
	int other_fd = -1;

	CHILD_CHECK(link_config_apply("vm0", &first, &err) == 0);
	CHILD_CHECK(tap_device_open("vm1", &other_fd, &err) == 0);
	CHILD_CHECK(link_config_apply("vm1", &second, &err) == -EEXIST);
	CHILD_CHECK(strstr(err.text, "has a default route already"));
	close(other_fd);
	close(fd);
}

static void test_configures(void **state)
{
	(void)state;
	test_in_new_namespaces(child_configures);
}

static void test_configures_large(void **state)
{
	(void)state;
	test_in_new_namespaces(child_configures_large);
}

static void test_leaves_it_to_dhcp(void **state)
{
	(void)state;
	test_in_new_namespaces(child_leaves_it_to_dhcp);
}

static void test_has_no_router(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_no_router);
}

static void test_fails(void **state)
{
	(void)state;
	test_in_new_namespaces(child_fails);
}

static void test_has_a_default_route(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_a_default_route);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configures),	    cmocka_unit_test(test_configures_large),
		cmocka_unit_test(test_leaves_it_to_dhcp),   cmocka_unit_test(test_fails),
		cmocka_unit_test(test_has_a_default_route), cmocka_unit_test(test_has_no_router),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
