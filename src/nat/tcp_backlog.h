#pragma once
/*
 * Bytes from the host that a guest has not acknowledged yet, behind one door for two back ends:
 * `kept` receives them into blocks of the pool, `peek` leaves them in the socket (MSG_PEEK with
 * SO_PEEK_OFF) and takes them out once they are acknowledged. Whoever sends asks for the bytes at
 * an offset from the first unacknowledged one, as often as it likes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "host/host.h"
#include "nat/nat.h"
#include "nat/tcp_pool.h"
#include "wire/frame.h"

/* Unacknowledged bytes per flow, in both back ends. */
#define TCP_BACKLOG_CAPACITY (UINT32_C(512) << 10)
#define TCP_BACKLOG_BLOCKS   (TCP_BACKLOG_CAPACITY / TCP_BLOCK_SIZE + 1)
/* The most that is asked for at once, and the parts that this can have. */
#define TCP_BACKLOG_GET_MAX 65536
#define TCP_BACKLOG_PARTS   FRAME_PAYLOAD_MAX_PARTS

struct tcp_backlog {
	enum nat_backlog kind;
	bool ended;	 /* the host's end of stream is at tail */
	bool drained;	 /* the last look at the socket found less than there was room for */
	uint64_t head;	 /* first unacknowledged byte of the stream */
	uint64_t tail;	 /* behind the last byte seen */
	uint64_t peeked; /* peek: where the socket's peek offset stands */
	uint32_t held;	 /* kept: blocks */
	uint32_t block[TCP_BACKLOG_BLOCKS];
};

/* Where bytes come from and may be put. Borrowed. */
struct tcp_backlog_source {
	struct host *host;
	struct host_socket *socket;
	struct tcp_pool *pool;
	uint32_t port;	  /* whom blocks are charged to */
	uint8_t *scratch; /* peek: TCP_BACKLOG_GET_MAX bytes */
	/* peek: where bytes should stand instead, TCP_BACKLOG_PARTS at most; count 0 = nowhere. */
	const struct iovec *place;
	size_t place_count;
};

/* An open socket. Falls back to `kept` where the socket has no peek offset. */
void tcp_backlog_init(struct tcp_backlog *backlog, enum nat_backlog kind,
		      const struct tcp_backlog_source *source);
void tcp_backlog_clear(struct tcp_backlog *backlog, struct tcp_pool *pool);

static inline size_t tcp_backlog_size(const struct tcp_backlog *backlog)
{
	return (size_t)(backlog->tail - backlog->head);
}

/*
 * At most `size` bytes from `offset` on (0..tcp_backlog_size(); no more than the place has), asking the host for more where the
 * backlog ends. They stay valid until the next call. Returns how many; 0 = the stream ended there;
 * -EAGAIN = the host has none now (nor, where `drained` is set, behind what was returned); -ENOBUFS = the pool has no block; else what the socket said.
 */
ssize_t tcp_backlog_get(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t offset, size_t size, struct iovec ret_parts[TCP_BACKLOG_PARTS],
			size_t *ret_count) MUST_USE;

/* The first `size` bytes are acknowledged. 0 or negative errno (peek: the socket did not give them
 * up, so the stream is lost). */
int tcp_backlog_discard(struct tcp_backlog *backlog, const struct tcp_backlog_source *source,
			size_t size) MUST_USE;
