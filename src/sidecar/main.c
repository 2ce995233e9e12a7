/* softnet: the network of one VM in a sandboxed process of its own. */

#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "sidecar/softnet.h"
#include "sidecar/softnet_options.h"

int main(int argc, char **argv)
{
	static char program[] = "softnet";
	static const struct softnet_hooks no_hooks;
	struct softnet_options options;

	if (!fd_fill_standard())
		return EXIT_FAILURE;
	argp_program_version = "softnet " TARTLET_VERSION;
	/* A closed pipe is an error of a write, not the end of a VM's network. */
	signal(SIGPIPE, SIG_IGN);
	if (argc > 0)
		argv[0] = program;
	softnet_options_parse(argc, argv, &options);
	/* What is typed on the terminal is not for whoever takes this process over. */
	if (!softnet_options_name_fd(&options, STDIN_FILENO) && !fd_forget_input())
		return EXIT_FAILURE;
	int code = softnet_run(&options, &no_hooks);
	softnet_options_done(&options);
	return code;
}
