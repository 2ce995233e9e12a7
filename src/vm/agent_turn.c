#include "vm/agent_turn.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* The kernel has no lock with a time limit, and a holder may be stopped (Ctrl-Z). */
#define TRY_NS (10 * NS_PER_MS)

/* Bytes of the file, which has none. */
enum place {
	PLACE_TURN,
	PLACE_WAITING,
};

/* Locks of an open file description, not of a process: they are not lost when another descriptor of
 * the file is closed. */
static struct flock lock_of(short type, enum place place)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = place, .l_len = 1 };
}

/* 0, -EAGAIN when another has it, or other negative errno. */
static int try_lock(int fd, short type, enum place place)
{
	struct flock lock = lock_of(type, place);

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int wait_for_turn(int fd, uint64_t deadline_ns)
{
	const struct timespec pause = { .tv_nsec = TRY_NS };
	int r = try_lock(fd, F_RDLCK, PLACE_WAITING);

	while (r == 0) {
		r = try_lock(fd, F_WRLCK, PLACE_TURN);
		if (r != -EAGAIN)
			break;
		if (clock_now(&clock_boottime) >= deadline_ns)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
		r = 0;
	}
	return r < 0 ? r : try_lock(fd, F_UNLCK, PLACE_WAITING);
}

int agent_turn_take(int directory_fd, uint64_t deadline_ns)
{
	autoclose int fd =
		openat(directory_fd, "agent.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int r = try_lock(fd, F_WRLCK, PLACE_TURN);
	if (r == -EAGAIN)
		r = wait_for_turn(fd, deadline_ns);
	return r < 0 ? r : fd_take(&fd);
}

bool agent_turn_is_wanted(int turn_fd)
{
	struct flock lock = lock_of(F_WRLCK, PLACE_WAITING);

	return fcntl(turn_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
