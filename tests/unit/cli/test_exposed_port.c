#include "cli/exposed_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "vm/run_state.h"

static json_t *forward(const char *protocol, const char *address, int external, int internal)
{
	return json_pack("{ss ss si ss si}", "protocol", protocol, "externalAddress", address,
			 "externalPort", external, "internalAddress", "10.1.2.2", "internalPort",
			 internal);
}

static void test_which(void **state)
{
	json_t *forwards = json_array();
	struct vmnet_port_forward found;

	(void)state;
	assert_false(exposed_port_find(forwards, 22, &found));
	json_array_append_new(forwards, json_integer(22));
	json_array_append_new(forwards, forward("udp", "0.0.0.0", 1, 22));
	json_array_append_new(forwards, forward("tcp", "0.0.0.0", 22, 80));
	assert_false(exposed_port_find(forwards, 22, &found));
	json_array_append_new(forwards, forward("tcp", "::", 2, 22));
	json_array_append_new(forwards, forward("tcp", "::1", 3, 22));
	assert_true(exposed_port_find(forwards, 22, &found));
	assert_int_equal(found.external_port, 2);
	json_array_append_new(forwards, forward("tcp", "192.0.2.1", 4, 22));
	json_array_append_new(forwards, forward("tcp", "0.0.0.0", 5, 22));
	assert_true(exposed_port_find(forwards, 22, &found));
	assert_int_equal(found.external_port, 4);
	json_decref(forwards);
}

static void expect_connection(const char *listens_at, const char *says)
{
	const struct sockaddr_in loopback = { .sin_family = AF_INET };
	struct sockaddr_in address = loopback;
	socklen_t size = sizeof(address);
	struct run_state run = { .forwards = json_array() };
	struct error err = { .text = "" };

	assert_int_equal(inet_pton(AF_INET, listens_at, &address.sin_addr), 1);
	int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &size), 0);
	json_array_append_new(run.forwards, forward("tcp", says, ntohs(address.sin_port), 22));
	int fd = exposed_port_connect(&run, 22, &err);
	assert_true(fd >= 0);
	close(fd);
	close(listen_fd);
	assert_int_equal(exposed_port_connect(&run, 22, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "cannot connect by its exposed port (tcp "));
	json_decref(run.forwards);
}

static void test_connects(void **state)
{
	(void)state;
	expect_connection("127.0.0.1", "0.0.0.0");
	expect_connection("127.0.0.7", "127.0.0.7");
}

static void test_none(void **state)
{
	struct run_state run = { .forwards = json_array() };
	struct error err = { .text = "" };

	(void)state;
	assert_int_equal(exposed_port_connect(&run, 22, &err), -ENOENT);
	assert_non_null(strstr(err.text, "--net-softnet-expose 0:22"));
	json_decref(run.forwards);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
