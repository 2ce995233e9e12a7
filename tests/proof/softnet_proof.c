/*
 * softnet, which tries itself what its sandbox is to refuse, once it is ready for the VM:
 *
 *     softnet-proof REPORT_FD DIRECTORY OPTIONS...
 *
 * The lines of sandbox_prove() go to REPORT_FD; OPTIONS are softnet's.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/sandbox_prove.h"
#include "sidecar/softnet.h"

struct proof {
	FILE *report;
	const char *directory;
};

static void prove(void *context)
{
	const struct proof *proof = context;

	sandbox_prove(proof->report, proof->directory);
}

int main(int argc, char **argv)
{
	static char program[] = "softnet-proof";
	struct proof proof;
	struct softnet_options options;

	if (argc < 4)
		return EXIT_FAILURE;
	proof.report = fdopen(atoi(argv[1]), "w");
	proof.directory = argv[2];
	if (!proof.report)
		return EXIT_FAILURE;
	const struct softnet_hooks hooks = { .ready = prove, .context = &proof };
	signal(SIGPIPE, SIG_IGN);
	argv[2] = program;
	softnet_options_parse(argc - 2, argv + 2, &options);
	int code = softnet_run(&options, &hooks);
	softnet_options_done(&options);
	return code;
}
