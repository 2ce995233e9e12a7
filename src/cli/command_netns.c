/*
 * `tartlet netns`, in this order: options, what they name, and then, before the network makes its
 * threads, the process inside the namespace with its interface (netns/resident.h); the network; the
 * two joined; the facts; and COMMAND.
 *
 * COMMAND is our child and no more: same terminal, same process group, same process numbers. A PID
 * namespace would end its background processes with it, but would also hide all others from it,
 * make the numbers it writes into files wrong, and need a /proc of its own, which containers do not
 * allow (docs/decisions has it).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/netns_guest.h"
#include "cli/netns_options.h"
#include "cli/run_facts.h"
#include "cli/run_network.h"
#include "netns/namespace.h"
#include "netns/program.h"
#include "netns/resident.h"
#include "vm/vm_config.h"

/* As shells and env(1) say it. */
enum {
	CODE_CANNOT_EXECUTE = 126,
	CODE_NOT_FOUND = 127,
};

#define LOG_NAME "tartlet netns"

struct netns_run {
	const struct vm_home *home;
	const struct netns_options *options;
	int join_fd; /* -1 = new namespaces */
	struct mac_addr mac;
	struct netns_guest *guest;
	struct resident resident;
	struct run_network network;
};

static int exit_code_of(int reason)
{
	return reason == -ENOENT ? CODE_NOT_FOUND : CODE_CANNOT_EXECUTE;
}

static int start_resident(struct netns_run *run, struct error *err)
{
	const struct resident_plan plan = {
		.join_fd = run->join_fd,
		.interface = run->options->interface,
		.argv = run->options->argv,
		.signal_mask = netns_guest_signal_mask(run->guest),
	};

	return resident_start(&plan, &run->resident, err);
}

static int start_network(struct netns_run *run, struct error *err)
{
	char label[32];
	const struct run_network_request request = {
		.home = run->home,
		.options = &run->options->network,
		.name = LOG_NAME,
		.label = label,
		.mac = run->mac,
	};

	snprintf(label, sizeof(label), "netns %d", (int)getpid());
	(void)fd_raise_limit(); /* the library sizes its tables by what there is */
	int r = run_network_create(&request, &run->network, err);
	if (r == 0)
		r = netns_guest_attach(run->guest, run->network.network,
				       run->options->network.tcp_backlog, run->resident.tap_fd,
				       err);
	if (r == 0)
		run->resident.tap_fd = -1;
	return r;
}

static int configure(struct netns_run *run, struct error *err)
{
	struct link_config config = { .mac = run->mac,
				      .mtu = network_options_mtu(&run->options->network) };
	struct ip_addr server = { 0 };

	if (!run->options->no_config) {
		config.address =
			(struct ip_prefix){ run->network.address, run->network.subnet.length };
		if (!run->options->network.is_host)
			config.gateway = run->network.gateway;
		server = run->network.gateway;
	}
	int r = resident_configure(&run->resident, &config, &server, err);
	if (r == 0 && err->text[0])
		fprintf(stderr, "%s: %s\n", LOG_NAME, err->text);
	return r;
}

static int start(struct netns_run *run, struct error *err)
{
	int r = netns_guest_new(run->options->argv != NULL, &run->guest, err);

	if (r == 0)
		r = start_resident(run, err);
	if (r == 0)
		r = start_network(run, err);
	if (r == 0)
		r = configure(run, err);
	return r;
}

/* COMMAND's standard output stays its own. */
static void print_facts(const struct netns_run *run)
{
	FILE *stream = run->options->argv ? stderr : stdout;
	char gateway[IP_ADDR_TEXT_SIZE];

	run_facts_print(stream, &run->network, run->home->path);
	if (run->options->argv)
		return;
	/* resolv.conf of a namespace that is there is not ours to write. */
	printf("name server: %s\n", ip_addr_format(&run->network.gateway, gateway));
	printf("ready: %s\n", run->options->interface);
	fflush(stdout);
}

static int execute(struct netns_run *run, struct error *err)
{
	int r = resident_execute(&run->resident, err);

	if (r < 0)
		return command_fail(exit_code_of(r), err);
	r = netns_guest_watch(run->guest, run->resident.pid, err);
	if (r < 0)
		return command_fail(COMMAND_FAILED, err);
	run->resident.pid = 0; /* the guest's */
	return netns_guest_wait(run->guest);
}

static int live(struct netns_run *run)
{
	struct error err = { .text = "" };

	if (start(run, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	print_facts(run);
	if (run->options->argv)
		return execute(run, &err);
	resident_end(&run->resident); /* its work is done */
	return netns_guest_wait(run->guest);
}

/* Backwards. The network's thread tells the guest of its port until the network is gone. */
static void finish(struct netns_run *run)
{
	resident_end(&run->resident);
	run_network_done(&run->network);
	run->guest = netns_guest_free(run->guest);
	run->join_fd = fd_close(run->join_fd);
}

/* What the options name, before anything is made. COMMAND_OK, or a printed failure. */
static int check(struct netns_run *run)
{
	const struct netns_options *options = run->options;
	struct error err;

	if (options->join)
		return namespace_open(options->join, &run->join_fd, &err) < 0
			       ? command_fail(COMMAND_FAILED, &err)
			       : COMMAND_OK;
	int r = program_check(options->argv[0], &err);
	return r < 0 ? command_fail(exit_code_of(r), &err) : COMMAND_OK;
}

int command_netns(int argc, char **argv)
{
	struct netns_options options;
	struct vm_home home;
	struct netns_run run = {
		.home = &home,
		.options = &options,
		.join_fd = -1,
		.mac = vm_config_random_mac(),
		.resident = { .socket_fd = -1, .tap_fd = -1 },
	};

	netns_options_parse(argc, argv, &options);
	int code = check(&run);
	if (code == COMMAND_OK)
		code = command_open_home(&home);
	if (code == COMMAND_OK) {
		code = live(&run);
		finish(&run);
		vm_home_close(&home);
	}
	fd_close(run.join_fd);
	netns_options_done(&options);
	return code;
}
