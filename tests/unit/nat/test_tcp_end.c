#include "tcp_fixture.h"

static void guest_fin(struct fake_socket *fake)
{
	guest_send(TCP_ACK | TCP_FIN, fixture->sequence, fixture->acknowledgement, 500, NULL, 0);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, ++fixture->sequence);
	assert_true(fake->finished);
}

static void host_ends(struct fake_socket *fake)
{
	fake->down_ended = true;
	raise(fake, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(expect_segment(TCP_ACK | TCP_FIN)->header.sequence,
			 fixture->acknowledgement++);
}

static void guest_acknowledges(void)
{
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, NULL, 0);
	run();
}

static uint32_t time_wait_count(void)
{
	return tcp_table_of(fixture->nat)->time_wait_count;
}

/* The guest closes first: it is the one to wait, not we. */
static void guest_first(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	guest_fin(fake);
	host_gives(fake, "still", 5);
	assert_int_equal(expect_segment(TCP_ACK)->size, 5);
	fixture->acknowledgement += 5;
	guest_acknowledges();
	host_ends(fake);
	assert_false(fake->closed);
	guest_acknowledges();
	assert_true(fake->closed);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	assert_int_equal(time_wait_count(), 0);
	expect_nothing();
}

static void host_first(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_ends(fake);
	guest_acknowledges();
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, "more", 4);
	run();
	expect_segment(TCP_ACK);
	fixture->sequence += 4;
	assert_int_equal(fake->up_size, 4);
	guest_fin(fake);
	assert_true(fake->closed);
	assert_int_equal(tcp_flow_count(fixture->nat), 0); /* and its budget is back */
	assert_int_equal(fixture->nat->budget.used, 0);
	assert_int_equal(time_wait_count(), 1);
	/* Our last ACK was lost. */
	guest_send(TCP_ACK | TCP_FIN, fixture->sequence - 1, fixture->acknowledgement, 500, NULL,
		   0);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, fixture->sequence);
	advance_ms(59000);
	assert_int_equal(time_wait_count(), 1);
	advance_ms(2000);
	assert_int_equal(time_wait_count(), 0);
}

static void simultaneous_close(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_ends(fake);
	fixture->acknowledgement--; /* the FINs cross */
	guest_fin(fake);
	assert_false(fake->closed);
	fixture->acknowledgement++;
	guest_acknowledges();
	assert_true(fake->closed);
	assert_int_equal(time_wait_count(), 1);
}

/* A port that is used again within TIME_WAIT: a higher number is a new connection, and ours is
 * above all that was. */
static void port_reuse(void **state)
{
	struct fake_socket *fake = open_flow(500);
	uint32_t old_most;
	uint32_t ours;

	(void)state;
	host_ends(fake);
	guest_fin(fake);
	guest_acknowledges();
	assert_int_equal(time_wait_count(), 1);
	old_most = fixture->acknowledgement;
	guest_syn(GUEST_ISN - 5000); /* an old duplicate */
	expect_segment(TCP_ACK);
	assert_int_equal(fixture->socket_count, 1);
	guest_syn(fixture->sequence + 1);
	assert_int_equal(fixture->socket_count, 2);
	assert_int_equal(time_wait_count(), 0);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	ours = expect_segment(TCP_SYN | TCP_ACK)->header.sequence;
	assert_true(tcp_seq_after(ours, old_most));
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
}

static void reset_in_time_wait(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	host_ends(fake);
	guest_acknowledges();
	guest_fin(fake);
	guest_send(TCP_RST, fixture->sequence, 0, 0, NULL, 0);
	run();
	assert_int_equal(time_wait_count(), 0);
	expect_nothing();
}

/* After its FIN the guest resets: the number behind a FIN that is not acknowledged yet is exact. */
static void reset_behind_a_waiting_fin(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 0;
	guest_send(TCP_ACK | TCP_FIN, fixture->sequence, fixture->acknowledgement, 500, "abc", 3);
	run();
	guest_send(TCP_RST, fixture->sequence + 4, 0, 0, NULL, 0);
	assert_true(fake->reset);
	assert_int_equal(tcp_unsent_bytes(fixture->nat), 0); /* its own wish */
}

static void port_gone(void **state)
{
	struct fake_socket *open = open_flow(500);
	struct fake_socket *finished;
	struct fake_socket *owing;

	(void)state;
	fixture->guest.port++;
	finished = open_flow(500);
	guest_fin(finished);
	fixture->guest.port++;
	owing = open_flow(500);
	owing->up_limit = 10;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, "0123456789abcdef",
		   16);
	run();
	tcp_port_gone(fixture->nat, FIXTURE_PORT + 1);
	assert_int_equal(tcp_flow_count(fixture->nat), 3);
	tcp_port_gone(fixture->nat, FIXTURE_PORT);
	assert_true(open->reset);
	assert_true(finished->closed && !finished->reset);
	/* What the guest was told to be safe still goes to the host. */
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
	assert_false(tcp_is_drained(fixture->nat));
	owing->up_limit = 100;
	raise(owing, EPOLLOUT);
	assert_int_equal(owing->up_size, 16);
	assert_true(owing->closed && !owing->reset);
	assert_true(tcp_is_drained(fixture->nat));
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

static void debts_are_counted(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 10;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, "0123456789abcdef",
		   16);
	run();
	tcp_port_gone(fixture->nat, FIXTURE_PORT);
	advance_ms(4900);
	assert_false(fake->reset);
	advance_ms(200);
	assert_true(fake->reset);
	assert_int_equal(tcp_unsent_bytes(fixture->nat), 6);
	assert_int_equal(drops(DROP_UNSENT_BYTES), 6);
}

static void drain(void **state)
{
	struct fake_socket *fake = open_flow(500);

	(void)state;
	fake->up_limit = 10;
	guest_send(TCP_ACK, fixture->sequence, fixture->acknowledgement, 500, "0123456789abcdef",
		   16);
	run();
	fixture->guest.port++;
	guest_syn(1); /* half open */
	nat_drain(fixture->nat);
	assert_true(last_socket()->reset);
	assert_false(nat_is_drained(fixture->nat));
	forget_segments();
	fixture->guest.port++;
	guest_syn(1);
	expect_segment(TCP_RST | TCP_ACK);
	fixture->guest.port -= 2;
	guest_send(TCP_ACK, fixture->sequence + 16, fixture->acknowledgement, 500, "more", 4);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, fixture->sequence + 16);
	fake->up_limit = 100;
	raise(fake, EPOLLOUT);
	assert_int_equal(fake->up_size, 16);
	assert_true(nat_is_drained(fixture->nat));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(guest_first),
		TEST_BOTH(host_first),
		TEST_BOTH(simultaneous_close),
		TEST_KEPT(port_reuse),
		TEST_KEPT(reset_in_time_wait),
		TEST_KEPT(reset_behind_a_waiting_fin),
		TEST_BOTH(port_gone),
		TEST_KEPT(debts_are_counted),
		TEST_KEPT(drain),
	};

	return cmocka_run_group_tests_name("tcp_end", tests, NULL, NULL);
}
