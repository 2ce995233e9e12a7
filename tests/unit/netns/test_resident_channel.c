#include "netns_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "netns/resident_channel.h"

static int ends[2];

static int set_up(void **state)
{
	(void)state;
	return resident_channel_open(ends);
}

static int tear_down(void **state)
{
	(void)state;
	ends[0] = fd_close(ends[0]);
	ends[1] = fd_close(ends[1]);
	return 0;
}

static void test_message(void **state)
{
	uint64_t sent = 0x0123456789abcdef;
	uint64_t received = 0;
	uint32_t other = 7;

	(void)state;
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
	assert_int_equal(resident_channel_send(ends[0], &sent, sizeof(sent)), 0);
	assert_int_equal(resident_channel_receive(ends[1], &received, sizeof(received)), 0);
	assert_true(received == sent);
	/* Of another size than expected: too short, too long. */
	assert_int_equal(resident_channel_send(ends[0], &sent, 3), 0);
	assert_int_equal(resident_channel_receive(ends[1], &other, sizeof(other)), -EPROTO);
	assert_int_equal(resident_channel_send(ends[0], &sent, sizeof(sent)), 0);
	assert_int_equal(resident_channel_receive(ends[1], &other, sizeof(other)), -EPROTO);
}

static void test_report_with_descriptor(void **state)
{
	struct resident_report sent = { .status = -EXDEV, .error = { "why" } };
	struct resident_report received = { .fd = 99 };
	int pipe_fds[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	sent.fd = pipe_fds[1];
	assert_int_equal(resident_channel_send_report(ends[0], &sent), 0);
	assert_int_equal(fcntl(pipe_fds[1], F_GETFD), 0); /* still the sender's */
	close(pipe_fds[1]);
	assert_int_equal(resident_channel_receive_report(ends[1], &received), 0);
	assert_int_equal(received.status, -EXDEV);
	assert_string_equal(received.error.text, "why");
	assert_int_equal(fcntl(received.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(received.fd, "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(received.fd);
	close(pipe_fds[0]);
}

static void test_report_without_descriptor(void **state)
{
	struct resident_report sent = { .fd = -1 };
	struct resident_report received = { .fd = 99 };

	(void)state;
	assert_int_equal(resident_channel_send_report(ends[0], &sent), 0);
	assert_int_equal(resident_channel_receive_report(ends[1], &received), 0);
	assert_int_equal(received.fd, -1);
	assert_int_equal(received.status, 0);
}

static void test_other_end_is_gone(void **state)
{
	struct resident_report report = { .fd = -1 };
	char byte = 0;

	(void)state;
	ends[0] = fd_close(ends[0]);
	assert_int_equal(resident_channel_receive(ends[1], &byte, 1), -EPIPE);
	assert_int_equal(resident_channel_receive_report(ends[1], &report), -EPIPE);
	/* And not by a signal. */
	assert_int_equal(resident_channel_send(ends[1], &byte, 1), -EPIPE);
	assert_int_equal(resident_channel_send_report(ends[1], &report), -EPIPE);
}

/* It died before it read what we sent. */
static void test_reset(void **state)
{
	char byte = 0;

	(void)state;
	assert_int_equal(resident_channel_send(ends[1], &byte, 1), 0);
	ends[0] = fd_close(ends[0]);
	assert_int_equal(resident_channel_receive(ends[1], &byte, 1), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_report_with_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_report_without_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_end_is_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
