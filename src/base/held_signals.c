#include "base/held_signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

void held_signals_begin(struct held_signals *held)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		struct sigaction action;

		/* One that is ignored would wait, too, where it is blocked. */
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, numbers[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &set, &held->before);
}

void held_signals_end(const struct held_signals *held)
{
	(void)sigprocmask(SIG_SETMASK, &held->before, NULL);
}

bool held_signals_waiting(void)
{
	sigset_t set;

	if (sigpending(&set) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		if (sigismember(&set, numbers[i]) == 1)
			return true;
	}
	return false;
}

int held_signals_watch(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		sigaddset(&set, numbers[i]);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
