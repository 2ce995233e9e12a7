#include "loop/signals.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"

/* 0 when none is pending. */
static int next_signal(int signal_fd, int *ret_code)
{
	struct signalfd_siginfo info;
	ssize_t count = read(signal_fd, &info, sizeof(info));

	if (count != (ssize_t)sizeof(info))
		return 0;
	*ret_code = info.ssi_code;
	return (int)info.ssi_signo;
}

static void signals_ready(struct loop_watch *watch, uint32_t events)
{
	struct loop_signals *signals = container_of(watch, struct loop_signals, watch);
	int signal_number = next_signal(watch->fd, &signals->code);

	(void)events;
	/* One a call: the owner may close, or free, this object in its callback. */
	if (signal_number != 0)
		signals->received(signals, signal_number);
}

void loop_signals_of_end(sigset_t *ret_set)
{
	struct sigaction hangup;

	(void)sigemptyset(ret_set); /* these calls cannot fail on what there is */
	(void)sigaddset(ret_set, SIGINT);
	(void)sigaddset(ret_set, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		(void)sigaddset(ret_set, SIGHUP);
}

int loop_signals_open(struct loop_signals *signals, struct loop *loop, const sigset_t *set,
		      void (*received)(struct loop_signals *signals, int signal_number))
{
	int signal_fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	int rc;

	*signals = (struct loop_signals){ .received = received, .set = *set };
	loop_watch_init(&signals->watch, signals_ready);
	if (signal_fd < 0)
		return -errno;
	rc = loop_watch_add(loop, &signals->watch, signal_fd, EPOLLIN);
	if (rc < 0) {
		fd_close(signal_fd);
		return rc;
	}
	rc = pthread_sigmask(SIG_BLOCK, set, &signals->previous_mask);
	assert(rc == 0);
	signals->loop = loop;
	return 0;
}

void loop_signals_close(struct loop_signals *signals)
{
	int signal_fd = signals->watch.fd;
	int code;
	int rc;

	if (!signals->loop)
		return;
	/* Else a second Ctrl-C during an orderly end would kill us here. */
	while (next_signal(signal_fd, &code) != 0)
		;
	loop_watch_remove(signals->loop, &signals->watch);
	fd_close(signal_fd);
	signals->loop = NULL;
	rc = pthread_sigmask(SIG_SETMASK, &signals->previous_mask, NULL);
	assert(rc == 0);
}
