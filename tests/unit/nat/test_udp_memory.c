/* What UDP once used is given back when it rests, and is there again when it is needed. */
#include "world.h"

#include <sys/mman.h>
#include <unistd.h>

#include "nat/udp_table.h"

/* Pages of the datagrams' memory that are there. */
static unsigned resident(void)
{
	const struct udp_memory *memory = &world->nat->shard.udp->memory;
	size_t size = (size_t)(memory->waiting - memory->arrivals) + UDP_SEND_BYTES;
	static unsigned char pages[8192];
	unsigned count = 0;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert_true(size / page <= sizeof(pages));
	assert_int_equal(mincore(memory->arrivals, size, pages), 0);
	for (size_t i = 0; i < size / page; i++)
		count += pages[i] & 1;
	return count;
}

static void talk(void)
{
	static uint8_t bytes[60000];
	struct host_datagram datagram = {
		.remote = at(REMOTE, 7),
		.local = ip_addr_from_v4(HOST_LAN),
		.size = sizeof(bytes),
		.segment_size = 1000,
	};

	for (int round = 0; round < 2; round++) {
		guests_hold();
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "one");
		guest_udp(at(GUEST, 5000), at(REMOTE, 7), "two");
		guests_flush();
	}
	for (int i = 0; i < 10; i++)
		world_arrives_bytes(last_sender(), &datagram, bytes);
	world_run();
	assert_int_equal(world->heard_count, 600);
	forget_all();
}

static void given_back(void **state)
{
	(void)state;
	assert_int_equal(resident(), 0);
	for (int round = 0; round < 3; round++) {
		talk();
		assert_true(resident() > 1);
		/* Not while it is in use ... */
		world_pass(4 * NS_PER_S);
		talk();
		world_pass(4 * NS_PER_S);
		assert_true(resident() > 1);
		/* ... and no timer is left when it is not. */
		world_pass(20 * NS_PER_S);
		assert_int_equal(resident(), 0);
		assert_false(timer_is_set(&world->nat->shard.udp->memory.rest));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(given_back, world_setup, world_teardown),
	};

	return cmocka_run_group_tests_name("udp_memory", tests, NULL, NULL);
}
