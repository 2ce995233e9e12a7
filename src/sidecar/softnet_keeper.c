#include "sidecar/softnet_keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "loop/signals.h"
#include "vmnet/vmnet.h"

/* Written before the handler is there. */
static pid_t child_pid;

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	/* A terminal sends to its whole foreground process group: the child has it already. */
	if (info->si_code != SI_KERNEL)
		(void)kill(child_pid, signal_number); /* may be gone */
}

static void pass_signals_on(pid_t child, const sigset_t *mask)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t wanted;

	child_pid = child;
	loop_signals_of_end(&wanted);
	(void)sigemptyset(&action.sa_mask); /* these calls cannot fail on what there is */
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		if (sigismember(&wanted, numbers[i]))
			(void)sigaction(numbers[i], &action, NULL);
	}
	(void)pthread_sigmask(SIG_SETMASK, mask, NULL);
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
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "the network's process was ended by signal %d (%s)\n", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
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
