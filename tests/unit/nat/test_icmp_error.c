/* The rate of errors, and who they come from. */
#include "world.h"

#include "nat/icmp_error.h"

static unsigned refused(unsigned count)
{
	unsigned before = world->heard_count;

	for (unsigned i = 0; i < count; i++)
		guest_udp(at(GUEST, 5000), at(HOST_LAN, 7), "x");
	return world->heard_count - before;
}

/* RFC 1812 4.3.2.8. */
static void rate_is_limited(void **state)
{
	(void)state;
	assert_int_equal(refused(200), ICMP_ERRORS_BURST);
	assert_int_equal(world_drops(DROP_ICMP_LIMIT), 200 - ICMP_ERRORS_BURST);
	world->now_ns += NS_PER_S / ICMP_ERRORS_PER_S - 1;
	world_run();
	assert_int_equal(refused(5), 0);
	world->now_ns += 1;
	world_run();
	assert_int_equal(refused(5), 1);
	world->now_ns += 100 * NS_PER_MS;
	world_run();
	assert_int_equal(refused(50), 100 * ICMP_ERRORS_PER_S / 1000);
	/* A long rest fills the bucket, and no more. */
	world_pass(3600 * NS_PER_S);
	assert_int_equal(refused(200), ICMP_ERRORS_BURST);
}

static void rate_over_time(void **state)
{
	unsigned total = 0;

	(void)state;
	(void)refused(ICMP_ERRORS_BURST);
	for (int i = 0; i < 700; i++) {
		world->now_ns += 7 * NS_PER_MS;
		world_run();
		total += refused(3);
	}
	/* 4.9 s */
	assert_in_range(total, 489, 491);
}

/* One port's flood is not another's silence. */
static void rate_of_another_port(void **state)
{
	const struct world_shape shape = { .bridge_port = WORLD_PORT + 1, .size = 1 };

	(void)state;
	(void)refused(200);
	unsigned before = world->heard_count;
	for (unsigned i = 0; i < ICMP_ERRORS_BURST; i++)
		guest_udp_shaped(at(GUEST_B, 5000), at(HOST_LAN, 7), shape);
	assert_int_equal(world->heard_count - before, ICMP_ERRORS_BURST);
}

/* One answer of the host to every protocol: a word for the guest, and a counter. */
static void what_the_host_does_not_take(void **state)
{
	static const struct {
		int error;
		int code; /* -1 = nothing is said */
		enum drop_reason reason;
	} rows[] = {
		{ EAGAIN, -1, DROP_SOCKET_FULL },
		{ ENOBUFS, -1, DROP_SOCKET_FULL },
		{ ENETUNREACH, ICMP_CODE_NET_UNREACHABLE, DROP_SOCKET_ERROR },
		{ ENETDOWN, ICMP_CODE_NET_UNREACHABLE, DROP_SOCKET_ERROR },
		{ EHOSTUNREACH, ICMP_CODE_HOST_UNREACHABLE, DROP_SOCKET_ERROR },
		{ EHOSTDOWN, ICMP_CODE_HOST_UNREACHABLE, DROP_SOCKET_ERROR },
		{ EACCES, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ EPERM, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ EMSGSIZE, -1, DROP_SOCKET_ERROR },
		{ EINVAL, -1, DROP_SOCKET_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (unsigned is_echo = 0; is_echo < 2; is_echo++) {
			uint64_t before = world_drops(rows[i].reason);

			world->send_error = -rows[i].error;
			if (is_echo)
				guest_echo(GUEST, REMOTE, 7, 1);
			else
				guest_udp(at(GUEST, 5000), at(REMOTE, 7), "x");
			if (rows[i].code >= 0)
				(void)expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE,
						   (uint8_t)rows[i].code, REMOTE);
			expect_silence();
			assert_int_equal(world_drops(rows[i].reason), before + 1);
		}
	}
}

static void origins(void **state)
{
	static const struct {
		const char *origin;
		uint32_t seen;
	} rows[] = {
		{ "203.0.113.1", ROUTER },	 /* a router */
		{ "203.0.113.5", GATEWAY + 99 }, /* who was asked, under the name the guest uses */
		{ "198.51.100.1", GATEWAY },	 { "127.0.0.1", GATEWAY },
		{ "10.0.0.7", GATEWAY },	 { "2001:db8::1", GATEWAY },
	};
	const struct ip_addr real = ip_addr_from_v4(REMOTE);
	const struct ip_addr seen = ip_addr_from_v4(GATEWAY + 99);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ip_addr origin = at6(rows[i].origin, 0).addr;
		struct ip_addr told = icmp_error_origin(world->nat, &origin, &real, &seen);

		assert_int_equal(ip_addr_to_v4(&told), rows[i].seen);
	}
}

/* As many bytes as there are, up to 576 in all; the quoted header tells the packet's real size. */
static void sizes_of_quotes(void **state)
{
	static const size_t sizes[] = { 8, 9, 100, 527, 528, 529, 1480, 65515 };
	static uint8_t quote[ICMP_QUOTE_MAX];
	const struct ip_addr origin = ip_addr_from_v4(ROUTER);
	const struct ip_addr guest = ip_addr_from_v4(GUEST);
	const struct ip_addr remote = ip_addr_from_v4(REMOTE);

	(void)state;
	world_fill(quote, sizeof(quote));
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		icmp_send_error(world->nat, WORLD_PORT, &origin, &guest, &remote,
				PACKET_IP_PROTOCOL_UDP, ICMP_TYPE_UNREACHABLE,
				ICMP_CODE_FRAGMENTATION_NEEDED, 70000, quote, sizes[i]);
		const struct world_heard *heard = expect_error(
			ROUTER, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, REMOTE);
		size_t quoted = sizes[i] < 528 ? sizes[i] : 528;

		assert_int_equal(heard->icmp.mtu, 65535);
		assert_int_equal(heard->quote.ip.total_size, 20 + sizes[i]);
		assert_int_equal(heard->quote.payload_size, quoted);
		assert_memory_equal(heard->quote.payload, quote, quoted);
		assert_int_equal(heard->packet.ip_total_size, 20 + 8 + 20 + quoted);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rate_is_limited),
		TEST(rate_over_time),
		TEST(rate_of_another_port),
		TEST(what_the_host_does_not_take),
		TEST(origins),
		TEST(sizes_of_quotes),
	};

	return cmocka_run_group_tests_name("icmp_error", tests, NULL, NULL);
}
