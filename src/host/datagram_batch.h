#pragma once
/* Datagrams in numbers: what sendmmsg(), recvmmsg() and the kernel's UDP segmentation save. */

#include <sys/socket.h>

#include "host/datagram.h"
#include "host/host.h"

#define DATAGRAM_BATCH_MESSAGES HOST_RECEIVE_BATCH_MAX
#define DATAGRAM_BATCH_PARTS	256

/* What the calls need for each message. Large, so it is no one's stack; all zero to begin with. */
struct datagram_sending {
	struct mmsghdr messages[DATAGRAM_BATCH_MESSAGES];
	struct sockaddr_storage addresses[DATAGRAM_BATCH_MESSAGES];
	union datagram_control controls[DATAGRAM_BATCH_MESSAGES];
	size_t datagrams[DATAGRAM_BATCH_MESSAGES]; /* in each message */
	struct iovec parts[DATAGRAM_BATCH_PARTS];
};

struct datagram_receiving {
	struct mmsghdr messages[DATAGRAM_BATCH_MESSAGES];
	struct sockaddr_storage addresses[DATAGRAM_BATCH_MESSAGES];
	union datagram_control controls[DATAGRAM_BATCH_MESSAGES];
	struct iovec buffers[DATAGRAM_BATCH_MESSAGES];
};

struct datagram_batch {
	struct datagram_sending sending;
	struct datagram_receiving receiving;
};

/* host_ops.udp_send_batch and udp_receive_batch. */
size_t datagram_send_batch(struct datagram_sending *sending, struct host_socket *socket,
			   const struct host_outgoing *batch, size_t count, int *ret_error);
ssize_t datagram_receive_batch(struct datagram_receiving *receiving, struct host_socket *socket,
			       struct host_datagram *ret_datagrams, uint8_t *buffers, size_t count);
