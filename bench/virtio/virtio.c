/*
 * A guest as fast as the host: a namespace's kernel, whose new TAP device is carried to a vhost-user
 * back end by two virtqueues, as the driver of a Linux guest would.
 *
 *     transmitting   each frame is offered and kicked about by itself, where the back end asks for that
 *                    (EVENT_IDX); what was transmitted is taken back with the next frame and with what
 *                    is received, and a call is asked for about three quarters of what is out
 *     receiving      a call starts a loop that takes until there is no more (NAPI), and only then asks
 *                    for the next call
 *
 * It stands in for a guest under KVM, whose exits and interrupts cost about what its eventfds do.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "carrier.h"
#include "probe.h"
#include "vhost_front_end.h"

#define HEADER_SIZE 12
#define FRAME_MAX   (HEADER_SIZE + 14 + 65535)
#define QUEUE_SIZE  256

/* Behind the rings, in the memory's first half. */
#define BUFFER_SIZE ((size_t)4096)
/* The second half. */
#define SLOT_SIZE ((size_t)68 << 10)
#define SLOTS	  ((uint16_t)(VHOST_GUEST_HALF / SLOT_SIZE))

#define FEATURES                                                                                   \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM |    \
	 VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 |               \
	 VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VHOST_USER_F_PROTOCOL_FEATURES)

struct guest {
	int tap_fd;
	struct vhost_front_end end;
	uint16_t slots_out; /* frames that the back end has not used yet */
	uint16_t offered;   /* the available index that was last looked at for a kick */
};

static int open_tap(const struct carrier *carrier)
{
	int fd = carrier_open_tap(carrier, IFF_VNET_HDR);
	int header_size = HEADER_SIZE;
	int little_endian = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little_endian) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		probe_fail("no offloads on the TAP device %s: %s", carrier->device,
			   strerror(errno));
	return fd;
}

static struct vhost_guest_queue *receive_queue(struct guest *guest)
{
	return &guest->end.guest.queues[0];
}

static struct vhost_guest_queue *transmit_queue(struct guest *guest)
{
	return &guest->end.guest.queues[1];
}

/* Has `event` been passed on the way from `before` to `now`? (virtio 1.2, 2.7.7.2) */
static bool event_passed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* --- transmitting --------------------------------------------------------------------------- */

static void take_back(struct guest *guest)
{
	struct vhost_guest_queue *queue = transmit_queue(guest);
	uint32_t head;
	uint32_t size;

	while (vhost_guest_reap(queue, &head, &size))
		guest->slots_out--;
	vhost_guest_set_used_event(queue, (uint16_t)(queue->seen_used + guest->slots_out * 3 / 4));
}

static void transmit(struct guest *guest)
{
	struct vhost_guest_queue *queue = transmit_queue(guest);

	for (;;) {
		uint16_t slot = queue->next_available % SLOTS;
		size_t offset = VHOST_GUEST_HALF + slot * SLOT_SIZE;

		take_back(guest);
		if (guest->slots_out == SLOTS)
			return; /* a call, or the next frame received, goes on */
		ssize_t got = read(guest->tap_fd, guest->end.guest.bytes + offset, SLOT_SIZE);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= HEADER_SIZE)
			probe_fail("the TAP device is gone");
		uint16_t before = queue->next_available;
		vhost_guest_describe(queue->descriptors, slot, vhost_guest_address(offset),
				     (uint32_t)got, 0, 0);
		vhost_guest_offer(queue, slot);
		guest->slots_out++;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (event_passed(vhost_guest_available_event(queue), queue->next_available, before))
			vhost_front_end_kick(&guest->end, 1);
	}
}

/* --- receiving ------------------------------------------------------------------------------ */

static void offer_buffer(struct guest *guest, uint16_t index)
{
	struct vhost_guest_queue *queue = receive_queue(guest);
	uint16_t before = queue->next_available;

	vhost_guest_describe(queue->descriptors, index,
			     vhost_guest_address(VHOST_GUEST_BUFFERS + index * BUFFER_SIZE),
			     BUFFER_SIZE, VHOST_WRITE, 0);
	vhost_guest_offer(queue, index);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (event_passed(vhost_guest_available_event(queue), queue->next_available, before))
		vhost_front_end_kick(&guest->end, 0);
}

/* One frame, in as many buffers as its header says; false when there is none. */
static bool receive_one(struct guest *guest)
{
	struct iovec parts[QUEUE_SIZE];
	uint16_t heads[QUEUE_SIZE];
	size_t count = 1;

	for (size_t i = 0; i < count; i++) {
		uint32_t head;
		uint32_t size;

		if (!vhost_guest_reap(receive_queue(guest), &head, &size)) {
			if (i > 0)
				probe_fail("a frame that is not whole");
			return false;
		}
		if (head >= QUEUE_SIZE || size > BUFFER_SIZE)
			probe_fail("a buffer that is none");
		uint8_t *at = guest->end.guest.bytes + VHOST_GUEST_BUFFERS + head * BUFFER_SIZE;
		heads[i] = (uint16_t)head;
		parts[i] = (struct iovec){ at, size };
		if (i == 0)
			count = vhost_guest_load(at + 10, 2);
		if (count == 0 || count > QUEUE_SIZE)
			probe_fail("a frame of %zu buffers", count);
	}
	/* What the device does not take is lost, as in a guest that is busy. */
	(void)!writev(guest->tap_fd, parts, (int)count);
	for (size_t i = 0; i < count; i++)
		offer_buffer(guest, heads[i]);
	return true;
}

static void receive(struct guest *guest)
{
	struct vhost_guest_queue *queue = receive_queue(guest);

	do {
		while (receive_one(guest))
			;
		take_back(guest);
		vhost_guest_set_used_event(queue, queue->seen_used);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	} while (vhost_guest_used_index(queue) != queue->seen_used);
}

static _Noreturn void carry(struct guest *guest)
{
	struct pollfd entries[] = {
		{ .fd = guest->end.call_fds[0], .events = POLLIN },
		{ .fd = guest->end.call_fds[1], .events = POLLIN },
		{ .fd = guest->tap_fd, .events = POLLIN },
		{ .fd = guest->end.fd, .events = POLLIN },
	};

	for (;;) {
		/* Full: the TAP device waits for room. */
		entries[2].fd = guest->slots_out < SLOTS ? guest->tap_fd : -1;
		if (poll(entries, 4, -1) < 0 && errno != EINTR)
			probe_fail("cannot wait: %s", strerror(errno));
		if (entries[3].revents)
			probe_fail("the back end is gone");
		if (entries[0].revents) {
			(void)vhost_front_end_called(&guest->end, 0);
			receive(guest);
		}
		if (entries[1].revents)
			(void)vhost_front_end_called(&guest->end, 1);
		transmit(guest);
	}
}

int main(int argc, char **argv)
{
	const struct carrier carrier = carrier_start(
		argc, argv,
		"Makes a TAP device and carries its frames to a vhost-user back end by virtqueues, "
		"until SIGTERM.\v"
		"Example:\n"
		"  bench-virtio tap0 /run/guest.sock\n");
	struct guest guest = {};

	vhost_front_end_init(&guest.end, carrier_connect(&carrier, SOCK_STREAM), QUEUE_SIZE, true);
	guest.tap_fd = open_tap(&carrier);
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		offer_buffer(&guest, i);
	vhost_front_end_start(&guest.end, FEATURES, 0);
	probe_say_ready(1);
	carry(&guest);
}
