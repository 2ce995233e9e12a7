#include "cli/run_signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/fd.h"

int run_signals_open(struct run_signals *signals, struct loop *loop,
		     void (*received)(struct loop_signals *signals, int signal_number))
{
	sigset_t set;

	loop_signals_of_end(&set);
	/* A shell without job control starts `tartlet run &` with SIGINT ignored, but that is what
	 * `tartlet stop` sends. */
	signal(SIGINT, SIG_DFL);
	signals->stop_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->stop_fd < 0)
		return -errno;
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	return loop_signals_open(&signals->signals, loop, &set, received);
}

void run_signals_close(struct run_signals *signals)
{
	loop_signals_close(&signals->signals);
	signals->stop_fd = fd_close(signals->stop_fd);
}

int run_signals_stop_fd(const struct run_signals *signals)
{
	return signals->stop_fd;
}

bool run_signals_stop_is_asked(const struct run_signals *signals)
{
	struct pollfd poll_fd = { .fd = signals->stop_fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) > 0;
}
