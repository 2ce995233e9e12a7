/* The vhost-user attachment with a front end that behaves: negotiation, frames both ways, and
 * everything that may happen while they move. */
#include "attach_test.h"

#include "vhost_front_end.h"
#include "wire/checksum.h"

#define QUEUE_SIZE 256
#define HEADER	   12

/* What QEMU negotiates with a Linux guest. */
#define FEATURES (VHOST_FEATURES & ~VHOST_F_LOG_ALL)

static struct vhost_front_end end;
static int fds_before;

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int setup(void **state)
{
	const struct attachment_context context = scene_new();
	struct error err = {};
	int fds[2];

	(void)state;
	fds_before = count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_vhost_user(&context, fds[0], &scene->attachment, &err), 0);
	scene->peer_fd = fds[1];
	vhost_front_end_init(&end, fds[1], QUEUE_SIZE, true);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vhost_front_end_done(&end);
	scene->attachment = attachment_free(scene->attachment);
	scene->peer_fd = fd_close(scene->peer_fd);
	assert_int_equal(count_fds(), fds_before);
	return scene_teardown(state);
}

static void start(uint64_t features)
{
	vhost_front_end_start(&end, features, VHOST_PROTOCOL_FEATURES);
	run();
	assert_int_equal(scene->closed, 0);
	for (unsigned i = 0; i < 2; i++)
		(void)vhost_front_end_called(&end, i);
}

/* --- the guest's driver --------------------------------------------------------------------- */

static struct vhost_guest_queue *receive_queue(void)
{
	return &end.guest.queues[0];
}

static struct vhost_guest_queue *transmit_queue(void)
{
	return &end.guest.queues[1];
}

/* Buffers for the guest to receive into: `count` of `size` bytes, each a chain of one. */
static void offer_buffers(unsigned count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++) {
		uint16_t index = receive_queue()->next_available & (QUEUE_SIZE - 1);
		size_t offset = VHOST_GUEST_BUFFERS + (size_t)index * size;

		vhost_guest_describe(receive_queue()->descriptors, index,
				     vhost_guest_address(offset), size, VHOST_WRITE, 0);
		vhost_guest_offer(receive_queue(), index);
	}
}

/* The next frame that the guest received, with its header; 0: none. */
static size_t guest_receives(uint8_t *bytes, size_t capacity)
{
	size_t filled = 0;
	unsigned buffers = 1;
	uint32_t head;
	uint32_t size;

	for (unsigned i = 0; i < buffers; i++) {
		if (!vhost_guest_reap(receive_queue(), &head, &size)) {
			assert_int_equal(i, 0); /* a frame comes whole */
			return 0;
		}
		const uint8_t *entry = receive_queue()->descriptors + (size_t)head * 16;
		uint64_t address = vhost_guest_load(entry, 8);
		size_t offset = address >= VHOST_GUEST_HIGH
					? VHOST_GUEST_HALF + (address - VHOST_GUEST_HIGH)
					: address;

		assert_true(size <= vhost_guest_load(entry + 8, 4) && filled + size <= capacity);
		memcpy(bytes + filled, end.guest.bytes + offset, size);
		filled += size;
		/* The header itself may lie in several. */
		buffers = filled < HEADER ? i + 2 : (unsigned)vhost_guest_load(bytes + 10, 2);
		assert_in_range(buffers, 1, QUEUE_SIZE);
	}
	return filled;
}

/* A frame to transmit behind an empty header, cut into `count` descriptors from `first` on. */
static void guest_transmits_cut(const uint8_t *bytes, size_t size, uint16_t first,
				const size_t *cuts, size_t count)
{
	size_t at = VHOST_GUEST_BUFFERS + VHOST_GUEST_SIZE / 4 + (size_t)first * 4096;

	memcpy(end.guest.bytes + at, bytes, size);
	for (size_t i = 0; i < count; i++) {
		uint16_t index = (uint16_t)((first + i) & (QUEUE_SIZE - 1));
		size_t now = i + 1 < count ? cuts[i] : size;

		vhost_guest_describe(transmit_queue()->descriptors, index, vhost_guest_address(at),
				     (uint32_t)now, i + 1 < count ? VHOST_NEXT : 0,
				     (uint16_t)((index + 1) & (QUEUE_SIZE - 1)));
		at += now;
		size -= now;
	}
	vhost_guest_offer(transmit_queue(), first & (QUEUE_SIZE - 1));
}

static void guest_transmits(size_t size, uint8_t first_byte, uint16_t index)
{
	uint8_t bytes[4096] = {};

	fill_frame(bytes + HEADER, size, first_byte);
	guest_transmits_cut(bytes, HEADER + size, index, NULL, 1);
}

static unsigned guest_reaps_transmitted(void)
{
	unsigned count = 0;
	uint32_t head;
	uint32_t size;

	while (vhost_guest_reap(transmit_queue(), &head, &size)) {
		assert_int_equal(size, 0);
		count++;
	}
	return count;
}

static void expect_received(size_t size, uint8_t first)
{
	uint8_t expected[4096];
	uint8_t bytes[4096];

	fill_frame(expected, size, first);
	assert_int_equal(guest_receives(bytes, sizeof(bytes)), HEADER + size);
	assert_memory_equal(bytes + HEADER, expected, size);
}

/* --- negotiation ---------------------------------------------------------------------------- */

static uint64_t ask(enum vhost_request request)
{
	const struct vhost_message message = { .request = request };
	uint64_t value = 0;

	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_true(vhost_front_end_reply(&end, request, &value));
	return value;
}

static void features_are_told(void **state)
{
	(void)state;
	assert_int_equal(ask(VHOST_GET_FEATURES), 0x01c000017400998b);
	assert_int_equal(ask(VHOST_GET_PROTOCOL_FEATURES), 0x1a);
}

/* Answers come only where they are asked for, and REPLY_ACK was acknowledged. */
static void answers(void **state)
{
	struct vhost_message message = { .request = VHOST_SET_OWNER, .needs_reply = true };
	uint64_t value;

	(void)state;
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_false(vhost_front_end_reply(&end, VHOST_SET_OWNER, &value));
	assert_true(vhost_front_end_set_u64(&end, VHOST_SET_PROTOCOL_FEATURES, 8));
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_SET_OWNER, &value));
	assert_int_equal(value, 0);
	message.needs_reply = false;
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_false(vhost_front_end_reply(&end, VHOST_SET_OWNER, &value));
	/* What has an answer of its own is not answered twice. */
	message = (struct vhost_message){ .request = VHOST_GET_FEATURES, .needs_reply = true };
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_GET_FEATURES, &value));
	assert_false(vhost_front_end_reply(&end, VHOST_GET_FEATURES, &value));
}

static void mtu(void **state)
{
	static const struct {
		uint64_t mtu;
		bool good;
	} cases[] = {
		{ 1500, true }, { 1501, false }, { 68, true },
		{ 67, false },	{ 0, false },	 { UINT64_MAX, false },
	};
	uint64_t value;

	(void)state;
	assert_true(vhost_front_end_set_u64(&end, VHOST_SET_PROTOCOL_FEATURES, 0x18));
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct vhost_message message = {
			.request = VHOST_NET_SET_MTU,
			.needs_reply = true,
			.u64 = cases[i].mtu,
		};

		assert_true(vhost_front_end_send(&end, &message, NULL, 0));
		run();
		assert_true(vhost_front_end_reply(&end, VHOST_NET_SET_MTU, &value));
		assert_int_equal(value == 0, cases[i].good);
	}
	assert_int_equal(scene->closed, 0);
}

/* Byte by byte: a message is whole when it is. */
static void message_in_pieces(void **state)
{
	const struct vhost_message message = { .request = VHOST_GET_VRING_BASE, .state = { 1, 0 } };
	uint8_t bytes[64];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	uint64_t value;

	(void)state;
	vhost_message_build(&writer, &message);
	for (size_t i = 0; i < writer.position; i++) {
		assert_false(vhost_front_end_reply(&end, VHOST_GET_VRING_BASE, &value));
		assert_true(vhost_front_end_send_bytes(&end, bytes + i, 1, NULL, 0));
		run();
	}
	assert_true(vhost_front_end_reply(&end, VHOST_GET_VRING_BASE, &value));
	assert_int_equal(value, 1);
}

/* --- from the guest ------------------------------------------------------------------------- */

static void frames_from_the_guest(void **state)
{
	(void)state;
	start(FEATURES);
	for (uint16_t i = 0; i < 5; i++)
		guest_transmits(60 + i * 300u, (uint8_t)i, i);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(scene->sizes[i], 60 + i * 300u);
		assert_int_equal(scene->first[i], i);
	}
	assert_int_equal(scene->last_port, TEST_PORT);
	assert_true(scene->flushed >= 1);
	assert_int_equal(guest_reaps_transmitted(), 5);
	/* About a few small frames the guest is called a moment later. */
	assert_false(vhost_front_end_called(&end, 1));
	scene->now_ns += NS_PER_MS;
	run();
	assert_true(vhost_front_end_called(&end, 1));
	/* A kick for nothing, and nothing without a kick. */
	vhost_front_end_kick(&end, 1);
	run();
	guest_transmits(100, 0, 9);
	assert_int_equal(scene->received, 5);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 6);
}

/* Bulk is called about at once, by frames or by bytes, and only what was not called about waits. */
static void call_about_transmitted(void **state)
{
	static const struct {
		unsigned frames;
		uint32_t size;
		bool at_once;
	} cases[] = {
		{ 1, 60, false }, { 1, 1514, false }, { 15, 60, false },
		{ 16, 60, true }, { 12, 1514, true },
	};

	(void)state;
	/* Without EVENT_IDX, by which a guest that has not asked again is not called. */
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (unsigned n = 0; n < cases[i].frames; n++)
			guest_transmits(cases[i].size, 0, (uint16_t)n);
		vhost_front_end_kick(&end, 1);
		run();
		assert_int_equal(guest_reaps_transmitted(), cases[i].frames);
		assert_int_equal(vhost_front_end_called(&end, 1), cases[i].at_once);
		scene->now_ns += NS_PER_MS;
		run();
		assert_int_equal(vhost_front_end_called(&end, 1), !cases[i].at_once);
	}
}

/* A bare acknowledgement, whose memory nobody waits for. */
static void guest_acknowledges(uint16_t index)
{
	const struct packet_link link = { .source.octet = { 2, 0, 0, 0, 0, 1 } };
	const struct ip_endpoint from = { ip_addr_from_v4(0x0a000002), 40000 };
	const struct ip_endpoint to = { ip_addr_from_v4(0x0a000001), 80 };
	const struct tcp_header header = { .flags = TCP_ACK, .window = 500 };
	uint8_t bytes[HEADER + 100] = {};
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, NULL, 0, 0));
	size_t size = frame_copy(&frame, bytes + HEADER, sizeof(bytes) - HEADER);
	guest_transmits_cut(bytes, HEADER + size, index, NULL, 1);
}

static bool called_after(uint64_t delay_ns)
{
	scene->now_ns += delay_ns;
	run();
	return vhost_front_end_called(&end, 1);
}

/* Nobody waits for the memory of bare acknowledgements. */
static void call_about_acknowledgements(void **state)
{
	(void)state;
	scene->keeps_any = true;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	guest_acknowledges(0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(guest_reaps_transmitted(), 1);
	assert_false(called_after(48 * NS_PER_MS));
	/* With one that somebody may wait for, the call comes soon. */
	guest_transmits(100, 0, 1);
	vhost_front_end_kick(&end, 1);
	assert_false(called_after(0));
	assert_true(called_after(NS_PER_MS));
	/* Alone, late but surely; many at once. */
	guest_acknowledges(2);
	vhost_front_end_kick(&end, 1);
	assert_false(called_after(0));
	assert_false(called_after(49 * NS_PER_MS));
	assert_true(called_after(NS_PER_MS));
	for (uint16_t i = 0; i < 16; i++)
		guest_acknowledges(i);
	vhost_front_end_kick(&end, 1);
	assert_true(called_after(0));
}

/* A guest that receives looks at what it transmitted, too; one that does not is called once in 50 ms
 * however much it receives. */
static void reception_tells_of_transmission(void **state)
{
	unsigned calls = 0;

	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	for (uint16_t i = 0; i < 200; i++) {
		guest_transmits(100, 0, i);
		vhost_front_end_kick(&end, 1);
		assert_false(called_after(0));
		offer_buffers(1, 1600);
		push_frame(100, (uint8_t)i);
		flush();
		expect_received(100, (uint8_t)i);
		assert_true(vhost_front_end_called(&end, 0));
		calls += called_after(NS_PER_MS);
	}
	assert_in_range(calls, 3, 4);
	/* What nobody sees is no sign. */
	guest_transmits(100, 0, 0);
	vhost_front_end_kick(&end, 1);
	assert_false(called_after(0));
	flush();
	assert_true(called_after(NS_PER_MS));
}

/* What a bare acknowledgement towards the guest looks like, or with other flags. */
static void push_segment(uint8_t flags)
{
	const struct packet_link link = { .source.octet = { 2, 0, 0, 0, 0, 2 } };
	const struct ip_endpoint from = { ip_addr_from_v4(0x0a000001), 80 };
	const struct ip_endpoint to = { ip_addr_from_v4(0x0a000002), 40000 };
	const struct tcp_header header = { .flags = flags, .window = 500 };
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &from, &to, &header, NULL, 0, 0));
	frame_sink_push(attachment_sink(scene->attachment), &frame);
}

static void guest_says(size_t size)
{
	guest_transmits(size, 0, transmit_queue()->next_available & 15);
	run();
}

/* The call about an acknowledgement of what the guest has just sent waits for what comes next. */
static void acknowledgement_waits_for_the_answer(void **state)
{
	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	offer_buffers(30, 1600);
	guest_says(100);
	push_segment(TCP_ACK);
	flush();
	assert_int_equal(vhost_guest_used_index(receive_queue()), 1); /* it sees it */
	assert_false(vhost_front_end_called(&end, 0));
	push_segment(TCP_ACK | TCP_PSH | TCP_FIN);
	flush();
	assert_true(vhost_front_end_called(&end, 0));
	run();
	assert_false(vhost_front_end_called(&end, 0)); /* one call for both */
	/* Nothing comes: before the loop goes to sleep, or where it does not, soon. */
	guest_says(100);
	push_segment(TCP_ACK);
	flush();
	assert_int_equal(loop_run_once(scene->loop, 1), 0);
	assert_true(vhost_front_end_called(&end, 0));
	guest_says(100);
	push_segment(TCP_ACK);
	flush();
	assert_int_equal(loop_run_once(scene->loop, 0), 0);
	assert_false(vhost_front_end_called(&end, 0));
	push_segment(TCP_ACK);
	flush(); /* does not begin anew */
	assert_int_equal(loop_run_once(scene->loop, 0), 0);
	assert_true(vhost_front_end_called(&end, 0));
}

static void acknowledgement_is_called_about_at_once(void **state)
{
	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	offer_buffers(30, 1600);
	push_segment(TCP_ACK); /* of a handshake, perhaps: the guest sent no bytes */
	flush();
	assert_true(vhost_front_end_called(&end, 0));
	static const uint8_t flags[] = { TCP_ACK | TCP_SYN, TCP_ACK | TCP_FIN, TCP_ACK | TCP_RST };
	for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
		guest_says(100);
		push_segment(flags[i]);
		flush();
		assert_true(vhost_front_end_called(&end, 0));
	}
	guest_says(100);
	loop_note_bytes(scene->loop, 65536); /* bulk, whose sender waits for it */
	push_segment(TCP_ACK);
	flush();
	assert_true(vhost_front_end_called(&end, 0));
}

/* The call that is owed does not outlive the session. */
static void call_is_owed_while_the_session_ends(void **state)
{
	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	offer_buffers(30, 1600);
	guest_says(100);
	push_segment(TCP_ACK);
	flush();
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	run();
	assert_int_equal(scene->closed, 1);
	assert_int_equal(loop_run_once(scene->loop, 1), 0);
	assert_false(vhost_front_end_called(&end, 0));
}

/* The call that waits does not outlive the ring. */
static void call_waits_while_the_ring_stops(void **state)
{
	(void)state;
	start(FEATURES);
	guest_transmits(60, 0, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_false(vhost_front_end_called(&end, 1));
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
	scene->now_ns += NS_PER_MS;
	run();
	assert_false(vhost_front_end_called(&end, 1));
}

static void more_than_a_turn(void **state)
{
	unsigned reaped = 0;

	(void)state;
	start(FEATURES);
	for (unsigned round = 0; round < 8; round++) {
		for (uint16_t i = 0; i < QUEUE_SIZE; i++)
			guest_transmits(200, 1, i);
		vhost_front_end_kick(&end, 1);
		run();
		reaped += guest_reaps_transmitted();
	}
	assert_int_equal(scene->received, 8 * QUEUE_SIZE);
	assert_int_equal(reaped, 8 * QUEUE_SIZE);
}

/* The header and the frame lie in as many pieces as the guest likes (CVE-2022-2132). */
static void headers_in_pieces(void **state)
{
	static const size_t cuts[][20] = {
		{ 12 },
		{ 10, 2 },
		{ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
		{ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
		{ 13 },
		{ 5, 20, 7 },
		{ 0, 5, 0, 7, 0, 14, 0 },
	};
	static const size_t counts[] = { 2, 3, 13, 21, 2, 4, 8 };
	uint8_t bytes[HEADER + 300] = {};

	(void)state;
	start(FEATURES);
	fill_frame(bytes + HEADER, 300, 7);
	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
		guest_transmits_cut(bytes, sizeof(bytes), 0, cuts[i], counts[i]);
		vhost_front_end_kick(&end, 1);
		run();
		assert_int_equal(scene->received, i + 1);
		assert_int_equal(scene->sizes[i], 300);
		assert_int_equal(guest_reaps_transmitted(), 1);
	}
}

/* In more pieces than a frame may have. */
static void many_pieces(void **state)
{
	uint8_t bytes[HEADER + 1000] = {};
	size_t cuts[200];

	(void)state;
	start(FEATURES);
	fill_frame(bytes + HEADER, 1000, 7);
	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++)
		cuts[i] = 5;
	for (size_t count = 30; count < 40; count++)
		guest_transmits_cut(bytes, sizeof(bytes), (uint16_t)(count - 30), cuts, count);
	/* The chains above share descriptors, so one at a time is looked at. */
	transmit_queue()->next_available = 0;
	for (size_t count = 30; count < 200; count++) {
		guest_transmits_cut(bytes, sizeof(bytes), 0, cuts, count);
		vhost_front_end_kick(&end, 1);
		run();
		assert_int_equal(scene->received, count - 29);
		assert_int_equal(scene->sizes[count - 30], 1000);
	}
	assert_int_equal(scene->closed, 0);
}

static void indirect_frames(void **state)
{
	uint8_t bytes[HEADER + 500] = {};
	uint8_t *table = end.guest.bytes + VHOST_GUEST_BUFFERS;
	size_t at =
		VHOST_GUEST_HALF - 100; /* over both regions, which do not touch for the guest */

	(void)state;
	start(FEATURES);
	fill_frame(bytes + HEADER, 500, 3);
	memcpy(end.guest.bytes + at, bytes, sizeof(bytes));
	vhost_guest_describe(table, 0, vhost_guest_address(at), 12, VHOST_NEXT, 2);
	vhost_guest_describe(table, 2, vhost_guest_address(at + 12), 88, VHOST_NEXT, 1);
	vhost_guest_describe(table, 1, VHOST_GUEST_HIGH, 412, 0, 0);
	vhost_guest_describe(transmit_queue()->descriptors, 4, VHOST_GUEST_BUFFERS, 48,
			     VHOST_INDIRECT, 0);
	vhost_guest_offer(transmit_queue(), 4);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1);
	assert_int_equal(scene->sizes[0], 500);
}

/* Costs the frame, not the port; its chain comes back. */
static void frames_that_are_dropped(void **state)
{
	static const struct {
		uint8_t header[HEADER];
		size_t size; /* of header and frame */
		enum drop_reason reason;
	} cases[] = {
		{ {}, 0, DROP_BAD_OFFLOAD },
		{ {}, 1, DROP_BAD_OFFLOAD },
		{ {}, 11, DROP_BAD_OFFLOAD }, /* shorter than the header (CVE-2022-2132) */
		{ {}, 12, DROP_SHORT_FRAME },
		{ {}, 25, DROP_SHORT_FRAME },
		{ {}, HEADER + TEST_LIMIT + 1, DROP_LONG_FRAME },
		/* csum_start and csum_offset beyond the packet (CVE-2024-11614) */
		{ { 1, 0, 0, 0, 0, 0, 0xff, 0xff, 16, 0 }, 112, DROP_BAD_OFFLOAD },
		{ { 1, 0, 0, 0, 0, 0, 34, 0, 0xff, 0xff }, 112, DROP_BAD_OFFLOAD },
		{ { 1, 0, 0, 0, 0, 0, 34, 0, 16, 0 }, 112, DROP_BAD_OFFLOAD },	/* no TCP */
		{ { 1, 1, 54, 0, 0, 0, 34, 0, 16, 0 }, 112, DROP_BAD_OFFLOAD }, /* gso_size 0 */
		{ { 1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0 }, 112, DROP_BAD_OFFLOAD },
		{ { 0, 3, 0, 0, 0xb4, 5, 0, 0, 0, 0 }, 112, DROP_BAD_OFFLOAD }, /* UFO */
	};

	(void)state;
	start(FEATURES);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t bytes[4096] = {};
		uint64_t before = scene->drops.count[cases[i].reason];

		fill_frame(bytes + HEADER, 3000, 0);
		memcpy(bytes, cases[i].header, HEADER);
		guest_transmits_cut(bytes, cases[i].size, 0, NULL, 1);
		vhost_front_end_kick(&end, 1);
		run();
		if (scene->drops.count[cases[i].reason] != before + 1)
			fail_msg("case %zu", i);
		assert_int_equal(guest_reaps_transmitted(), 1);
	}
	assert_int_equal(scene->received, 0);
	assert_int_equal(scene->closed, 0);
	guest_transmits(100, 1, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1);
}

/* Eight regions, told while the rings run, and frames both ways with a piece in each. */
static void frames_over_eight_regions(void **state)
{
	const size_t size = 1400;
	const size_t cut = (HEADER + size) / VHOST_REGIONS_MOST;
	const size_t space = VHOST_GUEST_SIZE / VHOST_REGIONS_MOST;
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE,
					 .memory.count = VHOST_REGIONS_MOST };
	uint8_t bytes[HEADER + 1400] = {};
	int fds[VHOST_REGIONS_MOST];

	(void)state;
	start(FEATURES);
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++) {
		message.memory.regions[i] = (struct vhost_region){
			.guest_address = (VHOST_REGIONS_MOST - i) * VHOST_GUEST_HIGH,
			.size = space,
			.user_address = (uintptr_t)end.guest.bytes + i * space,
			.file_offset = i * space,
		};
		fds[i] = end.guest.memory_fd;
	}
	assert_true(vhost_front_end_send(&end, &message, fds, VHOST_REGIONS_MOST));
	run();
	fill_frame(bytes + HEADER, size, 7);
	for (uint16_t i = 0; i < VHOST_REGIONS_MOST; i++) {
		uint64_t address = message.memory.regions[i].guest_address + 0x50000;
		size_t now = i + 1 < VHOST_REGIONS_MOST ? cut : sizeof(bytes) - i * cut;
		bool last = i + 1 == VHOST_REGIONS_MOST;

		memcpy(end.guest.bytes + i * space + 0x50000, bytes + i * cut, now);
		vhost_guest_describe(transmit_queue()->descriptors, i, address, (uint32_t)now,
				     last ? 0 : VHOST_NEXT, (uint16_t)(i + 1));
		vhost_guest_describe(receive_queue()->descriptors, i, address + 0x1000,
				     (uint32_t)now, VHOST_WRITE | (last ? 0 : VHOST_NEXT),
				     (uint16_t)(i + 1));
	}
	vhost_guest_offer(transmit_queue(), 0);
	vhost_guest_offer(receive_queue(), 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1); /* its bytes are looked at where it comes in */
	assert_int_equal(scene->sizes[0], size);
	assert_int_equal(guest_reaps_transmitted(), 1);
	push_frame(size, 9);
	flush();
	uint32_t head;
	uint32_t got;
	assert_true(vhost_guest_reap(receive_queue(), &head, &got));
	assert_int_equal(got, sizeof(bytes));
	fill_frame(bytes + HEADER, size, 9);
	bytes[10] = 1; /* one chain */
	for (size_t i = 0; i < VHOST_REGIONS_MOST; i++)
		assert_memory_equal(end.guest.bytes + i * space + 0x51000, bytes + i * cut,
				    i + 1 < VHOST_REGIONS_MOST ? cut : sizeof(bytes) - i * cut);
	assert_int_equal(scene->closed, 0);
}

/* A chain far longer than any frame: nothing is copied for it. */
static void enormous_chain(void **state)
{
	(void)state;
	start(FEATURES);
	vhost_guest_describe(transmit_queue()->descriptors, 0, 0, VHOST_GUEST_HALF, VHOST_NEXT, 1);
	vhost_guest_describe(transmit_queue()->descriptors, 1, VHOST_GUEST_HIGH, VHOST_GUEST_HALF,
			     0, 0);
	vhost_guest_offer(transmit_queue(), 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->drops.count[DROP_BAD_OFFLOAD] + scene->drops.count[DROP_LONG_FRAME],
			 1);
	assert_int_equal(scene->closed, 0);
}

/* --- to the guest --------------------------------------------------------------------------- */

static void frames_to_the_guest(void **state)
{
	uint8_t bytes[64];

	(void)state;
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1); /* no driver yet */
	start(FEATURES);
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1); /* no buffers */
	offer_buffers(8, 1600);
	for (uint8_t i = 0; i < 3; i++)
		push_frame(60 + i * 400u, i);
	assert_int_equal(guest_receives(bytes, sizeof(bytes)), 0); /* before the flush */
	flush();
	for (uint8_t i = 0; i < 3; i++)
		expect_received(60 + i * 400u, i);
	assert_int_equal(guest_receives(bytes, sizeof(bytes)), 0);
	assert_true(vhost_front_end_called(&end, 0));
	push_frame(42, 9); /* padded */
	flush();
	uint8_t expected[60] = {};
	fill_frame(expected, 42, 9);
	uint8_t got[HEADER + 60];
	assert_int_equal(guest_receives(got, sizeof(got)), HEADER + 60);
	assert_memory_equal(got + HEADER, expected, 60);
}

/* Buffers that are too small alone are merged; the last is not wasted, and the rest stays. */
static void merged_buffers(void **state)
{
	(void)state;
	start(FEATURES);
	for (uint32_t size = 1; size < 200; size += 13) {
		unsigned needed = (HEADER + 150 + size - 1) / size;

		offer_buffers(needed, size);
		push_frame(150, (uint8_t)size);
		flush();
		expect_received(150, (uint8_t)size);
	}
	/* One byte more than there is. */
	offer_buffers(3, 50);
	push_frame(139, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1);
	push_frame(138, 1);
	flush();
	expect_received(138, 1);
}

static void buffers_without_merging(void **state)
{
	(void)state;
	start(FEATURES & ~VIRTIO_NET_F_MRG_RXBUF);
	offer_buffers(2, 100);
	push_frame(100, 1); /* does not fit the first, though both would hold it */
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 1);
	push_frame(88, 1);
	flush();
	expect_received(88, 1);
}

/* Before VERSION_1 the header has 10 bytes. */
static void legacy_header(void **state)
{
	uint8_t bytes[10 + 100] = {};
	uint8_t got[200];
	uint32_t head;
	uint32_t size;

	(void)state;
	start(VIRTIO_F_EVENT_IDX);
	fill_frame(bytes + 10, 100, 5);
	guest_transmits_cut(bytes, sizeof(bytes), 0, NULL, 1);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1);
	assert_int_equal(scene->sizes[0], 100);
	offer_buffers(1, 200);
	push_frame(100, 5);
	flush();
	assert_true(vhost_guest_reap(receive_queue(), &head, &size));
	assert_int_equal(size, 110);
	memcpy(got, end.guest.bytes + VHOST_GUEST_BUFFERS, size);
	assert_memory_equal(got + 10, bytes + 10, 100);
}

/* A TCP super-frame of ours: 3000 bytes at an MSS of 1000. */
static void push_super_frame(size_t payload_size, const uint8_t *payload)
{
	static const uint8_t headers[54] = {
		2,    0,  0,	0, 0, 1, 2,    0, 0,  0, 0, 2, 8,    0, /* Ethernet */
		0x45, 0,  0,	0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10,   0,
		0,    1,  10,	0, 0, 2, /* IPv4 */
		0,    80, 0x10, 0, 0, 0, 0,    1, 0,  0, 0, 1, 0x50, 0x18,
		1,    0,  0,	0, 0, 0,
	};
	static uint8_t bytes[FRAME_MAX_SIZE];
	size_t total = 40 + payload_size;
	enum drop_reason reason;
	struct frame frame;

	memcpy(bytes, headers, sizeof(headers));
	memcpy(bytes + 54, payload, payload_size);
	bytes[16] = (uint8_t)(total >> 8);
	bytes[17] = (uint8_t)total;
	uint64_t sum = checksum_add(0, bytes + 14, 20, false);
	uint16_t folded = checksum_finish(sum);
	bytes[24] = (uint8_t)(folded >> 8);
	bytes[25] = (uint8_t)folded;
	assert_true(frame_from_bytes(&frame, bytes, 54 + payload_size, FRAME_PORT_NONE, &reason));
	frame.offload = (struct frame_offload){
		.checksum_partial = true,
		.checksum_start = 34,
		.checksum_offset = 16,
		.gso = FRAME_GSO_TCP4,
		.gso_size = 1000,
	};
	frame_sink_push(attachment_sink(scene->attachment), &frame);
}

static void super_frames(void **state)
{
	static uint8_t payload[60000];
	static uint8_t got[70000];

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	start(FEATURES);
	offer_buffers(100, 1536);
	push_super_frame(sizeof(payload), payload);
	flush();
	assert_int_equal(guest_receives(got, sizeof(got)), HEADER + 54 + sizeof(payload));
	assert_memory_equal(got + HEADER + 54, payload, sizeof(payload));
	assert_int_equal(got[0], 1);
	assert_int_equal(got[1], 1);
	assert_int_equal(vhost_guest_load(got + 4, 2), 1000);
	assert_int_equal(vhost_guest_load(got + 6, 2), 34);
	assert_int_equal(vhost_guest_load(got + 8, 2), 16);
	/* 60066 bytes in buffers of 1536 */
	assert_int_equal(vhost_guest_load(got + 10, 2), 40);
}

/* A guest without GUEST_TSO4 gets plain segments, one without GUEST_CSUM whole checksums too. */
static void super_frames_are_cut(void **state)
{
	static const uint8_t payload[3000];
	uint8_t got[2048];

	(void)state;
	start(FEATURES & ~VIRTIO_NET_F_GUEST_CSUM);
	offer_buffers(10, 1536);
	push_super_frame(sizeof(payload), payload);
	flush();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(guest_receives(got, sizeof(got)), HEADER + 1054);
		assert_int_equal(got[0], 0);
		assert_int_equal(got[1], 0);
	}
	assert_int_equal(guest_receives(got, sizeof(got)), 0);
}

/* --- in place ------------------------------------------------------------------------------- */

static size_t reserve(size_t header_size, size_t size, struct iovec *parts, size_t capacity,
		      size_t *count)
{
	*count = 0;
	return frame_sink_reserve(attachment_sink(scene->attachment), TEST_PORT, header_size, size,
				  parts, capacity, count);
}

/* As a source does: receives into the place and pushes what stands there. */
static void push_in_place(struct iovec *parts, size_t count, size_t size, uint8_t first)
{
	static uint8_t bytes[FRAME_MAX_SIZE];
	struct frame frame;
	enum drop_reason reason;
	struct iovec payload[FRAME_PAYLOAD_MAX_PARTS];
	size_t used = 0;
	size_t done = 0;

	fill_frame(bytes, 14 + size, first);
	/* The headers are those of the frame; its payload is already where it belongs. */
	assert_true(frame_from_bytes(&frame, bytes, 14, FRAME_PORT_NONE, &reason));
	for (; used < count && done < size; used++) {
		size_t now = parts[used].iov_len < size - done ? parts[used].iov_len : size - done;

		payload[used] = (struct iovec){ parts[used].iov_base, now };
		memcpy(parts[used].iov_base, bytes + 14 + done, now);
		done += now;
	}
	assert_int_equal(done, size);
	frame.in_place = true;
	frame.payload = payload;
	frame.payload_count = used;
	frame.payload_size = size;
	frame_sink_push(attachment_sink(scene->attachment), &frame);
}

static void received_in_place(void **state)
{
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	size_t count;

	(void)state;
	assert_int_equal(reserve(14, 1000, parts, ARRAY_COUNT(parts), &count), 0);
	start(FEATURES);
	assert_int_equal(reserve(14, 1000, parts, ARRAY_COUNT(parts), &count), 0);
	offer_buffers(20, 300);
	for (size_t size = 46; size < 1400; size += 111) {
		assert_int_equal(reserve(14, 1400, parts, ARRAY_COUNT(parts), &count), 1400);
		assert_int_equal(parts[0].iov_len, 300 - HEADER - 14);
		push_in_place(parts, count, size, (uint8_t)size);
		flush();
		expect_received(14 + size, (uint8_t)size);
		offer_buffers((unsigned)(HEADER + 14 + size + 299) / 300, 300);
	}
	/* Fewer parts, or fewer bytes, than was asked for. */
	assert_int_equal(reserve(14, 1400, parts, 2, &count), 300 - HEADER - 14 + 300);
	assert_int_equal(count, 2);
	assert_int_equal(reserve(14, 60000, parts, ARRAY_COUNT(parts), &count), 20 * 300 - 26);
	assert_int_equal(reserve(20 * 300 - HEADER, 1, parts, ARRAY_COUNT(parts), &count), 0);
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 0);
}

/* Headers longer than the first buffer. */
static void place_behind_small_buffers(void **state)
{
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	size_t count;

	(void)state;
	start(FEATURES);
	offer_buffers(40, 10);
	assert_int_equal(reserve(14, 100, parts, ARRAY_COUNT(parts), &count), 100);
	assert_int_equal(parts[0].iov_len, 4);
	push_in_place(parts, count, 100, 1);
	flush();
	expect_received(114, 1);
}

/* Another frame took the place meanwhile: the bytes arrive nevertheless. */
static void place_that_is_taken(void **state)
{
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	size_t count;

	(void)state;
	start(FEATURES);
	offer_buffers(20, 300);
	assert_int_equal(reserve(14, 400, parts, ARRAY_COUNT(parts), &count), 400);
	push_in_place(parts, count, 100, 1);
	/* The rest of the old place, as if it were the new frame's. */
	struct iovec rest = { (uint8_t *)parts[1].iov_base + 50, 200 };
	push_in_place(&rest, 1, 200, 2);
	flush();
	expect_received(114, 1);
	expect_received(214, 2);
}

/* Without mergeable buffers the place is within one buffer. */
static void place_without_merging(void **state)
{
	struct iovec parts[FRAME_PAYLOAD_MAX_PARTS];
	size_t count;

	(void)state;
	start(FEATURES & ~VIRTIO_NET_F_MRG_RXBUF);
	offer_buffers(4, 300);
	assert_int_equal(reserve(14, 400, parts, ARRAY_COUNT(parts), &count), 274);
	push_in_place(parts, count, 274, 1);
	flush();
	expect_received(288, 1);
}

/* --- room ----------------------------------------------------------------------------------- */

static void room_and_its_return(void **state)
{
	(void)state;
	assert_int_equal(room(), SIZE_MAX); /* nobody there: what is pushed is dropped */
	start(FEATURES);
	assert_int_equal(room(), 0);
	assert_int_equal(scene->writable, 0);
	offer_buffers(QUEUE_SIZE, 1536);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 1);
	assert_in_range(room(), 128 << 10, QUEUE_SIZE * 1536);
	/* What is promised fits: frames of 1500 bytes until there is none, without a drop. */
	unsigned pushed = 0;
	while (room() > 1500) {
		push_frame(1500, 0);
		pushed++;
	}
	assert_int_equal(scene->drops.count[DROP_PORT_FULL], 0);
	assert_true(pushed > QUEUE_SIZE / 2);
	flush();
	/* Not before there is enough to be worth it, and then once. */
	assert_int_equal(room(), 0);
	offer_buffers(1, 1536);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 1);
	offer_buffers(pushed - 1, 1536);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 2);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 2);
}

/* A ring that never holds much must not wait for more. */
static void room_of_a_small_ring(void **state)
{
	(void)state;
	start(FEATURES);
	offer_buffers(8, 200);
	assert_int_equal(room(), 1600 - HEADER);
	push_frame(1000, 1);
	assert_int_equal(room(), 400 - HEADER);
	push_frame(188, 1);
	assert_int_equal(room(), 0);
	offer_buffers(2, 200);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 0);
	offer_buffers(1, 200);
	vhost_front_end_kick(&end, 0);
	run();
	assert_int_equal(scene->writable, 1);
	assert_int_equal(room(), 800 - HEADER);
}

/* A guest that stops its driver does not hold up who waits for room. */
static void room_after_the_ring_stopped(void **state)
{
	uint64_t value;

	(void)state;
	start(FEATURES);
	assert_int_equal(room(), 0);
	assert_true(vhost_front_end_set_state(&end, VHOST_GET_VRING_BASE, 0, 0));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_GET_VRING_BASE, &value));
	assert_int_equal(scene->writable, 1);
	assert_int_equal(room(), SIZE_MAX);
}

/* --- rings that start and stop -------------------------------------------------------------- */

/* With PROTOCOL_FEATURES a ring waits for SET_VRING_ENABLE, without it does not. */
static void disabled_rings(void **state)
{
	(void)state;
	start(FEATURES);
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 0, 0));
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 1, 0));
	run();
	offer_buffers(4, 1600);
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	guest_transmits(100, 1, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 0);
	/* Nothing is lost by it. */
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 0, 1));
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 1, 1));
	run();
	assert_int_equal(scene->received, 1);
	push_frame(100, 1);
	flush();
	expect_received(100, 1);
}

static void enabled_at_once_without_protocol_features(void **state)
{
	(void)state;
	start(FEATURES & ~VHOST_USER_F_PROTOCOL_FEATURES);
	offer_buffers(4, 1600);
	push_frame(100, 1);
	flush();
	expect_received(100, 1);
	guest_transmits(100, 1, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1);
}

static uint32_t stop_ring(uint32_t index)
{
	struct vhost_vring_state base;
	uint64_t value;

	assert_true(vhost_front_end_set_state(&end, VHOST_GET_VRING_BASE, index, 0));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_GET_VRING_BASE, &value));
	memcpy(&base, &value, sizeof(base));
	assert_int_equal(base.index, index);
	return base.value;
}

/* What was looked at and not used is the guest's again; what was used is there. */
static void stop_and_start_again(void **state)
{
	(void)state;
	start(FEATURES);
	offer_buffers(10, 1600);
	push_frame(100, 1);
	push_frame(200, 2);
	(void)room();
	guest_transmits(100, 1, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(stop_ring(1), 1);
	assert_int_equal(stop_ring(0), 2); /* without a flush before */
	expect_received(100, 1);
	expect_received(200, 2);
	assert_true(vhost_front_end_called(&end, 0));
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	guest_transmits(300, 2, 1);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 1);

	for (uint8_t i = 0; i < 2; i++) {
		assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_BASE, i, 2 - i));
		assert_true(vhost_front_end_set_rings(&end, i, 0));
		assert_true(vhost_front_end_set_fd(&end, VHOST_SET_VRING_KICK, i, end.kick_fds[i]));
	}
	run();
	assert_int_equal(scene->closed, 0);
	assert_int_equal(scene->received, 2);
	assert_int_equal(scene->sizes[1], 300);
	push_frame(400, 4);
	flush();
	expect_received(400, 4);
	assert_int_equal(stop_ring(0), 3);
}

/* Memory is plugged in while frames move: buffers that were looked at move with it. */
static void memory_changes_under_traffic(void **state)
{
	(void)state;
	start(FEATURES);
	offer_buffers(200, 1600);
	for (unsigned i = 0; i < 20; i++) {
		push_frame(100 + i, 1);
		(void)room();
		assert_true(vhost_front_end_set_memory(&end));
		guest_transmits(100 + i, 1, (uint16_t)i);
		vhost_front_end_kick(&end, 1);
		run();
		push_frame(300 + i, 2);
		flush();
		expect_received(100 + i, 1);
		expect_received(300 + i, 2);
	}
	assert_int_equal(scene->received, 20);
	assert_int_equal(scene->closed, 0);
}

/* The rings have no place in the new memory: nothing runs, until they have one again. */
static void memory_without_the_rings(void **state)
{
	struct vhost_message message = { .request = VHOST_SET_MEM_TABLE, .memory.count = 1 };
	struct vhost_region regions[2];

	(void)state;
	start(FEATURES);
	offer_buffers(4, 1600);
	vhost_guest_regions(&end.guest, regions);
	message.memory.regions[0] = regions[1];
	assert_true(vhost_front_end_send(&end, &message, &end.guest.memory_fd, 1));
	run();
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	guest_transmits(100, 1, 0);
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 0);
	assert_int_equal(scene->closed, 0);
	assert_true(vhost_front_end_set_memory(&end));
	run();
	assert_int_equal(scene->received, 1);
	push_frame(100, 1);
	flush();
	expect_received(100, 1);
}

/* --- the log of written pages --------------------------------------------------------------- */

static void log_of_written_pages(void **state)
{
	const struct vhost_message base = { .request = VHOST_SET_LOG_BASE,
					    .log = { .size = 0x40000, .offset = 0 } };
	int log_fd = vhost_guest_memfd(0x40000, true);
	uint8_t *bits = mmap(NULL, 0x40000, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	uint64_t value;

	(void)state;
	start(FEATURES);
	offer_buffers(10, 5000);
	push_frame(100, 1); /* looked at before, logged after */
	flush();
	expect_received(100, 1);
	assert_true(vhost_front_end_send(&end, &base, &log_fd, 1));
	run();
	assert_true(vhost_front_end_reply(&end, VHOST_SET_LOG_BASE, &value));
	assert_int_equal(value, 0);
	push_frame(100, 1);
	flush();
	assert_int_equal(bits[VHOST_GUEST_BUFFERS / 4096 / 8], 0); /* not asked for yet */
	expect_received(100, 1);

	assert_true(vhost_front_end_set_u64(&end, VHOST_SET_FEATURES, FEATURES | VHOST_F_LOG_ALL));
	assert_true(vhost_front_end_set_rings(&end, 0, VHOST_VRING_LOG));
	run();
	assert_int_equal(scene->closed, 0);
	push_frame(1400, 1); /* into the third buffer: 10000 to 11412 of the buffers' pages */
	flush();
	expect_received(1400, 1);
	assert_int_equal(bits[VHOST_GUEST_BUFFERS / 4096 / 8], 1 << 2);
	assert_int_equal(bits[0x10000 / 4096 / 8], 1); /* the used ring of queue 0 */
	assert_true(vhost_front_end_set_u64(&end, VHOST_SET_FEATURES, FEATURES));
	run();
	memset(bits, 0, 0x40000);
	push_frame(100, 1);
	flush();
	for (size_t i = 0; i < 0x40000; i++)
		assert_int_equal(bits[i], 0);
	(void)munmap(bits, 0x40000);
	(void)close(log_fd);
}

/* --- calls and kicks ------------------------------------------------------------------------ */

static void calls_are_batched(void **state)
{
	uint64_t count;

	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	offer_buffers(50, 1600);
	for (unsigned i = 0; i < 50; i++)
		push_frame(100, 1);
	assert_false(vhost_front_end_called(&end, 0));
	flush();
	assert_int_equal(read(end.call_fds[0], &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	flush();
	assert_false(vhost_front_end_called(&end, 0));
}

static void a_guest_that_polls(void **state)
{
	const struct vhost_message message = { .request = VHOST_SET_VRING_CALL,
					       .vring_fd = { 0, false } };

	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	assert_true(vhost_front_end_send(&end, &message, NULL, 0));
	run();
	offer_buffers(1, 1600);
	push_frame(100, 1);
	flush();
	expect_received(100, 1);
	assert_false(vhost_front_end_called(&end, 0));
}

/* A kick is asked for when the loop goes to sleep, not while it is awake. */
static void kicks_are_for_sleepers(void **state)
{
	(void)state;
	start(FEATURES);
	guest_transmits(100, 1, 0);
	run(); /* unasked: it is seen */
	assert_int_equal(scene->received, 1);
	assert_int_equal(vhost_guest_available_event(transmit_queue()), 0);
	assert_int_equal(loop_run_once(scene->loop, 1), 0);
	assert_int_equal(vhost_guest_available_event(transmit_queue()), 1);
	guest_transmits(100, 2, 1);
	guest_transmits(100, 3, 2);
	vhost_front_end_kick(&end, 1);
	assert_int_equal(loop_run_once(scene->loop, -1), 0);
	assert_int_equal(scene->received, 3);
	assert_int_equal(vhost_guest_available_event(transmit_queue()), 1);
}

/* The same without EVENT_IDX, by a flag. */
static void kicks_by_a_flag(void **state)
{
	const uint8_t *flags = transmit_queue()->used;

	(void)state;
	start(FEATURES & ~VIRTIO_F_EVENT_IDX);
	guest_transmits(100, 1, 0);
	run();
	assert_int_equal(scene->received, 1);
	assert_int_equal(vhost_guest_load(flags, 2), 1);
	assert_int_equal(loop_run_once(scene->loop, 1), 0);
	assert_int_equal(vhost_guest_load(flags, 2), 0);
}

/* A ring that stands still is not looked at, whatever stands in it. */
static void a_ring_that_stands_still(void **state)
{
	(void)state;
	start(FEATURES);
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 1, 0));
	run();
	guest_transmits(100, 1, 0);
	run();
	assert_int_equal(loop_run_once(scene->loop, 1), 0);
	assert_int_equal(scene->received, 0);
	assert_true(vhost_front_end_set_state(&end, VHOST_SET_VRING_ENABLE, 1, 1));
	run();
	assert_int_equal(scene->received, 1);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void front_end_leaves(void **state)
{
	(void)state;
	start(FEATURES);
	assert_int_equal(room(), 0);
	scene->peer_fd = fd_close(scene->peer_fd);
	run();
	assert_int_equal(scene->closed, 1);
	assert_string_equal(scene->reason, "");
	assert_int_equal(scene->writable, 1);
	push_frame(100, 1);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	assert_int_equal(room(), SIZE_MAX);
	flush();
	vhost_front_end_kick(&end, 1);
	run();
	assert_int_equal(scene->received, 0);
}

static void freed_while_it_runs(void **state)
{
	(void)state;
	start(FEATURES);
	offer_buffers(10, 1600);
	for (uint16_t i = 0; i < 10; i++)
		guest_transmits(100, 1, i);
	vhost_front_end_kick(&end, 1);
	push_frame(100, 1);
}

/* A listening socket serves one front end after the other, also when QEMU was killed. */
static void listening_socket(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct attachment_context context = scene_new();
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
	for (unsigned round = 0; round < 4; round++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
		vhost_front_end_init(&end, fd, QUEUE_SIZE, true);
		start(FEATURES);
		scene->received = 0;
		offer_buffers(4, 1600);
		push_frame(100, 1);
		flush();
		expect_received(100, 1);
		guest_transmits(100, 1, 0);
		vhost_front_end_kick(&end, 1);
		run();
		assert_int_equal(scene->received, 1);
		if (round == 1) { /* misbehaves */
			vhost_guest_offer(transmit_queue(), 9999);
			vhost_front_end_kick(&end, 1);
			run();
			assert_int_equal(scene->log_lines > 0, true);
		}
		(void)close(fd);
		run();
		vhost_front_end_done(&end);
		assert_int_equal(scene->closed, 0);
		push_frame(100, 1);
		assert_int_equal(scene->drops.count[DROP_PORT_GONE], round + 1);
	}
	scene->attachment = attachment_free(scene->attachment);
	assert_int_equal(count_fds(), fds_before);
	(void)scene_teardown(state);
}

static void descriptors_that_are_refused(void **state)
{
	struct attachment_context context = scene_new();
	struct attachment *attachment;
	struct error err = {};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_vhost_user(&context, fds[0], &attachment, &err), -EINVAL);
	assert_string_not_equal(err.text, "");
	(void)close(fds[0]);
	(void)close(fds[1]);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* descriptors cannot pass it */
	assert_int_equal(listen(fds[0], 1), 0);
	assert_int_equal(attachment_new_vhost_user(&context, fds[0], &attachment, &err), -EINVAL);
	(void)close(fds[0]);
	assert_int_equal(attachment_new_vhost_user(&context, 0, &attachment, &err), -EINVAL);

	/* Given back when it was never started. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(attachment_new_vhost_user(&context, fds[0], &attachment, &err), 0);
	attachment_disown(attachment);
	attachment_free(attachment);
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)scene_teardown(state);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(features_are_told),
		SCENE_TEST(answers),
		SCENE_TEST(mtu),
		SCENE_TEST(message_in_pieces),
		SCENE_TEST(frames_from_the_guest),
		SCENE_TEST(call_about_transmitted),
		SCENE_TEST(call_about_acknowledgements),
		SCENE_TEST(reception_tells_of_transmission),
		SCENE_TEST(acknowledgement_waits_for_the_answer),
		SCENE_TEST(acknowledgement_is_called_about_at_once),
		SCENE_TEST(call_is_owed_while_the_session_ends),
		SCENE_TEST(call_waits_while_the_ring_stops),
		SCENE_TEST(more_than_a_turn),
		SCENE_TEST(headers_in_pieces),
		SCENE_TEST(many_pieces),
		SCENE_TEST(indirect_frames),
		SCENE_TEST(frames_that_are_dropped),
		SCENE_TEST(frames_over_eight_regions),
		SCENE_TEST(enormous_chain),
		SCENE_TEST(frames_to_the_guest),
		SCENE_TEST(merged_buffers),
		SCENE_TEST(buffers_without_merging),
		SCENE_TEST(legacy_header),
		SCENE_TEST(super_frames),
		SCENE_TEST(super_frames_are_cut),
		SCENE_TEST(received_in_place),
		SCENE_TEST(place_behind_small_buffers),
		SCENE_TEST(place_that_is_taken),
		SCENE_TEST(place_without_merging),
		SCENE_TEST(room_and_its_return),
		SCENE_TEST(room_of_a_small_ring),
		SCENE_TEST(room_after_the_ring_stopped),
		SCENE_TEST(disabled_rings),
		SCENE_TEST(enabled_at_once_without_protocol_features),
		SCENE_TEST(stop_and_start_again),
		SCENE_TEST(memory_changes_under_traffic),
		SCENE_TEST(memory_without_the_rings),
		SCENE_TEST(log_of_written_pages),
		SCENE_TEST(calls_are_batched),
		SCENE_TEST(kicks_are_for_sleepers),
		SCENE_TEST(kicks_by_a_flag),
		SCENE_TEST(a_ring_that_stands_still),
		SCENE_TEST(a_guest_that_polls),
		SCENE_TEST(front_end_leaves),
		SCENE_TEST(freed_while_it_runs),
		cmocka_unit_test(listening_socket),
		cmocka_unit_test(descriptors_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
