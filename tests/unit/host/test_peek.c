#include "host_rig.h"

#include <sys/socket.h>

/* Whether the kernel takes the option at all, asked in another way than the room does. */
static bool kernel_takes_option(int domain)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	int offset = 0;
	bool taken = setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0;
	fd_close(fd);
	return taken;
}

static void test_probe(void **state)
{
	(void)state;
	assert_int_equal(host_real_can_peek(IP_FAMILY_V4), kernel_takes_option(AF_INET));
	assert_int_equal(host_real_can_peek(IP_FAMILY_V6), kernel_takes_option(AF_INET6));
	/* Cached: the same again. */
	assert_int_equal(host_real_can_peek(IP_FAMILY_V4), kernel_takes_option(AF_INET));
	assert_false(host_real_can_peek(IP_FAMILY_NONE));
}

static void test_forced_off(void **state)
{
	(void)state;
	bool before = host_real_can_peek(IP_FAMILY_V4);
	host_real_force_no_peek(true);
	assert_false(host_real_can_peek(IP_FAMILY_V4));
	assert_false(host_real_can_peek(IP_FAMILY_V6));
	host_real_force_no_peek(false);
	assert_int_equal(host_real_can_peek(IP_FAMILY_V4), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_forced_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
