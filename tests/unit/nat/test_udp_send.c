/* Datagrams of guests in batches: what leaves when, in which order, and who hears of a failure. */
#include "world.h"

#include "nat/udp.h"
#include "nat/udp_memory.h"
#include "nat/udp_send.h"
#include "wire/udp.h"

static struct ip_endpoint own(uint16_t port)
{
	return at(GUEST, port);
}

/* A first batch of several: the next ones wait for their end, too. */
static void make_busy(void)
{
	guests_hold();
	guest_udp(own(5000), at(REMOTE, 7), "a");
	guest_udp(own(5000), at(REMOTE, 7), "b");
	guests_flush();
	forget_all();
	world->send_calls = 0;
}

static void expect_number(unsigned number, struct ip_endpoint to)
{
	const struct world_sent *sent = must_send();

	assert_true(ip_endpoint_equal(&sent->datagram.remote, &to));
	assert_int_equal(sent->size, number);
}

/* A question does not wait for the end of its batch, nor does the first of the first burst. */
static void alone_leaves_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		guests_hold();
		guest_udp(own(5000), at(REMOTE, 7), "question");
		expect_sent(at(REMOTE, 7), "question");
		guests_flush();
		expect_silence();
	}
	assert_int_equal(world->send_calls, 3);
	guests_hold();
	guest_udp(own(5000), at(REMOTE, 7), "1");
	expect_sent(at(REMOTE, 7), "1");
	guest_udp(own(5000), at(REMOTE, 7), "2");
	guest_udp(own(5000), at(REMOTE, 7), "3");
	expect_silence();
	guests_flush();
	expect_sent(at(REMOTE, 7), "2");
	expect_sent(at(REMOTE, 7), "3");
	assert_int_equal(world->send_calls, 5);
	/* From now on all wait; until one comes alone again. */
	guests_hold();
	guest_udp(own(5000), at(REMOTE, 7), "4");
	expect_silence();
	guests_flush();
	expect_sent(at(REMOTE, 7), "4");
	guests_flush(); /* a batch without datagrams says nothing */
	guests_hold();
	guest_udp(own(5000), at(REMOTE, 7), "5");
	expect_sent(at(REMOTE, 7), "5");
	guests_flush();
}

/* One call a socket, each in the order it came. */
static void one_call_a_socket(void **state)
{
	(void)state;
	make_busy();
	guests_hold();
	for (unsigned i = 0; i < 12; i++)
		guest_udp_shaped(own((uint16_t)(5000 + i % 3)), at(REMOTE, (uint16_t)(7 + i % 2)),
				 (struct world_shape){ .size = i });
	assert_int_equal(world->send_calls, 0);
	guests_flush();
	assert_int_equal(world->send_calls, 3);
	for (unsigned socket = 0; socket < 3; socket++) {
		for (unsigned i = socket; i < 12; i += 3)
			expect_number(i, at(REMOTE, (uint16_t)(7 + i % 2)));
	}
	expect_silence();
}

static void headers_and_bytes_are_kept(void **state)
{
	static const struct world_shape shapes[] = {
		{ .ttl = 2, .size = 1400 },
		{ .ttl = 255, .tos = 0xb8, .dont_fragment = true, .size = 1 },
		{ .ttl = 64, .size = 0 },
		{ .ttl = 64, .size = 9000 },
	};
	uint8_t bytes[9000];

	(void)state;
	world_fill(bytes, sizeof(bytes));
	make_busy();
	guests_hold();
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
		guest_udp_shaped(own(5000), at(REMOTE, 7), shapes[i]);
	guests_flush();
	assert_int_equal(world->send_calls, 1);
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
		const struct world_sent *sent = must_send();

		assert_int_equal(sent->datagram.ttl, shapes[i].ttl - 1);
		assert_int_equal(sent->datagram.tos, shapes[i].tos);
		assert_int_equal(sent->datagram.dont_fragment, shapes[i].dont_fragment);
		assert_int_equal(sent->size, shapes[i].size);
		assert_memory_equal(sent->bytes, bytes, sent->size);
	}
}

/* As many as there is room for, by number and by bytes. */
static void a_full_batch_leaves(void **state)
{
	const unsigned by_bytes = (unsigned)(UDP_SEND_BYTES / (9000 + 42));

	(void)state;
	make_busy();
	guests_hold();
	for (unsigned i = 0; i < UDP_SEND_BATCH; i++)
		guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = i });
	assert_int_equal(world->send_calls, 0);
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = UDP_SEND_BATCH });
	assert_int_equal(world->send_calls, 1);
	guests_flush();
	assert_int_equal(world->send_calls, 2);
	for (unsigned i = 0; i <= UDP_SEND_BATCH; i++)
		expect_number(i, at(REMOTE, 7));
	world->send_calls = 0;
	guests_hold();
	for (unsigned i = 0; i < by_bytes; i++)
		guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 9000 });
	assert_int_equal(world->send_calls, 0);
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 9000 });
	assert_int_equal(world->send_calls, 1);
	guests_flush();
	assert_int_equal(world->send_calls, 2);
}

/* Not copied, and behind what waited. */
static void a_long_one_leaves_at_once(void **state)
{
	(void)state;
	make_busy();
	guests_hold();
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 1 });
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 60000 });
	assert_int_equal(world->send_calls, 2);
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 2 });
	guests_flush();
	expect_number(1, at(REMOTE, 7));
	expect_number(60000, at(REMOTE, 7));
	expect_number(2, at(REMOTE, 7));
	expect_silence();
}

/* --- failures ----------------------------------------------------------------------------- */

/* The guest's own packet, of that size, from that port. */
static void expect_refusal(uint8_t code, uint16_t port, size_t size)
{
	const struct world_heard *heard =
		expect_error(GATEWAY, ICMP_TYPE_UNREACHABLE, code, REMOTE);
	struct reader reader = reader_of(heard->quote.payload, heard->quote.payload_size);
	struct udp_header header;

	assert_int_equal(heard->quote.ip.total_size, 20 + 8 + size);
	assert_true(udp_parse(&reader, &header));
	assert_int_equal(header.source_port, port);
	assert_int_equal(header.destination_port, 7);
	assert_int_equal(header.size, 8 + size);
}

/* The third of five: its sender hears of it, the others leave. */
static void one_of_five_fails(void **state)
{
	static const struct {
		int error;
		int code; /* -1 = silence */
		enum drop_reason reason;
	} rows[] = {
		{ -ENETUNREACH, ICMP_CODE_NET_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EHOSTUNREACH, ICMP_CODE_HOST_UNREACHABLE, DROP_SOCKET_ERROR },
		{ -EPERM, ICMP_CODE_ADMIN_PROHIBITED, DROP_SOCKET_ERROR },
		{ -EINVAL, -1, DROP_SOCKET_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		make_busy();
		uint64_t before = world_drops(rows[i].reason);

		guests_hold();
		for (unsigned j = 0; j < 5; j++)
			guest_udp_shaped(own(5000), at(REMOTE, 7),
					 (struct world_shape){ .size = 100 + j });
		world->fails_behind = 2;
		world->fails_with = rows[i].error;
		guests_flush();
		for (unsigned j = 0; j < 5; j++) {
			if (j != 2)
				expect_number(100 + j, at(REMOTE, 7));
		}
		if (rows[i].code >= 0)
			expect_refusal((uint8_t)rows[i].code, 5000, 102);
		expect_silence();
		assert_int_equal(world_drops(rows[i].reason), before + 1);
		assert_int_equal(world->send_calls, 2);
	}
}

/* Where there is no room, there is none for those behind either: counted, not asked. */
static void full_socket(void **state)
{
	static const int errors[] = { -EAGAIN, -ENOBUFS };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		make_busy();
		guests_hold();
		for (unsigned j = 0; j < 5; j++)
			guest_udp_shaped(own(5000), at(REMOTE, 7),
					 (struct world_shape){ .size = j });
		guest_udp_shaped(own(5001), at(REMOTE, 7), (struct world_shape){ .size = 9 });
		world->fails_behind = 2;
		world->fails_with = errors[i];
		guests_flush();
		expect_number(0, at(REMOTE, 7));
		expect_number(1, at(REMOTE, 7));
		expect_number(9, at(REMOTE, 7)); /* another socket */
		expect_silence();
		assert_int_equal(world_drops(DROP_SOCKET_FULL), 3 * (i + 1));
	}
}

/* Each that is too long for the way is told with the MTU. */
static void too_long_for_the_path(void **state)
{
	(void)state;
	make_busy();
	world->path_mtu = 1280;
	guests_hold();
	for (unsigned i = 0; i < 5; i++)
		guest_udp_shaped(own(5000), at(REMOTE, 7),
				 (struct world_shape){ .dont_fragment = true,
						       .size = i % 2 == 0 ? 1400 + i : 100 + i });
	guests_flush();
	expect_number(101, at(REMOTE, 7));
	expect_number(103, at(REMOTE, 7));
	for (unsigned i = 0; i < 5; i += 2)
		expect_refusal(ICMP_CODE_FRAGMENTATION_NEEDED, 5000, 1400 + i);
	expect_silence();
	assert_int_equal(world_drops(DROP_SOCKET_ERROR), 3);
}

/* --- super-frames ------------------------------------------------------------------------- */

static void super_frame_is_one_call(void **state)
{
	static uint8_t bytes[64000];
	size_t total = 0;

	(void)state;
	world_fill(bytes, sizeof(bytes));
	guest_udp_super(own(5000), at(REMOTE, 7),
			(struct world_shape){ .ttl = 9, .tos = 4, .size = 60001 }, 1400);
	assert_int_equal(world->send_calls, 1);
	for (unsigned i = 0; i < 43; i++) {
		const struct world_sent *sent = must_send();

		assert_int_equal(sent->datagram.ttl, 8);
		assert_int_equal(sent->datagram.tos, 4);
		assert_int_equal(sent->size, i < 42 ? 1400 : 60001 - 42 * 1400);
		assert_memory_equal(sent->bytes, bytes + total, sent->size);
		total += sent->size;
	}
	expect_silence();
	assert_int_equal(total, 60001);
	/* One that is no longer than one datagram is one. */
	guest_udp_super(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 1000 }, 1000);
	expect_number(1000, at(REMOTE, 7));
	expect_silence();
}

/* Several datagrams to port 53 are no single question, whose mapping would end soon. */
static void super_frame_is_no_question(void **state)
{
	(void)state;
	guest_udp_super(own(5000), at(REMOTE, 53), (struct world_shape){ .size = 200 }, 100);
	guest_udp(own(5001), at(REMOTE, 53), "question");
	world_pass(12 * NS_PER_S);
	assert_int_equal(udp_flow_count(world->nat), 1);
}

static void super_frame_keeps_its_place(void **state)
{
	(void)state;
	make_busy();
	guests_hold();
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 1 });
	guest_udp_super(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 3000 }, 1500);
	guest_udp_shaped(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 2 });
	guests_flush();
	expect_number(1, at(REMOTE, 7));
	expect_number(1500, at(REMOTE, 7));
	expect_number(1500, at(REMOTE, 7));
	expect_number(2, at(REMOTE, 7));
	expect_silence();
}

/* More than a batch, and more than anybody makes. */
static void super_frame_of_very_many(void **state)
{
	(void)state;
	guest_udp_super(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 1024 }, 1);
	assert_int_equal(world->send_calls, 1024 / UDP_SEND_BATCH);
	for (unsigned i = 0; i < 1024; i++)
		expect_number(1, at(REMOTE, 7));
	guest_udp_super(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 1025 }, 1);
	expect_silence();
	assert_int_equal(world_drops(DROP_BAD_OFFLOAD), 1);
}

static void one_of_a_super_frame_fails(void **state)
{
	static const unsigned behind[] = { 0, 2, 65, 69 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(behind); i++) {
		unsigned sent = 0;

		world->fails_behind = behind[i];
		world->fails_with = -EHOSTUNREACH;
		/* 69 of 100 bytes, and one of 50 */
		guest_udp_super(own(5000), at(REMOTE, 7), (struct world_shape){ .size = 6950 },
				100);
		expect_refusal(ICMP_CODE_HOST_UNREACHABLE, 5000, behind[i] < 69 ? 100 : 50);
		while (next_sent())
			sent++;
		assert_int_equal(sent, 69);
		assert_int_equal(world_drops(DROP_SOCKET_ERROR), i + 1);
		expect_silence();
	}
	world->path_mtu = 600;
	guest_udp_super(own(5000), at(REMOTE, 7),
			(struct world_shape){ .dont_fragment = true, .size = 2100 }, 1000);
	expect_refusal(ICMP_CODE_FRAGMENTATION_NEEDED, 5000, 1000);
	expect_refusal(ICMP_CODE_FRAGMENTATION_NEEDED, 5000, 1000);
	expect_number(100, at(REMOTE, 7));
	expect_silence();
}

/* --- ends --------------------------------------------------------------------------------- */

/* What waits for a socket leaves before it is closed. */
static void socket_goes_first(void **state)
{
	const struct ip_endpoint external = at(0, 5353);

	(void)state;
	(void)world_forward(NAT_PROTOCOL_UDP, external, at(GUEST, 53));
	make_busy();
	guests_hold();
	guest_udp(own(53), at(REMOTE, 7), "by the forward");
	expect_silence();
	assert_int_equal(nat_forward_remove(world->nat, NAT_PROTOCOL_UDP, &external), 0);
	expect_sent(at(REMOTE, 7), "by the forward");
	guest_udp(own(5000), at(REMOTE, 7), "by its own");
	nat_port_gone(world->nat, WORLD_PORT);
	expect_sent(at(REMOTE, 7), "by its own");
	guests_flush();
	expect_silence();
	make_busy();
	guests_hold();
	guest_udp(own(5000), at(REMOTE, 7), "at the end");
	/* The teardown frees all with that in the batch. */
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(alone_leaves_at_once),
		TEST(one_call_a_socket),
		TEST(headers_and_bytes_are_kept),
		TEST(a_full_batch_leaves),
		TEST(a_long_one_leaves_at_once),
		TEST(one_of_five_fails),
		TEST(full_socket),
		TEST(too_long_for_the_path),
		TEST(super_frame_is_one_call),
		TEST(super_frame_is_no_question),
		TEST(super_frame_keeps_its_place),
		TEST(super_frame_of_very_many),
		TEST(one_of_a_super_frame_fails),
		TEST(socket_goes_first),
	};

	return cmocka_run_group_tests_name("udp_send", tests, NULL, NULL);
}
