#include "tcp_fixture.h"

/* Connect first, then answer. */
static void guest_opens(void **state)
{
	struct seen_segment *seen;
	struct fake_socket *fake;

	(void)state;
	guest_syn(GUEST_ISN);
	expect_nothing();
	fake = last_socket();
	assert_true(ip_endpoint_equal(&fake->to, &fixture->remote));
	guest_syn(GUEST_ISN); /* repeated while the host connects */
	assert_int_equal(fixture->socket_count, 1);
	expect_nothing();
	raise(fake, EPOLLOUT); /* not decided yet after all */
	expect_nothing();
	fake->connect_result = 0;
	raise(fake, EPOLLOUT);
	seen = expect_segment(TCP_SYN | TCP_ACK);
	assert_int_equal(seen->header.acknowledgement, GUEST_ISN + 1);
	assert_int_equal(seen->header.window, 65535);
	assert_true(seen->header.has_mss && seen->header.mss == 1460);
	assert_true(seen->header.has_window_scale && !seen->header.has_timestamps);
	assert_false(seen->header.sack_permitted);
	assert_true(ip_endpoint_equal(&seen->from, &fixture->remote));
	assert_true(ip_endpoint_equal(&seen->to, &fixture->guest));
	guest_syn(GUEST_ISN); /* the answer was lost */
	assert_int_equal(expect_segment(TCP_SYN | TCP_ACK)->header.sequence, seen->header.sequence);
	guest_send(TCP_ACK, GUEST_ISN + 1, seen->header.sequence + 1, 500, "hello", 5);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.acknowledgement, GUEST_ISN + 6);
	assert_int_equal(fake->up_size, 5);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
}

static void no_scale_offered(void **state)
{
	struct tcp_header syn = { .sequence = 5, .flags = TCP_SYN, .window = 1000 };
	struct seen_segment *seen;

	(void)state;
	guest_push(&syn, NULL, 0, false);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	seen = expect_segment(TCP_SYN | TCP_ACK);
	assert_false(seen->header.has_window_scale);
	guest_send(TCP_ACK, 6, seen->header.sequence + 1, 1000, "x", 1);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.window, 65534);
}

/* The guest began anew while the host connects: the same connect serves it. */
static void new_number_while_connecting(void **state)
{
	(void)state;
	guest_syn(GUEST_ISN);
	guest_syn(GUEST_ISN + 77777);
	assert_int_equal(fixture->socket_count, 1);
	last_socket()->connect_result = 0;
	raise(last_socket(), EPOLLOUT);
	assert_int_equal(expect_segment(TCP_SYN | TCP_ACK)->header.acknowledgement,
			 GUEST_ISN + 77778);
}

static void connect_fails(void **state)
{
	static const struct {
		int rc;
		bool is_reset;
		int icmp_code; /* -1: none */
		enum drop_reason reason;
	} cases[] = {
		{ -ECONNREFUSED, true, -1, DROP_REASON_COUNT },
		{ -ENETUNREACH, false, ICMP_CODE_NET_UNREACHABLE, DROP_REASON_COUNT },
		{ -EHOSTUNREACH, false, ICMP_CODE_HOST_UNREACHABLE, DROP_REASON_COUNT },
		{ -EACCES, false, ICMP_CODE_ADMIN_PROHIBITED, DROP_REASON_COUNT },
		{ -ETIMEDOUT, false, -1, DROP_REASON_COUNT },
		{ -EMFILE, false, -1, DROP_SOCKET_LIMIT },
		{ -EADDRNOTAVAIL, false, -1, DROP_SOCKET_LIMIT },
		{ -EINVAL, false, -1, DROP_SOCKET_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_COUNT(cases); i++) {
		size_t n = i / 2;
		uint64_t before = cases[n].reason < DROP_REASON_COUNT ? drops(cases[n].reason) : 0;
		struct seen_segment *seen;

		forget_segments();
		fixture->connect_error = i % 2 ? cases[n].rc : 0; /* at once, or later */
		guest_syn(GUEST_ISN);
		if (!fixture->connect_error) {
			last_socket()->connect_result = cases[n].rc;
			raise(last_socket(), EPOLLERR | EPOLLHUP);
			assert_true(last_socket()->reset);
		}
		seen = next_segment();
		if (cases[n].is_reset) {
			assert_non_null(seen);
			assert_int_equal(seen->header.flags, TCP_RST | TCP_ACK);
			assert_int_equal(seen->header.acknowledgement, GUEST_ISN + 1);
			assert_int_equal(seen->header.sequence, 0);
		} else if (cases[n].icmp_code >= 0) {
			assert_non_null(seen);
			assert_true(seen->is_icmp);
			assert_int_equal(seen->icmp_type, ICMP_TYPE_UNREACHABLE);
			assert_int_equal(seen->icmp_code, cases[n].icmp_code);
		} else {
			assert_null(seen);
		}
		if (cases[n].reason < DROP_REASON_COUNT)
			assert_int_equal(drops(cases[n].reason), before + 1);
		expect_nothing();
		assert_int_equal(tcp_flow_count(fixture->nat), 0);
	}
}

static void forbidden_destination(void **state)
{
	(void)state;
	fixture->remote.addr = ip_addr_from_v4(0xa9fea9fe);
	guest_syn(GUEST_ISN);
	assert_int_equal(expect_segment(TCP_RST | TCP_ACK)->header.acknowledgement, GUEST_ISN + 1);
	fixture->remote.addr = ip_addr_from_v4(0xe0000001);
	guest_syn(GUEST_ISN);
	expect_nothing(); /* no answer in the name of a group */
	assert_int_equal(drops(DROP_FORBIDDEN_DESTINATION), 2);
	assert_int_equal(fixture->socket_count, 0);
}

static void gateway_answers_at(uint16_t port)
{
	struct seen_segment *seen;

	fixture->remote = (struct ip_endpoint){ ip_addr_from_v4(0x0a000001), port };
	guest_syn(GUEST_ISN);
	seen = expect_segment(TCP_SYN | TCP_ACK);
	guest_send(TCP_ACK, GUEST_ISN + 1, seen->header.sequence + 1, 500, "q", 1);
	run();
	expect_segment(TCP_ACK);
	host_gives(last_socket(), "answer", 6);
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->size, 6);
}

static void gateway_dns(void **state)
{
	(void)state;
	gateway_answers_at(53);
}

static void gateway_documents(void **state)
{
	(void)state;
	gateway_answers_at(80);
}

/* Port 80 of any other address is the world's. */
static void documents_are_at_the_gateway_alone(void **state)
{
	(void)state;
	fixture->remote = (struct ip_endpoint){ ip_addr_from_v4(0xc6336407), 80 };
	guest_syn(GUEST_ISN);
	expect_nothing();
	assert_int_equal(fixture->socket_count, 1); /* being connected */
}

static void mss_is_clamped(void **state)
{
	static const struct {
		bool has_mss;
		uint16_t offered;
		size_t expected;
	} cases[] = {
		{ false, 0, 536 },  { true, 0, 536 },	   { true, 1, 64 },
		{ true, 700, 700 }, { true, 65535, 1460 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_header syn = {
			.sequence = 5,
			.flags = TCP_SYN,
			.window = 65535,
			.has_mss = cases[i].has_mss,
			.mss = cases[i].offered,
		};
		uint8_t bytes[3000] = { 0 };
		struct seen_segment *seen;

		fixture->guest.port++;
		guest_push(&syn, NULL, 0, false);
		last_socket()->connect_result = 0;
		raise(last_socket(), EPOLLOUT);
		seen = expect_segment(TCP_SYN | TCP_ACK);
		guest_send(TCP_ACK, 6, seen->header.sequence + 1, 65535, NULL, 0);
		host_gives(last_socket(), bytes, sizeof(bytes));
		seen = expect_segment(TCP_ACK);
		assert_int_equal(seen->gso_size, cases[i].expected);
		forget_segments();
	}
}

/* A forward's client waits. */
static int accept_client(uint32_t addr, uint16_t port)
{
	fixture->waiting[fixture->waiting_count++] =
		(struct ip_endpoint){ ip_addr_from_v4(addr), port };
	int rc = tcp_accept_to_guest(fixture->nat, &fixture->listener, &fixture->guest);

	run();
	return rc;
}

static void forward_to_open_port(void **state)
{
	struct tcp_header answer = {
		.sequence = 900,
		.flags = TCP_SYN | TCP_ACK,
		.window = 8000,
		.has_mss = true,
		.mss = 1460,
	};
	struct seen_segment *seen;

	(void)state;
	assert_int_equal(tcp_accept_to_guest(fixture->nat, &fixture->listener, &fixture->guest),
			 -EAGAIN);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	fixture->guest.port = 22;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	seen = expect_segment(TCP_SYN);
	assert_int_equal(ip_addr_to_v4(&seen->from.addr), 0xc6336407);
	assert_int_equal(seen->from.port, 5000);
	assert_true(seen->header.has_window_scale && seen->header.has_mss);
	fixture->remote = seen->from;
	host_gives(last_socket(), "early", 5);
	expect_nothing();
	answer.acknowledgement = seen->header.sequence + 1;
	guest_push(&answer, NULL, 0, false);
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->header.acknowledgement, 901);
	run();
	seen = expect_segment(TCP_ACK);
	assert_int_equal(seen->size, 5);
	assert_int_equal(fixture->nat->budget.port_used[FIXTURE_PORT], 1);
	/* No scale came back, so none is used. */
	guest_send(TCP_ACK, 901, seen->header.sequence + 5, 8000, "reply", 5);
	run();
	assert_int_equal(expect_segment(TCP_ACK)->header.window, 65530);
	assert_int_equal(last_socket()->up_size, 5);
}

static void forward_refused(void **state)
{
	struct seen_segment *seen;

	(void)state;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	seen = expect_segment(TCP_SYN);
	fixture->remote = seen->from;
	guest_send(TCP_RST, 0, 0, 0, NULL, 0); /* without ACK: not about our SYN */
	guest_send(TCP_RST | TCP_ACK, 0, seen->header.sequence + 2, 0, NULL, 0);
	assert_false(last_socket()->reset);
	guest_send(TCP_RST | TCP_ACK, 0, seen->header.sequence + 1, 0, NULL, 0);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* Held for 3 s, then reset. */
static void forward_guest_down(void **state)
{
	unsigned count = 1;

	(void)state;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	expect_segment(TCP_SYN);
	advance_ms(260);
	expect_segment(TCP_SYN);
	advance_ms(510);
	expect_segment(TCP_SYN);
	advance_ms(2200);
	while (next_segment())
		count++;
	assert_int_equal(count, 3);
	assert_false(last_socket()->reset);
	advance_ms(60);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

static void forward_wrong_ack(void **state)
{
	struct seen_segment *seen;

	(void)state;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	seen = expect_segment(TCP_SYN);
	fixture->remote = seen->from;
	guest_send(TCP_SYN | TCP_ACK, 900, seen->header.sequence + 9, 8000, NULL, 0);
	assert_int_equal(expect_segment(TCP_RST)->header.sequence, seen->header.sequence + 9);
	assert_int_equal(tcp_flow_count(fixture->nat), 1);
}

static void simultaneous_open(void **state)
{
	struct seen_segment *seen;
	uint32_t ours;

	(void)state;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	seen = expect_segment(TCP_SYN);
	ours = seen->header.sequence;
	fixture->remote = seen->from;
	guest_syn(900);
	seen = expect_segment(TCP_SYN | TCP_ACK);
	assert_int_equal(seen->header.sequence, ours);
	assert_int_equal(seen->header.acknowledgement, 901);
	guest_send(TCP_SYN | TCP_ACK, 900, ours + 1, 8000, NULL, 0);
	host_gives(last_socket(), "hi", 2);
	assert_int_equal(expect_segment(TCP_ACK)->size, 2);
}

/* Two clients that the guest would see alike get different ports. */
static void client_ports_collide(void **state)
{
	struct seen_segment *first;
	struct seen_segment *second;

	(void)state;
	assert_int_equal(accept_client(0x7f000001, 5000), 0);
	first = expect_segment(TCP_SYN);
	assert_int_equal(ip_addr_to_v4(&first->from.addr), 0x0a000001);
	assert_int_equal(first->from.port, 5000);
	assert_int_equal(accept_client(0x7f000001, 5000), 0);
	second = expect_segment(TCP_SYN);
	assert_int_not_equal(second->from.port, 5000);
	assert_true(second->from.port >= 49152);
}

/* RFC 6528: at one moment each connection begins somewhere else, so that who sees one cannot guess
 * another. */
static void first_numbers_are_not_guessed(void **state)
{
	uint32_t numbers[16];

	(void)state;
	for (uint16_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		assert_int_equal(accept_client(0xc6336407, (uint16_t)(5000 + i)), 0);
		numbers[i] = expect_segment(TCP_SYN)->header.sequence;
		for (uint16_t j = 0; j < i; j++) {
			uint32_t apart = numbers[i] - numbers[j];

			assert_true(apart > 65536 && apart < UINT32_MAX - 65536);
		}
	}
}

static void client_resets_early(void **state)
{
	(void)state;
	assert_int_equal(accept_client(0xc6336407, 5000), 0);
	expect_segment(TCP_SYN);
	raise(last_socket(), EPOLLIN | EPOLLERR | EPOLLHUP);
	expect_segment(TCP_RST);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

struct asked {
	struct nat_opening opening;
	int calls;
	int status;
};

static void note_decision(struct nat_opening *opening, int status)
{
	struct asked *asked = container_of(opening, struct asked, opening);

	asked->calls++;
	asked->status = status;
}

static int connect_guest(struct asked *asked, int port)
{
	*asked = (struct asked){ .opening.decided = note_decision };
	int rc = nat_connect(fixture->nat, &fixture->guest, port, &asked->opening);

	run();
	return rc;
}

/* The guest sees the gateway, and who asked hears of it once the guest has answered. */
static void own_connection_accepted(void **state)
{
	struct tcp_header answer = { .sequence = 900, .flags = TCP_SYN | TCP_ACK, .window = 8000 };
	struct seen_segment *seen;
	struct asked asked;

	(void)state;
	assert_int_equal(connect_guest(&asked, 5000), 0);
	seen = expect_segment(TCP_SYN);
	assert_int_equal(ip_addr_to_v4(&seen->from.addr), 0x0a000001);
	assert_int_equal(seen->from.port, 5000);
	assert_int_equal(asked.calls, 0);
	fixture->remote = seen->from;
	answer.acknowledgement = seen->header.sequence + 1;
	guest_push(&answer, NULL, 0, false);
	run();
	expect_segment(TCP_ACK);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.status, 0);
	host_gives(last_socket(), "hello", 5);
	assert_int_equal(expect_segment(TCP_ACK)->size, 5);
	/* What becomes of it later is not an answer any more. */
	guest_send(TCP_RST, 901, 0, 0, NULL, 0);
	assert_true(last_socket()->reset);
	assert_int_equal(asked.calls, 1);
}

/* However the network ends, that is no end of what the guest says. */
static void own_connection_is_cut_off(void **state)
{
	struct tcp_header answer = { .sequence = 900, .flags = TCP_SYN | TCP_ACK, .window = 8000 };
	struct seen_segment *seen;
	struct asked asked;

	(void)state;
	assert_int_equal(connect_guest(&asked, 5000), 0);
	seen = expect_segment(TCP_SYN);
	fixture->remote = seen->from;
	answer.acknowledgement = seen->header.sequence + 1;
	guest_push(&answer, NULL, 0, false);
	assert_int_equal(asked.calls, 1);
	nat_drain(fixture->nat);
	fixture->nat = nat_free(fixture->nat);
	assert_true(last_socket()->reset);
	assert_int_equal(asked.calls, 1);
}

static void own_connection_refused(void **state)
{
	struct seen_segment *seen;
	struct asked asked;

	(void)state;
	assert_int_equal(connect_guest(&asked, 5000), 0);
	seen = expect_segment(TCP_SYN);
	fixture->remote = seen->from;
	guest_send(TCP_RST | TCP_ACK, 0, seen->header.sequence + 1, 0, NULL, 0);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.status, -ECONNREFUSED);
	assert_true(last_socket()->reset);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
}

/* Both ask at once, then the guest thinks better of it, or is not heard again. */
static void own_connection_half_way(void **state)
{
	struct seen_segment *seen;
	struct asked asked;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(connect_guest(&asked, 5000 + i), 0);
		seen = expect_segment(TCP_SYN);
		fixture->remote = seen->from;
		guest_syn(900);
		expect_segment(TCP_SYN | TCP_ACK);
		assert_int_equal(asked.calls, 0);
		if (i == 0)
			guest_send(TCP_RST, 901, 0, 0, NULL, 0);
		else
			advance_ms(200000);
		assert_int_equal(asked.calls, 1);
		assert_int_equal(asked.status, i == 0 ? -ECONNREFUSED : -ETIMEDOUT);
		assert_int_equal(tcp_flow_count(fixture->nat), 0);
		forget_segments();
	}
}

static void own_connection_unanswered(void **state)
{
	struct asked asked;

	(void)state;
	assert_int_equal(connect_guest(&asked, 5000), 0);
	advance_ms(2900);
	assert_int_equal(asked.calls, 0);
	advance_ms(200);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.status, -ETIMEDOUT);
	assert_true(last_socket()->reset);
}

static void own_connection_when_the_network_ends(void **state)
{
	struct asked asked;
	struct asked late;

	(void)state;
	assert_int_equal(connect_guest(&asked, 5000), 0);
	nat_drain(fixture->nat);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.status, -ECONNABORTED);
	assert_int_equal(connect_guest(&late, 5001), -ESHUTDOWN);
	assert_int_equal(late.calls, 0);
	assert_true(last_socket()->reset); /* the pair's inner end is not left over */
}

static void own_connection_without_a_socket(void **state)
{
	struct asked asked;

	(void)state;
	fixture->take_error = -ENOMEM;
	assert_int_equal(connect_guest(&asked, 5000), -ENOMEM);
	assert_int_equal(asked.calls, 0);
	assert_int_equal(tcp_flow_count(fixture->nat), 0);
	expect_nothing();
}

static void own_connection_without_a_flow(void **state)
{
	struct asked asked[64];
	size_t made = 0;

	(void)state;
	while (made < ARRAY_COUNT(asked) && connect_guest(&asked[made], 5000 + (int)made) == 0)
		made++;
	assert_true(made > 0 && made < ARRAY_COUNT(asked));
	assert_int_equal(connect_guest(&asked[made], 6000), -ENOSPC);
	assert_true(last_socket()->reset);
	assert_int_equal(asked[made].calls, 0);
	fixture->nat = nat_free(fixture->nat);
	for (size_t i = 0; i < made; i++) {
		assert_int_equal(asked[i].calls, 1);
		assert_int_equal(asked[i].status, -ECONNABORTED);
	}
}

static int few_flows(void **state)
{
	(void)state;
	fixture_new((struct fixture_options){ .flow_capacity = 8 });
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(guest_opens),
		TEST_KEPT(no_scale_offered),
		TEST_KEPT(new_number_while_connecting),
		TEST_KEPT(connect_fails),
		TEST_KEPT(forbidden_destination),
		TEST_BOTH(gateway_dns),
		TEST_BOTH(gateway_documents),
		TEST_BOTH(documents_are_at_the_gateway_alone),
		TEST_BOTH(mss_is_clamped),
		TEST_BOTH(forward_to_open_port),
		TEST_KEPT(forward_refused),
		TEST_KEPT(forward_guest_down),
		TEST_KEPT(forward_wrong_ack),
		TEST_KEPT(simultaneous_open),
		TEST_KEPT(client_ports_collide),
		TEST_KEPT(first_numbers_are_not_guessed),
		TEST_KEPT(client_resets_early),
		TEST_BOTH(own_connection_accepted),
		TEST_KEPT(own_connection_is_cut_off),
		TEST_KEPT(own_connection_refused),
		TEST_KEPT(own_connection_half_way),
		TEST_KEPT(own_connection_unanswered),
		TEST_KEPT(own_connection_when_the_network_ends),
		TEST_KEPT(own_connection_without_a_socket),
		cmocka_unit_test_setup_teardown(own_connection_without_a_flow, few_flows, teardown),
	};

	return cmocka_run_group_tests_name("tcp_open", tests, NULL, NULL);
}
