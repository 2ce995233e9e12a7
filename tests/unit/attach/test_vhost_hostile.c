/* The vhost-user attachment with a front end that is wrong in every way: the port goes, nothing
 * else does, and no descriptor stays behind. */
#include "attach_test.h"

#include "vhost_front_end.h"

#define QUEUE_SIZE 256
#define FEATURES   (VHOST_FEATURES & ~VHOST_F_LOG_ALL)
#define REQUESTS   48 /* more than vhost-user has */

static struct vhost_front_end end;
static int fds_before;

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void begin(bool sealed, bool allow_unsealed)
{
	struct attachment_context context = scene_new();
	struct error err = {};
	int fds[2];

	fds_before = count_fds();
	context.allow_unsealed_memory = allow_unsealed;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_vhost_user(&context, fds[0], &scene->attachment, &err), 0);
	scene->peer_fd = fds[1];
	vhost_front_end_init(&end, fds[1], QUEUE_SIZE, sealed);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
}

static void finish(void)
{
	void *state = NULL;

	vhost_front_end_done(&end);
	scene->attachment = attachment_free(scene->attachment);
	scene->peer_fd = fd_close(scene->peer_fd);
	assert_int_equal(count_fds(), fds_before);
	assert_int_equal(scene_teardown(&state), 0);
}

static int setup(void **state)
{
	(void)state;
	begin(true, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	finish();
	return 0;
}

/* The port is gone with a sentence, and what passes it is dropped; its descriptors are closed. */
static void expect_gone(void)
{
	run();
	assert_int_equal(scene->closed, 1);
	assert_string_not_equal(scene->reason, "");
	push_frame(100, 1);
	flush();
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	/* Ours, the epoll set and its eventfd are all that is left of the scene. */
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->closed, 1);
}

static void start(void)
{
	vhost_front_end_start(&end, FEATURES, VHOST_PROTOCOL_FEATURES);
	run();
	assert_int_equal(scene->closed, 0);
}

/* --- sizes and descriptors ------------------------------------------------------------------ */

static bool send_raw(uint32_t request, uint32_t flags, uint32_t claimed, size_t size, size_t fds)
{
	uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE + 8192] = {};
	int list[32];

	memcpy(bytes, &request, 4);
	memcpy(bytes + 4, &flags, 4);
	memcpy(bytes + 8, &claimed, 4);
	for (size_t i = 0; i < fds; i++)
		list[i] = end.guest.memory_fd;
	return vhost_front_end_send_bytes(&end, bytes, VHOST_MESSAGE_HEADER_SIZE + size, list, fds);
}

/* What each request looks like, and what becomes of one whose payload is all zeroes: before anything
 * was negotiated and while frames pass. No size: whatever is sent, it is wrong. */
static const struct {
	bool is_known;
	uint32_t size;
	size_t fds;
	bool is_fine_at_first;
	bool is_fine_running;
} zeroes[REQUESTS] = {
	[VHOST_GET_FEATURES] = { true, 0, 0, true, true },
	[VHOST_SET_FEATURES] = { true, 8, 0, true, false },
	[VHOST_SET_OWNER] = { true, 0, 0, true, true },
	[VHOST_RESET_OWNER] = { true, 0, 0, true, true },
	[VHOST_SET_MEM_TABLE] = { .is_known = false }, /* no region with one descriptor at least */
	[VHOST_SET_LOG_BASE] = { true, 16, 1, false, false },
	[VHOST_SET_LOG_FD] = { true, 0, 1, true, true },
	[VHOST_SET_VRING_NUM] = { true, 8, 0, false, false },
	[VHOST_SET_VRING_ADDR] = { true, 40, 0, false, false },
	[VHOST_SET_VRING_BASE] = { true, 8, 0, true, false },
	[VHOST_GET_VRING_BASE] = { true, 8, 0, true, true },
	/* with a descriptor, says a zero, and the memory's is none to wait for or to write to */
	[VHOST_SET_VRING_KICK] = { true, 8, 1, false, false },
	[VHOST_SET_VRING_CALL] = { true, 8, 1, false, false },
	[VHOST_SET_VRING_ERR] = { true, 8, 1, true, true },
	[VHOST_GET_PROTOCOL_FEATURES] = { true, 0, 0, true, true },
	[VHOST_SET_PROTOCOL_FEATURES] = { true, 8, 0, true, true },
	[VHOST_SET_VRING_ENABLE] = { true, 8, 0, true, true },
	[VHOST_NET_SET_MTU] = { true, 8, 0, true, true }, /* refused, but that is an answer */
};

/* The port goes exactly where it must, and the sentence says whether for the message's form. */
static void try_zeroes(uint32_t request, uint32_t claimed, size_t fds, bool running)
{
	bool has_form = zeroes[request].is_known && claimed == zeroes[request].size &&
			fds == zeroes[request].fds;
	bool is_fine = has_form && (running ? zeroes[request].is_fine_running
					    : zeroes[request].is_fine_at_first);

	begin(true, false);
	if (running)
		start();
	assert_true(
		send_raw(request, fds > 0 ? 9 : 1, claimed, claimed > 8192 ? 8192 : claimed, fds));
	run();
	if (scene->closed != (is_fine ? 0 : 1))
		fail_msg("request %u of %u bytes with %zu descriptors%s: %s", request, claimed, fds,
			 running ? ", running" : "", scene->closed ? scene->reason : "stays");
	if (!is_fine) {
		bool tells_form = strstr(scene->reason, " bytes with ") ||
				  strstr(scene->reason, "more than 8 descriptors") ||
				  strstr(scene->reason, "its header is of no request");

		expect_gone();
		assert_int_equal(tells_form, !has_form);
	}
	finish();
}

static void every_request_with_every_size(void **state)
{
	static const uint32_t sizes[] = { 0,   1,   4,	 7,    8,	   9,	      12,
					  16,  24,  39,	 40,   41,	   72,	      96,
					  263, 264, 265, 8192, UINT32_MAX, 0x80000008 };

	(void)state;
	for (uint32_t request = 0; request < REQUESTS; request++) {
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			try_zeroes(request, sizes[i], 0, false);
			try_zeroes(request, sizes[i], 0, true);
		}
	}
}

static void every_request_with_every_number_of_descriptors(void **state)
{
	static const uint32_t sizes[] = { 0, 8, 16, 40, 264 };

	(void)state;
	for (uint32_t request = 0; request < REQUESTS; request++) {
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			for (size_t fds = 1; fds < 12; fds++) {
				try_zeroes(request, sizes[i], fds, false);
				try_zeroes(request, sizes[i], fds, true);
			}
		}
	}
}

/* Descriptors beside each byte of one message: no more are kept than one message may have. */
static void descriptors_beside_every_byte(void **state)
{
	uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE + 8] = {
		VHOST_SET_VRING_KICK, 0, 0, 0, 1, 0, 0, 0, 8
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (!vhost_front_end_send_bytes(&end, bytes + i, 1, &end.guest.memory_fd, 1))
			break;
		run();
	}
	expect_gone();
}

static void header_only(void **state)
{
	(void)state;
	assert_true(send_raw(VHOST_SET_MEM_TABLE, 1, 264, 0, 8));
	run();
	assert_int_equal(scene->closed,
			 0); /* the rest may come; teardown looks at the descriptors */
}

/* --- orders --------------------------------------------------------------------------------- */

static void set_state(enum vhost_request request, uint32_t index, uint32_t value)
{
	assert_true(vhost_front_end_set_state(&end, request, index, value));
}

static void kick_before_anything(void **state)
{
	(void)state;
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, 0, end.kick_fds[0]));
	expect_gone();
}

static void kick_before_the_addresses(void **state)
{
	(void)state;
	assert_true(vhost_front_end_set_memory(&end));
	set_state(VHOST_SET_VRING_NUM, 0, QUEUE_SIZE);
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, 0, end.kick_fds[0]));
	expect_gone();
}

static void addresses_before_the_memory(void **state)
{
	(void)state;
	set_state(VHOST_SET_VRING_NUM, 0, QUEUE_SIZE);
	assert_true(vhost_front_end_set_rings(&end, 0, 0));
	expect_gone();
}

static void addresses_before_the_size(void **state)
{
	(void)state;
	assert_true(vhost_front_end_set_memory(&end));
	assert_true(vhost_front_end_set_rings(&end, 0, 0));
	expect_gone();
}

static void size_of_a_running_ring(void **state)
{
	(void)state;
	start();
	set_state(VHOST_SET_VRING_NUM, 1, 8);
	expect_gone();
}

static void base_of_a_running_ring(void **state)
{
	(void)state;
	start();
	set_state(VHOST_SET_VRING_BASE, 1, 8);
	expect_gone();
}

static void features_of_a_running_ring(void **state)
{
	(void)state;
	start();
	assert_true(
		vhost_front_end_set_u64(&end, VHOST_SET_FEATURES, FEATURES & ~VIRTIO_F_EVENT_IDX));
	expect_gone();
}

static void log_that_was_not_negotiated(void **state)
{
	const struct vhost_message message = { .request = VHOST_SET_LOG_BASE, .log = { 4096, 0 } };

	(void)state;
	assert_true(vhost_front_end_send(&end, &message, &end.guest.memory_fd, 1));
	expect_gone();
}

static void everything_twice(void **state)
{
	(void)state;
	start();
	for (uint8_t i = 0; i < 2; i++) {
		assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, i, end.kick_fds[i]));
		assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_CALL, i, end.call_fds[i]));
		assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_ERR, i, end.call_fds[i]));
		assert_true(vhost_front_end_set_rings(&end, i, 0));
	}
	assert_true(vhost_front_end_set_memory(&end));
	run();
	assert_int_equal(scene->closed, 0);
	set_state(VHOST_GET_VRING_BASE, 0, 0);
	set_state(VHOST_GET_VRING_BASE, 0, 0);
	/* CVE-2019-14818: sizes again and again cost no memory */
	for (uint32_t i = 0; i < 1000; i++) {
		set_state(VHOST_SET_VRING_NUM, 0, (uint32_t)1 << i % 16);
		run();
	}
	assert_int_equal(scene->closed, 0);
}

/* --- values --------------------------------------------------------------------------------- */

static void values_that_are_refused(void **state)
{
	static const struct {
		enum vhost_request request;
		uint32_t index;
		uint32_t value;
	} cases[] = {
		{ VHOST_SET_VRING_NUM, 0, 0 },
		{ VHOST_SET_VRING_NUM, 0, 3 },
		{ VHOST_SET_VRING_NUM, 0, 65536 },
		{ VHOST_SET_VRING_NUM, 0, 0x10100 }, /* 256 in 16 bits (CVE-2020-10723) */
		{ VHOST_SET_VRING_NUM, 2, 256 },
		{ VHOST_SET_VRING_NUM, UINT32_MAX, 256 },
		{ VHOST_SET_VRING_NUM, 0x10000, 256 },
		{ VHOST_SET_VRING_BASE, 0, 65536 },
		{ VHOST_SET_VRING_BASE, 2, 0 },
		{ VHOST_GET_VRING_BASE, 2, 0 },
		{ VHOST_GET_VRING_BASE, UINT32_MAX, 0 },
		{ VHOST_SET_VRING_ENABLE, 2, 1 },
		{ VHOST_SET_VRING_ENABLE, 0, 2 },
		{ VHOST_SET_VRING_ENABLE, UINT32_MAX, UINT32_MAX },
	};
	static const enum vhost_request with_fd[] = { VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
						      VHOST_SET_VRING_ERR };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		begin(true, false);
		assert_true(vhost_front_end_set_state(&end, cases[i].request, cases[i].index,
						      cases[i].value));
		expect_gone();
		finish();
	}
	for (size_t i = 0; i < ARRAY_COUNT(with_fd); i++) {
		begin(true, false);
		assert_true(vhost_front_end_set_fd(&end, with_fd[i], 2, end.call_fds[0]));
		expect_gone();
		finish();
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(VHOST_FEATURES & VHOST_BIT(bit))) {
			begin(true, false);
			assert_true(
				vhost_front_end_set_u64(&end, VHOST_SET_FEATURES, VHOST_BIT(bit)));
			expect_gone();
			finish();
		}
		if (!(VHOST_PROTOCOL_FEATURES & VHOST_BIT(bit))) {
			begin(true, false);
			assert_true(vhost_front_end_set_u64(&end, VHOST_SET_PROTOCOL_FEATURES,
							    VHOST_BIT(bit)));
			expect_gone();
			finish();
		}
	}
}

static void regions_that_are_refused(void **state)
{
	static const struct vhost_region cases[][2] = {
		{ { 0, 4096, 0x10000, 0 }, { 0, 4096, 0x20000, 4096 } },
		{ { 0, 8192, 0x10000, 0 }, { 4096, 4096, 0x20000, 4096 } },
		{ { UINT64_MAX, 4096, 0x10000, 0 }, { 0, 4096, 0x20000, 4096 } },
		{ { 0, UINT64_MAX, 0x10000, 0 }, { 0, 4096, 0x20000, 4096 } },
		{ { 0, 4096, UINT64_MAX, 0 }, { 4096, 4096, 0x20000, 4096 } },
		{ { 0, 4096, 0x10000, UINT64_MAX }, { 4096, 4096, 0x20000, 4096 } },
		{ { 0, 4096, 0x10000, VHOST_GUEST_SIZE }, { 4096, 4096, 0x20000, 0 } },
		{ { 0, 4096, 0x10000, 0 }, { 4096, 0, 0x20000, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct vhost_message message = { .request = VHOST_SET_MEM_TABLE,
						 .memory.count = 2 };
		int fds[2];

		for (unsigned running = 0; running < 2; running++) {
			begin(true, false);
			if (running)
				start();
			fds[0] = end.guest.memory_fd;
			fds[1] = end.guest.memory_fd;
			memcpy(message.memory.regions, cases[i], sizeof(cases[i]));
			assert_true(vhost_front_end_send(&end, &message, fds, 2));
			expect_gone();
			finish();
		}
	}
}

/* Memory that may shrink: refused, unless the front end is trusted. */
static void memory_that_shrinks(void **state)
{
	(void)state;
	begin(false, false);
	assert_true(vhost_front_end_set_memory(&end));
	expect_gone();
	assert_non_null(strstr(scene->reason, "F_SEAL_SHRINK"));
	finish();
	begin(false, true);
	start();
	finish();
	/* And what is sealed cannot. */
	begin(true, false);
	start();
	assert_int_equal(ftruncate(end.guest.memory_fd, 4096), -1);
	finish();
}

/* Memory of huge pages that are not there: the front end loses its port, nobody gets a SIGBUS. */
static void memory_of_missing_pages(void **state)
{
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE,
					 .memory = { 1, { { 0, (uint64_t)1 << 30, 0, 0 } } } };
	int fd = vhost_guest_hugetlb_memfd((size_t)1 << 30);

	(void)state;
	assert_true(vhost_front_end_send(&end, &message, &fd, 1));
	run();
	(void)close(fd);
	expect_gone();
	assert_non_null(strstr(scene->reason, "memory region 0: shared memory of huge pages"));
	assert_non_null(strstr(scene->reason, "without hugetlb=on)")); /* all of it */
}

static void memory_that_is_none(void **state)
{
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE,
					 .memory = { 1, { { 0, 4096, 4096, 0 } } } };

	(void)state;
	assert_true(vhost_front_end_send(&end, &message, &end.kick_fds[0], 1));
	expect_gone();
}

static void rings_outside_the_memory(void **state)
{
	static const struct {
		size_t descriptors;
		size_t available;
		size_t used;
	} cases[] = {
		{ VHOST_GUEST_SIZE, 0, 0 },
		{ 0, VHOST_GUEST_SIZE, 0 },
		{ 0, 0, VHOST_GUEST_SIZE },
		{ VHOST_GUEST_HALF - 16, 0, 0 },
		{ SIZE_MAX - 15, 0, 0 },
		{ 1, 0, 0 },
		{ 0, 1, 0 },
		{ 0, 0, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (unsigned running = 0; running < 2; running++) {
			struct vhost_message message = { .request = VHOST_SET_VRING_ADDR };

			begin(true, false);
			if (running) {
				start();
			} else {
				assert_true(vhost_front_end_set_memory(&end));
				set_state(VHOST_SET_VRING_NUM, 0, QUEUE_SIZE);
			}
			message.address = vhost_guest_rings(&end.guest, 0);
			message.address.descriptors += cases[i].descriptors;
			message.address.available += cases[i].available;
			message.address.used += cases[i].used;
			assert_true(vhost_front_end_send(&end, &message, NULL, 0));
			expect_gone();
			finish();
		}
	}
}

/* Sizes and addresses that were good, until the size grew. */
static void size_that_outgrows_its_ring(void **state)
{
	struct vhost_message message = { .request = VHOST_SET_VRING_ADDR };

	(void)state;
	assert_true(vhost_front_end_set_memory(&end));
	set_state(VHOST_SET_VRING_NUM, 0, 8);
	message.address = vhost_guest_rings(&end.guest, 0);
	message.address.descriptors = (uintptr_t)end.guest.bytes + VHOST_GUEST_SIZE - 128;
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_int_equal(scene->closed, 0);
	set_state(VHOST_SET_VRING_NUM, 0, 1024);
	run();
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, 0, end.kick_fds[0]));
	expect_gone();
}

static void polled_ring(void **state)
{
	(void)state;
	start();
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, 0, -1));
	expect_gone();
}

/* A file has no edges to wait for. */
static void kick_that_is_no_eventfd(void **state)
{
	(void)state;
	start();
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, 0, end.guest.memory_fd));
	expect_gone();
}

/* Writing into a pipe may wait, or end the process by SIGPIPE: a call is an eventfd or nothing. */
static void call_that_is_no_eventfd(void **state)
{
	int fds[2];

	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		begin(true, false);
		if (kind == 0)
			assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		else
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
					 0);
		assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_CALL, 1,
						   kind == 2 ? end.guest.memory_fd : fds[1]));
		expect_gone();
		(void)close(fds[0]);
		(void)close(fds[1]);
		finish();
	}
}

/* Something to be called about: shorter than its header, so dropped, and used. Called about a moment later. */
static void use_one(void)
{
	vhost_guest_describe(end.guest.queues[1].descriptors, 0, VHOST_GUEST_BUFFERS, 11, 0, 0);
	vhost_guest_offer(&end.guest.queues[1], 0);
	vhost_front_end_kick(&end, 1);
	run();
}

/* A call that is full already, and would wait if it could. */
static void call_that_is_full(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	uint32_t head;
	uint32_t size;

	(void)state;
	start();
	assert_int_equal(fcntl(end.call_fds[1], F_SETFL, 0), 0);
	assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_CALL, 1, end.call_fds[1]));
	run();
	uint64_t count;
	assert_int_equal(read(end.call_fds[1], &count, sizeof(count)), sizeof(count));
	assert_int_equal(write(end.call_fds[1], &most, sizeof(most)), sizeof(most));
	use_one();
	scene->now_ns += NS_PER_MS;
	run();
	assert_true(vhost_guest_reap(&end.guest.queues[1], &head, &size));
	assert_int_equal(scene->closed, 0);
}

/* So that it waits for whoever writes, though it did not when it was given. */
static void make_call_block(void)
{
	const uint64_t most = UINT64_MAX - 1;

	(void)vhost_front_end_called(&end, 1);
	assert_int_equal(write(end.call_fds[1], &most, sizeof(most)), sizeof(most));
	assert_int_equal(fcntl(end.call_fds[1], F_SETFL, 0), 0);
}

static void call_that_blocks(void **state)
{
	(void)state;
	for (unsigned by_message = 0; by_message < 2; by_message++) {
		begin(true, false);
		start();
		make_call_block();
		use_one();
		assert_int_equal(scene->closed, 0);
		if (by_message) /* which settles what was used first of all */
			set_state(VHOST_GET_VRING_BASE, 1, 0);
		else
			scene->now_ns += NS_PER_MS;
		expect_gone();
		assert_non_null(strstr(scene->reason, "block"));
		finish();
	}
}

/* Each time would stop the network for a moment: the next front end is not served, the port is gone. */
static void call_that_blocks_behind_a_listener(void **state)
{
	struct attachment_context context = scene_new();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	struct error err = {};

	(void)state;
	fds_before = count_fds();
	int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(attachment_new_vhost_user(&context, listen_fd, &scene->attachment, &err),
			 0);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	scene->peer_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(scene->peer_fd, (struct sockaddr *)&address, size), 0);
	vhost_front_end_init(&end, scene->peer_fd, QUEUE_SIZE, true);
	run();
	start();
	make_call_block();
	use_one();
	scene->now_ns += NS_PER_MS;
	expect_gone();
	finish();
}

static void answers_nobody_reads(void **state)
{
	const struct vhost_message message = { .request = VHOST_GET_FEATURES };

	(void)state;
	for (unsigned i = 0; i < 20000 && scene->closed == 0; i++) {
		if (!vhost_front_end_send(&end, &message, NULL, 0))
			break;
		assert_int_equal(loop_run_once(scene->loop, 0), 0);
	}
	expect_gone();
}

static void refusal_is_answered(void **state)
{
	const struct vhost_message message = {
		.request = VHOST_SET_VRING_NUM,
		.needs_reply = true,
		.state = { 0, 3 },
	};
	uint64_t value;

	(void)state;
	assert_true(vhost_front_end_set_u64(&end, VHOST_SET_PROTOCOL_FEATURES,
					    VHOST_PROTOCOL_FEATURES));
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_SET_VRING_NUM, &value));
	assert_int_equal(value, 1);
	expect_gone();
}

/* --- rings ---------------------------------------------------------------------------------- */

static void broken_transmit_rings(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t size;
		uint16_t flags;
		uint16_t next;
		uint16_t head;
	} cases[] = {
		{ 0, 100, VHOST_NEXT, 0, 0 },
		{ 0, 100, VHOST_NEXT, 9999, 0 },
		{ UINT64_MAX - 10, 100, 0, 0, 0 },
		{ VHOST_GUEST_HALF, 1, 0, 0, 0 },
		{ VHOST_GUEST_SIZE * 4, 0, 0, 0, 0 },
		{ 0, 100, VHOST_WRITE, 0, 0 },
		{ 0, 15, VHOST_INDIRECT, 0, 0 },
		{ 0, UINT32_MAX, 0, 0, 0 },
		{ 0, UINT32_MAX, VHOST_INDIRECT, 0, 0 },
		{ 0, 100, 0, 0, QUEUE_SIZE },
		{ 0, 100, 0, 0, 65535 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		begin(true, false);
		start();
		vhost_guest_describe(end.guest.queues[1].descriptors, 0, cases[i].address,
				     cases[i].size, cases[i].flags, cases[i].next);
		vhost_guest_offer(&end.guest.queues[1], cases[i].head);
		vhost_front_end_kick(&end, 1);
		expect_gone();
		finish();
	}
}

static void broken_receive_rings(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t size;
		uint16_t flags;
		uint16_t next;
		uint16_t head;
	} cases[] = {
		{ 0, 100, VHOST_NEXT | VHOST_WRITE, 0, 0 },
		{ 0, 2000, 0, 0, 0 },
		{ VHOST_GUEST_HALF - 1, 2000, VHOST_WRITE, 0, 0 },
		{ UINT64_MAX, 2000, VHOST_WRITE, 0, 0 },
		{ 0, 2000, VHOST_WRITE, 0, QUEUE_SIZE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		begin(true, false);
		start();
		vhost_guest_describe(end.guest.queues[0].descriptors, 0, cases[i].address,
				     cases[i].size, cases[i].flags, cases[i].next);
		vhost_guest_offer(&end.guest.queues[0], cases[i].head);
		push_frame(100, 1);
		assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1);
		expect_gone();
		finish();
	}
}

static void index_that_runs_away(void **state)
{
	(void)state;
	start();
	vhost_guest_set_available(&end.guest.queues[1], QUEUE_SIZE + 1);
	vhost_front_end_kick(&end, 1);
	expect_gone();
}

/* Buffers without a byte: as many as the guest likes, and no turn lasts for ever. */
static void buffers_without_a_byte(void **state)
{
	(void)state;
	start();
	for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
		vhost_guest_describe(end.guest.queues[0].descriptors, i, 0, 0, VHOST_WRITE, 0);
		vhost_guest_offer(&end.guest.queues[0], i);
	}
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1);
	assert_int_equal(room(), 0);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->closed, 0);
}

/* How many descriptors of one ring may be read in one batch of the loop. */
#define TURN_DESCRIPTORS_MOST 9216

/* A chain of as many descriptors as the queue has, none of which holds a byte. */
static void describe_nothing(uint8_t *table, uint16_t count, uint16_t flags)
{
	for (uint16_t i = 0; i < count; i++)
		vhost_guest_describe(table, i, 0, 0, flags | (i + 1 < count ? VHOST_NEXT : 0),
				     (uint16_t)(i + 1));
}

/* They are read all the same: a few chains of them each batch, whatever else happens in it. */
static void nothing_is_transmitted_at_length(void **state)
{
	const uint64_t *dropped;

	(void)state;
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		struct vhost_guest_queue *queue;
		uint64_t before = 0;
		unsigned batches = 0;

		begin(true, false);
		start();
		dropped = &scene->drops.count[DROP_BAD_OFFLOAD];
		queue = &end.guest.queues[1];
		describe_nothing(indirect ? end.guest.bytes + VHOST_GUEST_BUFFERS
					  : queue->descriptors,
				 QUEUE_SIZE, 0);
		if (indirect)
			vhost_guest_describe(queue->descriptors, 0, VHOST_GUEST_BUFFERS,
					     QUEUE_SIZE * 16, VHOST_INDIRECT, 0);
		for (unsigned i = 0; i < QUEUE_SIZE; i++)
			vhost_guest_offer(queue, 0);
		vhost_front_end_kick(&end, 1);
		for (unsigned i = 0; i < 8; i++)
			set_state(VHOST_SET_VRING_ENABLE, 1, 1);
		while (*dropped < QUEUE_SIZE) {
			assert_int_equal(loop_run_once(scene->loop, 0), 0);
			assert_true((*dropped - before) * (QUEUE_SIZE + indirect) <=
				    TURN_DESCRIPTORS_MOST);
			before = *dropped;
			assert_true(++batches < 100); /* and no batch is lost for long */
		}
		run();
		assert_int_equal(vhost_guest_used_index(queue), QUEUE_SIZE);
		assert_int_equal(scene->closed, 0);
		finish();
	}
}

/* The same in the ring to receive into, and behind it all a buffer, which is found without a kick. */
static void nothing_is_looked_at_at_length(void **state)
{
	struct vhost_guest_queue *queue = &end.guest.queues[0];
	uint16_t before = 0;
	unsigned batches = 0;

	(void)state;
	start();
	describe_nothing(queue->descriptors, QUEUE_SIZE - 1, VHOST_WRITE);
	vhost_guest_describe(queue->descriptors, QUEUE_SIZE - 1, VHOST_GUEST_BUFFERS, 2000,
			     VHOST_WRITE, 0);
	for (unsigned i = 0; i < QUEUE_SIZE - 1; i++)
		vhost_guest_offer(queue, 0);
	vhost_guest_offer(queue, QUEUE_SIZE - 1);
	/* However often it is asked for. */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(room(), 0);
	while (scene->writable == 0) {
		uint16_t looked = vhost_guest_available_event(queue);

		assert_true((looked - before) * (QUEUE_SIZE - 1) <= TURN_DESCRIPTORS_MOST);
		before = looked;
		assert_int_equal(loop_run_once(scene->loop, 0), 0);
		assert_true(++batches < 100);
	}
	assert_true(batches > 5);
	assert_true(room() > 0);
	push_frame(100, 1);
	flush();
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 0);
	assert_int_equal(vhost_guest_used_index(queue), QUEUE_SIZE);
	assert_int_equal(scene->closed, 0);
}

/* --- anything ------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

/* Mostly sensible values, so that it gets far. */
static void random_message(void)
{
	static const uint64_t features[] = { FEATURES, VHOST_FEATURES, 0, VIRTIO_F_VERSION_1 };
	uint32_t index = random_below(20) == 0 ? random_below(5) : random_below(2);

	switch (random_below(14)) {
	case 0:
		(void)vhost_front_end_set_u64(&end, VHOST_SET_FEATURES, features[random_below(4)]);
		break;
	case 1:
	case 2:
		(void)vhost_front_end_set_memory(&end);
		break;
	case 3:
		(void)vhost_front_end_set_state(&end, VHOST_SET_VRING_NUM, index,
						(uint32_t)1 << random_below(12));
		break;
	case 4:
	case 5:
		(void)vhost_front_end_set_rings(&end, index & 1, random_below(2));
		break;
	case 6:
	case 7:
		(void)vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, (uint8_t)index,
					     end.kick_fds[index & 1]);
		break;
	case 8:
		(void)vhost_front_end_set_fd(&end, VHOST_SET_VRING_CALL, (uint8_t)index,
					     end.call_fds[index & 1]);
		break;
	case 9:
		(void)vhost_front_end_set_state(&end, VHOST_GET_VRING_BASE, index, 0);
		break;
	case 10:
		(void)vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, index,
						random_below(2));
		break;
	case 11:
		(void)vhost_front_end_set_u64(&end, VHOST_SET_PROTOCOL_FEATURES,
					      VHOST_PROTOCOL_FEATURES);
		break;
	default:
		for (unsigned i = 0; i < 64; i++) /* the rings, not the buffers */
			end.guest.bytes[random_below(0x31000)] = (uint8_t)random_below(256);
		break;
	}
}

static void random_orders(void **state)
{
	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 300; round++) {
		begin(true, false);
		if (round % 2)
			start();
		for (unsigned i = 0; i < 60 && scene->closed == 0; i++) {
			uint64_t reply[4];

			random_message();
			vhost_front_end_kick(&end, random_below(2));
			assert_int_equal(loop_run_once(scene->loop, 0), 0);
			push_frame(60 + random_below(1400), 1);
			(void)room();
			flush();
			while (recv(end.fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
				;
			scene->received = 0;
		}
		finish();
	}
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_with_every_size),
		cmocka_unit_test(every_request_with_every_number_of_descriptors),
		SCENE_TEST(descriptors_beside_every_byte),
		SCENE_TEST(header_only),
		SCENE_TEST(kick_before_anything),
		SCENE_TEST(kick_before_the_addresses),
		SCENE_TEST(addresses_before_the_memory),
		SCENE_TEST(addresses_before_the_size),
		SCENE_TEST(size_of_a_running_ring),
		SCENE_TEST(base_of_a_running_ring),
		SCENE_TEST(features_of_a_running_ring),
		SCENE_TEST(log_that_was_not_negotiated),
		SCENE_TEST(everything_twice),
		cmocka_unit_test(values_that_are_refused),
		cmocka_unit_test(regions_that_are_refused),
		cmocka_unit_test(memory_that_shrinks),
		SCENE_TEST(memory_of_missing_pages),
		SCENE_TEST(memory_that_is_none),
		cmocka_unit_test(rings_outside_the_memory),
		SCENE_TEST(size_that_outgrows_its_ring),
		SCENE_TEST(polled_ring),
		SCENE_TEST(kick_that_is_no_eventfd),
		cmocka_unit_test(call_that_is_no_eventfd),
		SCENE_TEST(call_that_is_full),
		cmocka_unit_test(call_that_blocks),
		cmocka_unit_test(call_that_blocks_behind_a_listener),
		SCENE_TEST(answers_nobody_reads),
		SCENE_TEST(refusal_is_answered),
		cmocka_unit_test(broken_transmit_rings),
		cmocka_unit_test(broken_receive_rings),
		SCENE_TEST(index_that_runs_away),
		SCENE_TEST(buffers_without_a_byte),
		cmocka_unit_test(nothing_is_transmitted_at_length),
		SCENE_TEST(nothing_is_looked_at_at_length),
		cmocka_unit_test(random_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
