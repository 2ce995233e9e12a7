/*
 * Does SO_PEEK_OFF work on TCP here? IPv4 has it since Linux 6.9, IPv6 later; so it is tried, once
 * per family and process, on a connection over loopback.
 */

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "host/host_internal.h"
#include "host/host_real.h"

#define PEEK_WAIT_MS 200

enum peek_answer {
	PEEK_UNKNOWN,
	PEEK_NO,
	PEEK_YES,
};

/* What a kernel can do is the same for all networks of the process. */
static atomic_int peek_cache[2];
static atomic_bool peek_forced_off;

static bool peek_wait(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	return poll(&pollfd, 1, PEEK_WAIT_MS) == 1;
}

/* -1 = not open. */
struct peek_connection {
	int listener_fd;
	int sender_fd;
	int receiver_fd;
};

/* What it opened is in *connection in any case. */
static bool peek_connect(enum ip_family family, struct peek_connection *connection)
{
	struct ip_endpoint at = { .addr = ip_addr_from_v4(INADDR_LOOPBACK) };
	if (family == IP_FAMILY_V6)
		at.addr = ip_addr_from_v6(in6addr_loopback.s6_addr);
	struct sockaddr_storage sockaddr;
	socklen_t size = ip_endpoint_to_sockaddr(&at, &sockaddr);
	int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(host_real_domain((uint8_t)family), type, 0);
	connection->listener_fd = fd;
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sockaddr, size) < 0 || listen(fd, 1) < 0 ||
	    host_real_local_endpoint(fd, &at) < 0)
		return false;

	size = ip_endpoint_to_sockaddr(&at, &sockaddr);
	fd = socket(host_real_domain((uint8_t)family), type, 0);
	connection->sender_fd = fd;
	if (fd < 0 ||
	    (connect(fd, (const struct sockaddr *)&sockaddr, size) < 0 && errno != EINPROGRESS))
		return false;
	if (!peek_wait(connection->listener_fd))
		return false;
	connection->receiver_fd =
		/* cppcheck-suppress nullPointer ; accept() without an address */
		accept4(connection->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return connection->receiver_fd >= 0;
}

static bool peek_set(int fd, int offset)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0;
}

static bool peek_reads(int fd, const char *expected, size_t size)
{
	char buffer[8];
	ssize_t got = recv(fd, buffer, size, MSG_PEEK | MSG_DONTWAIT);
	return got == (ssize_t)strlen(expected) && memcmp(buffer, expected, (size_t)got) == 0;
}

/* What host.h promises of peek(), set_peek_offset() and discard(). */
static enum peek_answer peek_try(int sender_fd, int receiver_fd)
{
	if (!peek_set(receiver_fd, 0))
		return PEEK_NO;
	if (send(sender_fd, "abcd", 4, MSG_NOSIGNAL) != 4 || !peek_wait(receiver_fd))
		return PEEK_UNKNOWN;
	bool works = peek_reads(receiver_fd, "ab", 2) && peek_reads(receiver_fd, "c", 1) &&
		     /* cppcheck-suppress nullPointer ; MSG_TRUNC throws the bytes away */
		     recv(receiver_fd, NULL, 1, MSG_TRUNC) == 1 && /* "a"; the offset is 2 now */
		     peek_reads(receiver_fd, "d", 4) && peek_set(receiver_fd, 0) &&
		     peek_reads(receiver_fd, "bcd", 4);
	return works ? PEEK_YES : PEEK_NO;
}

static enum peek_answer peek_probe(enum ip_family family)
{
	struct peek_connection connection = { -1, -1, -1 };
	enum peek_answer answer = PEEK_UNKNOWN;
	if (peek_connect(family, &connection))
		answer = peek_try(connection.sender_fd, connection.receiver_fd);
	fd_close(connection.listener_fd);
	fd_close(connection.sender_fd);
	fd_close(connection.receiver_fd);
	return answer;
}

bool host_real_can_peek(enum ip_family family)
{
	if (family == IP_FAMILY_NONE || atomic_load(&peek_forced_off))
		return false;
	atomic_int *cache = &peek_cache[family == IP_FAMILY_V6];
	int answer = atomic_load(cache);
	if (answer != PEEK_UNKNOWN)
		return answer == PEEK_YES;
	/* Two threads may both try: they find the same. */
	answer = (int)peek_probe(family);
	atomic_store(cache, answer);
	return answer == PEEK_YES;
}

void host_real_force_no_peek(bool force)
{
	atomic_store(&peek_forced_off, force);
}
