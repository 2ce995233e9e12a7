#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "netns/tap_device.h"

static void test_names(void **state)
{
	static const char *const good[] = { "eth0", "a", "123456789012345", "veth-1.5@x", "all0" };
	static const char *const bad[] = {
		"",    ".",  "..",  "a/b",  "a b",	"a:b",	   "x%d",
		"all", "\t", "a\n", "\x7f", "\xc3\xa4", "default", "1234567890123456",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(tap_device_check_name(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(tap_device_check_name(bad[i], &err), -EINVAL);
		assert_non_null(strstr(err.text, "invalid interface name"));
	}
}

/* Where the device is not for us, there is nothing more to try. */
static int open_or_end(const char *name)
{
	struct error err = { .text = "" };
	int fd = -1;

	int r = tap_device_open(name, &fd, &err);
	if (r == -EACCES || r == -EPERM || r == -ENOENT) {
		CHILD_CHECK(strstr(err.text, "/dev/net/tun"));
		_exit(CHILD_SKIP);
	}
	CHILD_CHECK(r == 0);
	return fd;
}

static void child_opens(void)
{
	struct ifreq request = { .ifr_name = "" };
	struct error err = { .text = "" };
	int other = -1;
	int fd = open_or_end("vm0");

	CHILD_CHECK(if_nametoindex("vm0") != 0);
	CHILD_CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHILD_CHECK(ioctl(fd, TUNGETIFF, &request) == 0);
	unsigned flags = (unsigned short)request.ifr_flags;
	CHILD_CHECK((flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) ==
		    (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
	CHILD_CHECK(!(flags & IFF_PERSIST));

	/* Neither a TAP that is there nor another kind of interface is taken over. */
	CHILD_CHECK(tap_device_open("vm0", &other, &err) == -EBUSY);
	CHILD_CHECK(strstr(err.text, "there is an interface vm0 already"));
	CHILD_CHECK(tap_device_open("lo", &other, &err) == -EBUSY);
	CHILD_CHECK(tap_device_open("a/b", &other, &err) == -EINVAL);
	CHILD_CHECK(other == -1);
	CHILD_CHECK(close(fd) == 0);
	CHILD_CHECK(if_nametoindex("vm0") == 0);

	/* One that somebody left for others to use is not ours either. */
	fd = open_or_end("vm0");
	CHILD_CHECK(ioctl(fd, TUNSETPERSIST, 1) == 0);
	CHILD_CHECK(close(fd) == 0);
	CHILD_CHECK(tap_device_open("vm0", &other, &err) == -EBUSY);
}

static void test_open(void **state)
{
	(void)state;
	test_in_new_namespaces(child_opens);
}

static void child_has_no_device(void)
{
	struct error err = { .text = "" };
	int fd = -1;

	if (access("/dev/net", F_OK) == 0)
		CHILD_CHECK(mount("tmpfs", "/dev/net", "tmpfs", 0, NULL) == 0);
	CHILD_CHECK(tap_device_open("vm0", &fd, &err) == -ENOENT);
	CHILD_CHECK(strstr(err.text, "/dev/net/tun is missing"));
}

static void test_no_device(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_no_device);
}

/* Something else is there under that name. */
static void child_has_another_file(void)
{
	struct error err = { .text = "" };
	int fd = -1;

	if (access("/dev/net/tun", F_OK) < 0)
		_exit(CHILD_SKIP);
	CHILD_CHECK(mount("/dev/null", "/dev/net/tun", NULL, MS_BIND, NULL) == 0);
	CHILD_CHECK(tap_device_open("vm0", &fd, &err) == -ENOTTY);
	CHILD_CHECK(strstr(err.text, "is not the device"));
}

static void test_another_file(void **state)
{
	(void)state;
	test_in_new_namespaces(child_has_another_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_another_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
