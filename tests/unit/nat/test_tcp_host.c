#include "tcp_fixture.h"

static void error_without_bytes(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->down_error = -ECONNRESET;
	raise(fake, EPOLLERR | EPOLLHUP);
	expect_segment(TCP_RST | TCP_ACK);
	expect_nothing();
	assert_true(fake->reset);
}

/* An error after both ends were told: the guest still gets all that was sent before. */
static void error_after_both_ends(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	guest_send(TCP_ACK | TCP_FIN, fixture->sequence, fixture->acknowledgement, 500, NULL, 0);
	run();
	expect_segment(TCP_ACK);
	fake->down_ended = true;
	host_gives(fake, "abc", 3);
	assert_int_equal(expect_segment(TCP_ACK)->size, 3);
	expect_segment(TCP_ACK | TCP_FIN);
	raise(fake, EPOLLERR | EPOLLHUP | EPOLLIN);
	expect_nothing();
	guest_send(TCP_ACK, fixture->sequence + 1, fixture->acknowledgement + 4, 500, NULL, 0);
	run();
	assert_true(fake->closed && !fake->reset);
}

/* An error behind a closed window: what the window lets through, then RST, not a wait. */
static void error_behind_a_closed_window(void **state)
{
	struct fake_socket *fake = open_flow(0);

	(void)state;
	host_gives(fake, "abc", 3);
	expect_nothing();
	fake->down_error = -ECONNRESET;
	raise(fake, EPOLLERR | EPOLLHUP | EPOLLIN);
	expect_segment(TCP_RST | TCP_ACK);
	expect_nothing();
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

static void error_before_the_guest_answers(void **state)
{
	(void)state;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	expect_segment(TCP_SYN | TCP_ACK);
	raise(last_socket(), EPOLLERR | EPOLLHUP);
	expect_segment(TCP_RST | TCP_ACK);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* A banner that comes before the guest's ACK waits for it. */
static void banner(void **state)
{
	uint32_t ours;

	(void)state;
	guest_syn(GUEST_ISN);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	ours = expect_segment(TCP_SYN | TCP_ACK)->header.sequence;
	host_gives(last_socket(), "220 hello", 9);
	expect_nothing();
	guest_send(TCP_ACK, GUEST_ISN + 1, ours + 1, 500, NULL, 0);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->size, 9);
}

static void orphan_errors(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 2;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, "abcdef", 6);
	run();
	tcp_port_gone(fixture->nat, FIXTURE_PORT);
	raise(fake, EPOLLIN); /* nobody to give it to */
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	fake->socket->ready(fake->socket, EPOLLERR | EPOLLHUP);
	assert_true(fake->reset);
	assert_int_equal(tcp_unsent_bytes(fixture->nat), 4);
}

/* Before an urgent byte a read stops short, and nothing is announced of what is behind it. */
static void bytes_behind_urgent_ones(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->down_mark = 3;
	raise(fake, EPOLLPRI);
	host_gives(fake, "abcdefg", 7);
	assert_int_equal(expect_segment(TCP_ACK)->size, 3);
	assert_int_equal(expect_segment(TCP_ACK)->size, 4);
	expect_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(error_without_bytes),
		TEST_BOTH(error_after_both_ends),
		TEST_BOTH(error_behind_a_closed_window),
		TEST_KEPT(error_before_the_guest_answers),
		TEST_BOTH(banner),
		TEST_BOTH(orphan_errors),
		TEST_BOTH(bytes_behind_urgent_ones),
	};

	return cmocka_run_group_tests_name("tcp_host", tests, NULL, NULL);
}
