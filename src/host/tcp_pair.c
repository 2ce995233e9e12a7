#include "host/tcp_pair.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"

#define TCP_PAIR_WAIT_NS NS_PER_S

static int tcp_pair_listen(struct sockaddr_in *ret_at)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		return -errno;
	*ret_at = at;
	/* cppcheck-suppress resourceLeak ; it is handed out */
	return fd_take(&fd);
}

static int tcp_pair_connect(const struct sockaddr_in *to, struct sockaddr_in *ret_own)
{
	socklen_t size = sizeof(*ret_own);
	/* Not blocking until it is known to be ours: where others fill the queue, this would wait. */
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS) ||
	    getsockname(fd, (struct sockaddr *)ret_own, &size) < 0)
		return -errno;
	return fd_take(&fd);
}

static bool tcp_pair_is_same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

/* The connection that comes from `own`; any other is closed. */
static int tcp_pair_accept(int listener, const struct sockaddr_in *own)
{
	uint64_t end_ns = clock_now(&clock_boottime) + TCP_PAIR_WAIT_NS;

	while (clock_now(&clock_boottime) < end_ns) {
		struct sockaddr_in peer = { .sin_family = AF_UNSPEC };
		socklen_t size = sizeof(peer);
		struct pollfd wait = { .fd = listener, .events = POLLIN };
		int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);

		if (fd >= 0 && tcp_pair_is_same(&peer, own))
			return fd;
		if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		if (fd < 0)
			(void)poll(&wait, 1, 100); /* the clock ends it */
		fd_close(fd);
	}
	return -EAGAIN;
}

int tcp_pair_new(int ret_fds[2])
{
	struct sockaddr_in at = { 0 };
	struct sockaddr_in own = { 0 };
	autoclose int listener = tcp_pair_listen(&at);

	if (listener < 0)
		return listener;
	autoclose int near = tcp_pair_connect(&at, &own);
	if (near < 0)
		return near;
	autoclose int far = tcp_pair_accept(listener, &own);
	if (far < 0)
		return far;
	int r = fd_set_blocking(near);
	if (r < 0)
		return r;
	ret_fds[0] = fd_take(&near);
	ret_fds[1] = fd_take(&far);
	return 0;
}
