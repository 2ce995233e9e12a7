/*
 * The TAP attachment in a network namespace of the test's own (with a user namespace, so that no
 * root is needed): a packet socket on the interface plays the guest's stack.
 *
 *     packet socket <-> tap0 <-> descriptor <-> attachment <-> the test's sink
 */
#include "attach_test.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "wire/virtio_net.h"

static bool can_have_tap;

static int tap_open(short flags)
{
	struct ifreq request = { .ifr_name = "tap0" };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	request.ifr_flags = flags;
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void tap_set_up(bool up)
{
	struct ifreq request = { .ifr_name = "tap0" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	(void)fd_close(fd);
}

/* With the virtio-net header in front of each frame, as the attachment's own descriptor has it. */
static int packet_open(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex("tap0") };
	int on = 1;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	return fd;
}

/* A packet socket's header has no num_buffers. */
#define PACKET_HEADER 10

static int setup(void **state)
{
	if (!can_have_tap)
		return 0;
	struct attachment_context context = scene_new();
	struct error err = {};
	int fd = tap_open(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);

	(void)state;
	tap_set_up(true);
	assert_int_equal(attachment_new_tap(&context, fd, &scene->attachment, &err), 0);
	attachment_start(scene->attachment, TEST_PORT, &scene->ingress);
	scene->peer_fd = packet_open();
	return 0;
}

static int teardown(void **state)
{
	return can_have_tap ? scene_teardown(state) : 0;
}

#define NEEDS_TAP()                                                                                \
	do {                                                                                       \
		if (!can_have_tap) {                                                               \
			print_message("skipped: no TAP may be made here\n");                       \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static struct frame kept;
static unsigned kept_count;

static void keep_ipv4(struct frame_sink *sink, struct frame *frame)
{
	(void)sink;
	if (frame->packet.kind != PACKET_IPV4 || frame->packet.port_source != 80)
		return; /* the kernel's own neighbour discovery */
	kept = *frame;
	kept_count++;
}

static const struct frame_sink_ops keep_ops = {
	.push = keep_ipv4,
	.flush = ingress_flush,
	.room = ingress_room,
};

static const struct ip_endpoint here = { .port = 80 };

static void build(struct frame *frame, const struct iovec *payload, uint16_t gso_size)
{
	const struct packet_link link = { .source = { { 2, 0, 0, 0, 0, 1 } },
					  .destination = { { 2, 0, 0, 0, 0, 2 } } };
	const struct tcp_header header = { .sequence = 1, .flags = TCP_ACK };
	struct ip_endpoint from = here;
	struct ip_endpoint to = { ip_addr_from_v4(0x0a000002), 4000 };

	from.addr = ip_addr_from_v4(0xcb007105);
	assert_true(packet_build_tcp(frame, &link, &from, &to, &header, payload, 1, gso_size));
}

static char text[60000];

/* What the stack behind the interface sends as one super-frame comes in as one. */
static void super_frame_comes_in_whole(void **state)
{
	struct iovec payload = { text, sizeof(text) };
	uint8_t header[VIRTIO_NET_HEADER_SIZE];
	struct writer writer = writer_of(header, sizeof(header));
	struct frame frame;

	(void)state;
	NEEDS_TAP();
	scene->ingress.ops = &keep_ops;
	kept_count = 0;
	build(&frame, &payload, 1460);
	virtio_net_build(&writer, &frame, 0);
	struct iovec parts[] = { { header, PACKET_HEADER },
				 { frame.header, frame.header_size },
				 payload };
	assert_int_equal(writev(scene->peer_fd, parts, 3),
			 PACKET_HEADER + frame.header_size + sizeof(text));
	while (kept_count == 0)
		assert_int_equal(loop_run_once(scene->loop, 5000), 0);
	assert_int_equal(kept_count, 1);
	assert_int_equal(kept.payload_size, sizeof(text));
	assert_int_equal(kept.offload.gso, FRAME_GSO_TCP4);
	assert_int_equal(kept.offload.gso_size, 1460);
	assert_true(kept.offload.checksum_partial);
	assert_int_equal(kept.port, TEST_PORT);
}

/* And the other way: one write, one frame with its marks. */
static void super_frame_goes_out_whole(void **state)
{
	static uint8_t bytes[70000];
	struct iovec payload = { text, sizeof(text) };
	struct frame_sink *sink;
	struct frame frame;
	ssize_t got;

	(void)state;
	NEEDS_TAP();
	sink = attachment_sink(scene->attachment);
	assert_true(frame_sink_room(sink, TEST_PORT) > 0);
	build(&frame, &payload, 1460);
	frame_sink_push(sink, &frame);
	frame_sink_flush(sink);
	do {
		struct pollfd ready = { scene->peer_fd, POLLIN, 0 };

		assert_int_equal(poll(&ready, 1, 60000), 1);
		got = read(scene->peer_fd, bytes, sizeof(bytes));
	} while (got < 1000); /* the kernel's own neighbour discovery */
	assert_int_equal(got, PACKET_HEADER + 54 + sizeof(text));
	assert_int_equal(bytes[1], 1); /* TSO over IPv4 */
	assert_int_equal(bytes[4] | bytes[5] << 8, 1460);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 0);
}

static void interface_that_is_down(void **state)
{
	struct iovec payload = { text, 100 };
	struct frame frame;

	(void)state;
	NEEDS_TAP();
	tap_set_up(false);
	build(&frame, &payload, 0);
	frame_sink_push(attachment_sink(scene->attachment), &frame);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
	assert_int_equal(scene->closed, 0); /* it may come up again */
	tap_set_up(true);
	build(&frame, &payload, 0);
	frame_sink_push(attachment_sink(scene->attachment), &frame);
	assert_int_equal(scene->drops.count[DROP_PORT_GONE], 1);
}

static void other_descriptors_are_refused(void **state)
{
	struct error err = {};
	struct attachment *attachment = NULL;
	int pair[2];

	(void)state;
	NEEDS_TAP();
	struct attachment_context context = scene_context();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(attachment_new_tap(&context, pair[0], &attachment, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not a TAP device"));
	close(pair[0]);
	close(pair[1]);
	/* Without the virtio-net header; under another name, since tap0 is in use. */
	struct ifreq request = { .ifr_name = "tap1", .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(attachment_new_tap(&context, fd, &attachment, &err), -EINVAL);
	assert_non_null(strstr(err.text, "IFF_VNET_HDR"));
	assert_non_null(strstr(err.text, "tap1"));
	close(fd);
	assert_null(attachment);
}

static void put(const char *path, const char *words)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, words, strlen(words)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* root inside a user namespace of its own, where it is not root outside. */
static bool enter_namespace(void)
{
	char map[64];
	uid_t uid = getuid();

	if (uid == 0)
		return unshare(CLONE_NEWNET) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	(void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", map);
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(super_frame_comes_in_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(super_frame_goes_out_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(interface_that_is_down, setup, teardown),
		cmocka_unit_test_setup_teardown(other_descriptors_are_refused, setup, teardown),
	};
	int fd = -1;

	if (enter_namespace())
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	can_have_tap = fd >= 0;
	(void)fd_close(fd);
	return cmocka_run_group_tests_name("tap", tests, NULL, NULL);
}
