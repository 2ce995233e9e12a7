#include "gateway/reassembly.h"

#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "wire/ether.h"
#include "wire/ipv4.h"

#define PACKET_MAX 65515

struct rig {
	struct clock clock;
	uint64_t now_ns;
	struct loop *loop;
	struct drop_counters drops;
	struct reassembly *reassembly;
	struct random_seeded seeded;
	uint8_t data[PACKET_MAX + 600]; /* a UDP datagram, and room beyond */
};

static uint64_t rig_now(const struct clock *clock)
{
	return ((const struct rig *)(const void *)clock)->now_ns;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->clock.now_ns = rig_now;
	rig->now_ns = NS_PER_S;
	assert_int_equal(loop_new(&rig->clock, &rig->loop), 0);
	assert_int_equal(reassembly_new(rig->loop, &rig->drops, &rig->reassembly), 0);
	random_seeded_init(&rig->seeded, 11);
	rig->seeded.random.fill(&rig->seeded.random, rig->data, sizeof(rig->data));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	reassembly_free(rig->reassembly);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

/* The data becomes a UDP datagram of `size` bytes with checksum 0. */
static void make_udp(struct rig *rig, uint32_t size)
{
	struct writer writer = writer_of(rig->data, 8);

	writer_u16(&writer, 1000);
	writer_u16(&writer, 2000);
	writer_u16(&writer, (uint16_t)size);
	writer_u16(&writer, 0);
}

struct piece {
	uint32_t start;
	uint32_t size;
	bool more;
	uint16_t id;
	uint32_t port;
	uint8_t protocol; /* 0 = UDP */
};

/* Sends one fragment, from memory of its own size. True: whole, and equal to the data. */
static bool add(struct rig *rig, const struct piece *piece, struct frame *ret_whole)
{
	size_t size = ETHER_HEADER_SIZE + IPV4_HEADER_SIZE + piece->size;
	uint8_t *bytes = malloc(size);
	struct writer writer = writer_of(bytes, size);
	const struct ether_header ether = {
		.destination = fixture_mac_gateway,
		.source = fixture_mac(2),
		.type = ETHER_TYPE_IPV4,
	};
	const struct ipv4_header ip = {
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + piece->size),
		.id = piece->id,
		.more_fragments = piece->more,
		.fragment_offset = (uint16_t)piece->start,
		.ttl = 33,
		.protocol = piece->protocol ? piece->protocol : 17,
		.source = fixture_addr(2),
		.destination = fixture_parse("192.0.2.1"),
	};
	enum drop_reason reason;
	struct frame frame;
	bool whole = false;

	ether_build(&writer, &ether);
	ipv4_build(&writer, &ip);
	writer_bytes(&writer, rig->data + piece->start, piece->size);
	assert_true(writer_ok(&writer));
	if (!frame_from_bytes(&frame, bytes, size, piece->port, &reason))
		drop_count(&rig->drops, reason);
	else if (frame.packet.ip_is_fragment)
		whole = reassembly_add(rig->reassembly, &frame, ret_whole);
	free(bytes);
	return whole;
}

static void check_whole(const struct rig *rig, const struct frame *whole, uint32_t size)
{
	uint8_t *copy = malloc(FRAME_MAX_SIZE);
	size_t frame_bytes = frame_copy(whole, copy, FRAME_MAX_SIZE);

	assert_int_equal(frame_bytes, ETHER_HEADER_SIZE + IPV4_HEADER_SIZE + size);
	assert_memory_equal(copy + ETHER_HEADER_SIZE + IPV4_HEADER_SIZE, rig->data, size);
	assert_false(whole->packet.ip_is_fragment);
	assert_true(whole->packet.has_l4);
	assert_int_equal(whole->packet.port_destination, 2000);
	assert_int_equal(whole->packet.ip_ttl, 33);
	free(copy);
}

static uint64_t drops(const struct rig *rig)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		sum += rig->drops.count[i];
	return sum;
}

/* Random cuts in random orders, some repeated: always whole with the last piece, never before. */
static void any_order_comes_out_whole(void **state)
{
	struct rig *rig = *state;
	struct random *random = &rig->seeded.random;

	for (unsigned round = 0; round < 300; round++) {
		struct piece pieces[64];
		uint32_t count = 0;
		uint32_t size =
			200 + random_below(random, round % 10 == 0 ? PACKET_MAX - 200 : 3000);
		uint32_t most = size / 30 / 8 + 4;
		struct frame whole;

		make_udp(rig, size);
		for (uint32_t start = 0; start < size; count++) {
			uint32_t piece = 8 * (1 + random_below(random, most));

			if (start + piece > size || count == 63)
				piece = size - start;
			pieces[count] = (struct piece){
				.start = start,
				.size = piece,
				.more = start + piece < size,
				.id = (uint16_t)round,
			};
			start += piece;
		}
		if (count < 2)
			continue;
		for (uint32_t i = count - 1; i > 0; i--) {
			uint32_t other = random_below(random, i + 1);
			struct piece swap = pieces[i];

			pieces[i] = pieces[other];
			pieces[other] = swap;
		}
		for (uint32_t i = 0; i + 1 < count; i++) {
			assert_false(add(rig, &pieces[i], &whole));
			if (random_below(random, 4) == 0)
				assert_false(
					add(rig, &pieces[random_below(random, i + 1)], &whole));
		}
		assert_true(add(rig, &pieces[count - 1], &whole));
		check_whole(rig, &whole, size);
	}
	assert_int_equal(drops(rig), 0);
}

static void the_largest_packet_fits(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, PACKET_MAX);
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 32000, .more = true }, &whole));
	assert_true(
		add(rig, &(struct piece){ .start = 32000, .size = PACKET_MAX - 32000 }, &whole));
	check_whole(rig, &whole, PACKET_MAX);
}

struct hostile {
	const char *name;
	struct piece pieces[3];
	unsigned count;
	unsigned bad; /* BAD_FRAGMENT drops */
};

static void hostile_pieces_are_refused(void **state)
{
	static const struct hostile table[] = {
		{ "ping of death", { { .start = 65512, .size = 200 } }, 1, 1 },
		{ "ends one byte too far", { { .start = 65504, .size = 12 } }, 1, 1 },
		{ "no data", { { .start = 800, .size = 0, .more = true } }, 1, 1 },
		{ "no data in the last", { { .start = 800, .size = 0 } }, 1, 1 },
		{ "odd size", { { .start = 0, .size = 101, .more = true } }, 1, 1 },
		{ "first without a UDP header", { { .start = 0, .size = 7, .more = true } }, 1, 1 },
		{ "first without a TCP header",
		  { { .start = 0, .size = 16, .more = true, .protocol = 6 } },
		  1,
		  1 },
		{ "overlap in front",
		  { { .start = 0, .size = 200, .more = true },
		    { .start = 192, .size = 200, .more = true },
		    { .start = 392, .size = 100 } },
		  3,
		  2 },
		{ "overlap behind",
		  { { .start = 104, .size = 96, .more = true },
		    { .start = 0, .size = 112, .more = true },
		    { .start = 200, .size = 10 } },
		  3,
		  2 },
		{ "teardrop: inside another",
		  { { .start = 0, .size = 400, .more = true }, { .start = 200, .size = 16 } },
		  2,
		  1 },
		{ "two ends",
		  { { .start = 400, .size = 10 }, { .start = 600, .size = 10 } },
		  2,
		  1 },
		{ "beyond the end",
		  { { .start = 400, .size = 10 }, { .start = 800, .size = 80, .more = true } },
		  2,
		  1 },
		{ "end before what is here",
		  { { .start = 800, .size = 80, .more = true }, { .start = 400, .size = 10 } },
		  2,
		  1 },
		{ "bytes behind the end in its last unit",
		  { { .start = 400, .size = 10 }, { .start = 400, .size = 16, .more = true } },
		  2,
		  1 },
	};
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 492);
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		rig->drops.count[DROP_BAD_FRAGMENT] = 0;
		for (unsigned j = 0; j < table[i].count; j++) {
			struct piece piece = table[i].pieces[j];

			piece.id = (uint16_t)(100 + i);
			if (add(rig, &piece, &whole))
				fail_msg("%s: came out whole", table[i].name);
		}
		if (rig->drops.count[DROP_BAD_FRAGMENT] != table[i].bad)
			fail_msg("%s: %u refused", table[i].name,
				 (unsigned)rig->drops.count[DROP_BAD_FRAGMENT]);
	}
}

/* A second copy with other bytes spoils the packet, also when everything has come. */
static void other_bytes_spoil_the_packet(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 400);
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200 }, &whole));
	rig->data[250] ^= 1;
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200 }, &whole));
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true }, &whole));
	assert_int_equal(rig->drops.count[DROP_BAD_FRAGMENT], 2);
}

static void holes_time_out(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 400);
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true }, &whole));
	rig->now_ns += (REASSEMBLY_TIMEOUT_S - 1) * NS_PER_S;
	assert_int_equal(loop_run_once(rig->loop, 0), 0);
	assert_int_equal(rig->drops.count[DROP_FRAGMENT_TIMEOUT], 0);
	rig->now_ns += 2 * NS_PER_S;
	assert_int_equal(loop_run_once(rig->loop, 0), 0);
	assert_int_equal(rig->drops.count[DROP_FRAGMENT_TIMEOUT], 1);
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200 }, &whole));
}

/* One port's flood of beginnings does not take another's packet; its own oldest goes. */
static void a_port_has_a_share(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 400);
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true, .port = 1 },
			 &whole));
	for (unsigned i = 0; i < 1000; i++)
		assert_false(add(rig,
				 &(struct piece){ .start = 0,
						  .size = 200,
						  .more = true,
						  .id = (uint16_t)i,
						  .port = 2 },
				 &whole));
	assert_int_equal(rig->drops.count[DROP_FRAGMENT_LIMIT], 1000 - REASSEMBLY_PORT_SHARE);
	assert_true(add(rig, &(struct piece){ .start = 200, .size = 200, .port = 1 }, &whole));
	check_whole(rig, &whole, 400);
	assert_true(add(rig, &(struct piece){ .start = 200, .size = 200, .id = 999, .port = 2 },
			&whole));
}

static void ports_and_ids_do_not_mix(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 400);
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true, .port = 1 },
			 &whole));
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200, .port = 2 }, &whole));
	assert_false(
		add(rig, &(struct piece){ .start = 200, .size = 200, .port = 1, .id = 1 }, &whole));
	assert_false(add(rig,
			 &(struct piece){ .start = 200, .size = 200, .port = 1, .protocol = 6 },
			 &whole));
	reassembly_port_gone(rig->reassembly, 1);
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200, .port = 1 }, &whole));
	assert_true(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true, .port = 1 },
			&whole));
}

/* A whole packet is looked at anew: a UDP length that does not fit is refused then. */
static void the_whole_is_dissected(void **state)
{
	struct rig *rig = *state;
	struct frame whole;

	make_udp(rig, 401);
	assert_false(add(rig, &(struct piece){ .start = 0, .size = 200, .more = true }, &whole));
	assert_false(add(rig, &(struct piece){ .start = 200, .size = 200 }, &whole));
	assert_int_equal(rig->drops.count[DROP_BAD_L4_HEADER], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_order_comes_out_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_packet_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_pieces_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(other_bytes_spoil_the_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(holes_time_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_has_a_share, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_and_ids_do_not_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(the_whole_is_dissected, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
