#include "sidecar/softnet_keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "loop/signals.h"
#include "vmnet/vmnet.h"

/* From the first signal of end on: what vmnet_network_release() may take for bytes that are due (5 s), and more. */
#define END_WAIT_S 8u

/* Written before the handlers are there. */
static pid_t child_pid;
static volatile sig_atomic_t is_to_end;
static volatile sig_atomic_t is_killed;

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	const int saved = errno;

	(void)context;
	/* A terminal sends to its whole foreground process group: the child has it already. */
	if (info->si_code != SI_KERNEL)
		(void)kill(child_pid, signal_number); /* may be gone */
	if (!is_to_end)
		(void)alarm(END_WAIT_S);
	is_to_end = 1;
	errno = saved;
}

/* The child hangs: it was stopped, or has to close what lingers. */
static void end_by_force(int signal_number, siginfo_t *info, void *context)
{
	const int saved = errno;

	(void)signal_number;
	(void)info;
	(void)context;
	/* Else it is an alarm that was set before execve() and went on. */
	if (is_to_end) {
		is_killed = 1;
		(void)kill(child_pid, SIGKILL); /* not reaped, so the number is still its own */
	}
	errno = saved;
}

static void handle(int signal_number,
		   void (*handler)(int signal_number, siginfo_t *info, void *context))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };

	(void)sigemptyset(&action.sa_mask); /* these calls cannot fail on what there is */
	(void)sigaction(signal_number, &action, NULL);
}

static void pass_signals_on(pid_t child, const sigset_t *mask)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t open = *mask;
	sigset_t wanted;

	child_pid = child;
	loop_signals_of_end(&wanted);
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		if (sigismember(&wanted, numbers[i]))
			handle(numbers[i], pass_on);
	}
	handle(SIGALRM, end_by_force);
	(void)sigdelset(&open, SIGALRM);
	(void)pthread_sigmask(SIG_SETMASK, &open, NULL);
}

/* Else nobody would see that the child has closed its own. */
static void close_all(const struct softnet_options *options)
{
	(void)fd_close(options->vm_fd);
	(void)fd_close(options->control_fd);
	(void)fd_close(options->report_fd);
	(void)fd_close(options->capture_fd);
	for (size_t i = 0; i < options->document_count; i++)
		(void)fd_close(options->documents[i].fd);
}

static int wait_for(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			fprintf(stderr, "cannot wait for the network's process: %s\n",
				strerror(errno));
			return EXIT_FAILURE;
		}
	}
	(void)alarm(0);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (is_killed)
		fprintf(stderr, "the network's process did not end within %u s and was killed\n",
			END_WAIT_S);
	else
		fprintf(stderr, "the network's process was ended by signal %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return EXIT_FAILURE;
}

int softnet_keeper_run(const struct softnet_options *options, pid_t child, int channel_fd,
		       const sigset_t *mask)
{
	struct vmnet_error error = { .text = "" };

	pass_signals_on(child, mask);
	close_all(options);
	vmnet_return_t status =
		vmnet_informant_serve(channel_fd, options->runtime_directory, &error);
	if (status != VMNET_SUCCESS)
		fprintf(stderr, "%s\n", error.text);
	/* Without an answer the engine would wait each time. */
	(void)fd_close(channel_fd);
	int code = wait_for(child);
	return status == VMNET_SUCCESS ? code : EXIT_FAILURE;
}
