#pragma once
/*
 * The messages that a vhost-user front end (QEMU) sends, and their answers. A message is a header of
 * 12 bytes and a payload, all in the machine's byte order; descriptors travel beside it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/writer.h"

#define VHOST_MESSAGE_HEADER_SIZE 12
#define VHOST_REGIONS_MOST	  8
/* The longest payload that we know: a whole memory table. */
#define VHOST_MESSAGE_PAYLOAD_MOST (8 + VHOST_REGIONS_MOST * 32)
#define VHOST_MESSAGE_FDS_MOST	   VHOST_REGIONS_MOST

enum vhost_payload {
	VHOST_PAYLOAD_NONE,
	VHOST_PAYLOAD_U64,
	VHOST_PAYLOAD_VRING_STATE,
	VHOST_PAYLOAD_VRING_ADDRESS,
	VHOST_PAYLOAD_VRING_FD, /* an index, and whether a descriptor comes with it */
	VHOST_PAYLOAD_MEMORY,	/* as many descriptors as regions */
	VHOST_PAYLOAD_LOG,
};

/*
 * X(number, name, payload, descriptors at least, at most): everything a front end may say to us.
 * What belongs to protocol features that we do not offer is not here.
 */
#define VHOST_REQUESTS(X)                                                                          \
	X(1, GET_FEATURES, NONE, 0, 0)                                                             \
	X(2, SET_FEATURES, U64, 0, 0)                                                              \
	X(3, SET_OWNER, NONE, 0, 0)                                                                \
	X(4, RESET_OWNER, NONE, 0, 0)                                                              \
	X(5, SET_MEM_TABLE, MEMORY, 1, VHOST_REGIONS_MOST)                                         \
	X(6, SET_LOG_BASE, LOG, 1, 1)                                                              \
	X(7, SET_LOG_FD, NONE, 1, 1)                                                               \
	X(8, SET_VRING_NUM, VRING_STATE, 0, 0)                                                     \
	X(9, SET_VRING_ADDR, VRING_ADDRESS, 0, 0)                                                  \
	X(10, SET_VRING_BASE, VRING_STATE, 0, 0)                                                   \
	X(11, GET_VRING_BASE, VRING_STATE, 0, 0)                                                   \
	X(12, SET_VRING_KICK, VRING_FD, 0, 1)                                                      \
	X(13, SET_VRING_CALL, VRING_FD, 0, 1)                                                      \
	X(14, SET_VRING_ERR, VRING_FD, 0, 1)                                                       \
	X(15, GET_PROTOCOL_FEATURES, NONE, 0, 0)                                                   \
	X(16, SET_PROTOCOL_FEATURES, U64, 0, 0)                                                    \
	X(18, SET_VRING_ENABLE, VRING_STATE, 0, 0)                                                 \
	X(20, NET_SET_MTU, U64, 0, 0)

enum vhost_request {
#define VHOST_REQUEST_ENUM(number, name, payload, fds_least, fds_most) VHOST_##name = (number),
	VHOST_REQUESTS(VHOST_REQUEST_ENUM)
#undef VHOST_REQUEST_ENUM
	VHOST_REQUEST_LIMIT = 21, /* above the highest */
};

struct vhost_region {
	uint64_t guest_address; /* guest-physical */
	uint64_t size;
	uint64_t user_address; /* where the front end has it: ring addresses are given so */
	uint64_t file_offset;
};

struct vhost_vring_state {
	uint32_t index;
	uint32_t value;
};

#define VHOST_VRING_LOG 1u /* flags: writes to the used ring are logged too */

struct vhost_vring_address {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptors; /* user addresses */
	uint64_t used;
	uint64_t available;
	uint64_t log; /* guest-physical address of the used ring, for the log */
};

struct vhost_message {
	enum vhost_request request;
	bool needs_reply;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_address address;
		struct {
			uint8_t index;
			bool has_fd;
		} vring_fd;
		struct {
			size_t count;
			struct vhost_region regions[VHOST_REGIONS_MOST];
		} memory;
		struct {
			uint64_t size;
			uint64_t offset;
		} log;
	};
};

struct vhost_message_header {
	uint32_t request; /* not judged yet */
	bool needs_reply;
	uint32_t payload_size;
};

/* False: not version 1, an answer instead of a request, or a payload that no request has. */
bool vhost_message_parse_header(const uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE],
				struct vhost_message_header *ret_header) MUST_USE;
/* False: unknown, or another size or number of descriptors than the request has. */
bool vhost_message_parse(const struct vhost_message_header *header, const uint8_t *payload,
			 size_t fd_count, struct vhost_message *ret_message) MUST_USE;
/* NULL for a number that is none of ours. */
const char *vhost_message_name(uint32_t request);

/* What a front end sends; for tests. A vring's descriptor is announced as has_fd says. */
void vhost_message_build(struct writer *writer, const struct vhost_message *message);
/* Answers. */
void vhost_message_build_u64(struct writer *writer, enum vhost_request request, uint64_t value);
void vhost_message_build_state(struct writer *writer, enum vhost_request request,
			       const struct vhost_vring_state *state);
/* Of an answer: false where it is none. */
bool vhost_message_parse_reply(const uint8_t bytes[VHOST_MESSAGE_HEADER_SIZE],
			       uint32_t *ret_request, uint32_t *ret_payload_size) MUST_USE;
