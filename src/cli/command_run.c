/*
 * `tartlet run`, in this order: options (nothing is touched before all of them are right), the VM,
 * signals (from the VM's lock on `tartlet stop` sees us, so it has to be heard from there on), the
 * home's lock, MAC collisions, the VM's lock, and only then the network, the control socket and QEMU.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/run_disks.h"
#include "cli/run_facts.h"
#include "cli/run_guest.h"
#include "cli/run_network.h"
#include "cli/run_options.h"
#include "cli/run_shares.h"
#include "cli/run_sidecar.h"
#include "control/control_server.h"
#include "vm/display.h"
#include "vm/firmware.h"
#include "vm/qemu_args.h"
#include "vm/qemu_log.h"
#include "vm/qemu_query.h"
#include "vm/qemu_version.h"
#include "vm/run_state.h"
#include "vm/saved_machine.h"
#include "vm/saved_state.h"
#include "vm/seed_documents.h"
#include "vm/seed_settings.h"
#include "vm/serial_port.h"
#include "vm/vm_config.h"
#include "vm/vm_journal.h"
#include "vm/vm_label.h"
#include "vm/vm_lock.h"

#define VERSION_WAIT_MS (10 * 1000) /* a cold disk takes a second */

struct run {
	const struct vm_home *home;
	const struct run_options *options;
	const struct vm_directory *directory;
	struct vm_config config;
	bool has_seed;
	struct seed_settings seed;
	char system_serial[SEED_SERIAL_SIZE];
	char label_text[VM_LABEL_SIZE];
	const char *label;	    /* NULL = none */
	struct saved_machine saved; /* what the guest goes on from, if there is a saved_fd */
	int saved_fd;
	struct qemu_version qemu;
	enum accel accel;
	struct net_attach_choice net;
	const char *firmware; /* NULL: the VM has its kernel */
	struct run_disks disks;
	struct run_shares shares;
	bool shares_have_no_msix;
	struct serial_port serial;
	struct display display; /* chosen */
	int lock_fd;
	int log_fd;
	struct run_guest *guest;
	struct run_sidecar sidecar;
	struct run_network network;
	struct control_server *server;
};

/* Does another VM run with this MAC? */
static bool mac_is_in_use(const struct run *run, char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct vm_directory other;
		struct vm_config config;
		if (strcmp(names[i], run->directory->name) == 0 ||
		    vm_directory_open(run->home, names[i], &other, NULL) < 0)
			continue;
		bool same = false;
		if (vm_lock_holder(other.fd) != 0 && vm_config_load(other.fd, &config, NULL) == 0) {
			same = mac_addr_equal(&config.mac, &run->config.mac);
			vm_config_done(&config);
		}
		vm_directory_close(&other);
		if (same)
			return true;
	}
	return false;
}

static int resolve_mac_collision(struct run *run, struct error *err)
{
	char **names;
	size_t count;

	int r = vm_directory_names(run->home, &names, &count, err);
	if (r < 0)
		return r;
	if (mac_is_in_use(run, names, count)) {
		puts("There is already a running VM with the same MAC address!");
		puts("Resetting VM to assign a new MAC address...");
		if (vm_directory_is_suspended(run->directory))
			puts("Its saved state goes with the former one: it is given up.");
		/* The saved state first: with another MAC it would be no good. */
		r = saved_state_remove(run->directory->fd, err);
		run->config.mac = vm_config_random_mac();
		if (r == 0)
			r = vm_config_save(run->directory->fd, &run->config, err);
		r = vm_home_explain_write(run->home, r, err);
	}
	vm_directory_free_names(names, count);
	return r;
}

/* Under the home's lock. -EALREADY: the VM runs already. */
static int lock_vm(struct run *run, struct error *err)
{
	/* Asked before a new MAC is saved, which would replace the file that the other holds. */
	if (vm_lock_holder(run->directory->fd) != 0)
		return -EALREADY;
	int r = vm_directory_check_free(run->home, run->directory, err);
	if (r == 0)
		r = vm_directory_config(run->directory, &run->config, err);
	if (r == 0)
		r = resolve_mac_collision(run, err);
	if (r < 0)
		return r;
	r = vm_home_explain_write(run->home, vm_lock_take(run->directory->fd, err), err);
	if (r < 0)
		return r == -EBUSY ? -EALREADY : r;
	run->lock_fd = r;
	return 0;
}

static int take_vm(struct run *run)
{
	struct error err = { .text = "" };

	int r = vm_journal_lock(run->home, &err);
	if (r == 0) {
		r = lock_vm(run, &err);
		vm_home_unlock(run->home);
	}
	if (r == -EALREADY)
		error_set(&err, "VM \"%s\" is already running!", run->directory->name);
	if (r == -EALREADY || r == -EBUSY)
		return command_fail(COMMAND_VM_STATE, &err);
	return r < 0 ? command_fail(COMMAND_FAILED, &err) : COMMAND_OK;
}

/* Asks QEMU for its windows only where it can come to one: that takes a moment. */
static int choose_display(struct run *run, const struct qemu_query_wait *wait, struct error *err)
{
	const struct display *wish = &run->options->devices.display;
	struct display_host host = { .screen = display_has_screen() };
	char program[] = QEMU_PROGRAM;
	char option[] = "-display";
	char value[] = "help";
	char *const argv[] = { program, option, value, NULL };
	char help[1024];

	if (display_may_open(wish, host.screen)) {
		int r = qemu_query(argv, wait, help, sizeof(help));
		if (r < 0) {
			error_set(err, "QEMU does not say which displays it has: %s", strerror(-r));
			return r;
		}
		host.windows = display_help_has_windows(help);
	}
	int r = display_choose(wish, &host, &run->display, err);
	if (r == 0 && err->text[0])
		fprintf(stderr, "%s\n", err->text);
	return r;
}

static int choose_shares(struct run *run, const struct qemu_query_wait *wait,
			 const struct qemu_version *version, struct error *err)
{
	int r = run_shares_choose(&run->shares, run->options->devices.dir_transport, wait, err);

	if (r == 0 && err->text[0])
		fprintf(stderr, "%s\n", err->text);
	/* QEMU's fault with interrupts is the same for all that is vhost-user. */
	run->shares_have_no_msix =
		net_attach_choose(NET_ATTACH_VHOST_USER, version, run->accel).no_msix;
	return r;
}

/* What the host must have. -ECANCELED: a signal asked for the end meanwhile. */
static int check_host(struct run *run, struct error *err)
{
	struct accel_host host = accel_probe("/dev/kvm", "/proc/cpuinfo");

	const struct qemu_query_wait wait = { .time_ms = VERSION_WAIT_MS,
					      .stop_fd = run_guest_stop_fd(run->guest) };
	enum accel accel = run->options->accel;
	enum net_attach attach = run->options->net_attach;

	/* Where there is a choice, a guest goes on in what it was suspended in. */
	if (run->saved_fd >= 0 && accel == ACCEL_AUTO)
		accel = run->saved.accel;
	if (run->saved_fd >= 0 && attach == NET_ATTACH_AUTO)
		attach = run->saved.attach;
	int r = qemu_version_check(QEMU_PROGRAM, &wait, &run->qemu, err);
	if (r == 0)
		r = accel_choose(accel, &host, &run->accel, err);
	if (r == 0 && err->text[0])
		fprintf(stderr, "%s\n", err->text);
	if (r == 0 && run->options->devices.nested)
		r = accel_check_nested(run->accel, "/sys/module", err);
	if (r == 0)
		r = choose_display(run, &wait, err);
	if (r == 0)
		r = choose_shares(run, &wait, &run->qemu, err);
	if (r == 0)
		run->net = net_attach_choose(attach, &run->qemu, run->accel);
	return r;
}

static int write_state(const struct run *run, struct error *err)
{
	struct run_state state = {
		.pid = getpid(),
		.subnet = run->network.subnet,
		.address = run->network.address,
		.mac = run->config.mac,
		.is_host_only = run->options->network.is_host,
		.is_softnet = run->options->sidecar.is_wanted,
		.forwards = run_network_forwards(&run->network),
	};

	snprintf(state.label, sizeof(state.label), "%s", run->label ? run->label : "");
	int r = run_state_write(run->directory->fd, &state, err);
	run_state_done(&state);
	return vm_home_explain_write(run->home, r, err);
}

/* On the control server's thread, which alone writes the state once it runs. */
static void forwards_changed(void *context)
{
	const struct run *run = context;
	struct error err;

	if (write_state(run, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
}

static void guest_started(void *context)
{
	const struct run *run = context;

	if (run->label)
		printf("label: %s\n", run->label);
	run_shares_print(&run->shares, stdout);
	run_facts_print(stdout, &run->network, run->home->path);
	fflush(stdout);
}

static int start_server(struct run *run, struct error *err)
{
	int r = write_state(run, err);
	if (r < 0)
		return r;
	const struct control_server_options options = {
		.network = run->network.network,
		.directory_fd = run->directory->fd,
		.name = run->directory->name,
		.label = run->label,
		.mac = run->config.mac,
		.subnet = run->network.subnet,
		.address = run->network.address,
		.forwards_changed = forwards_changed,
		.context = run,
	};
	return control_server_start(&options, &run->server, err);
}

/* Without a control socket: the rules and ports are softnet's alone. */
static int start_sidecar(struct run *run, const struct run_network_request *network,
			 struct error *err)
{
	const struct run_sidecar_request request = {
		.network = network,
		.options = &run->options->sidecar,
		.directory = run->directory,
		.attach = run->net.attach,
		.signal_mask = run_guest_child_mask(run->guest),
		.stop_fd = run_guest_stop_fd(run->guest),
	};

	int r = run_sidecar_start(&run->sidecar, &request, &run->network, err);
	return r == 0 ? write_state(run, err) : r;
}

static int start_network(struct run *run, struct error *err)
{
	const struct run_network_request request = {
		.home = run->home,
		.options = &run->options->network,
		.name = run->directory->name,
		.label = run->label,
		.is_vm = true,
		.mac = run->config.mac,
		.resumed_subnet = run->saved_fd >= 0 ? &run->saved.subnet : NULL,
		.seed = run->has_seed ? &run->seed : NULL,
	};

	if (run->options->sidecar.is_wanted)
		return start_sidecar(run, &request, err);
	int r = run_network_create(&request, &run->network, err);
	return r == 0 ? start_server(run, err) : r;
}

static int load_seed(struct run *run, struct error *err)
{
	int r = seed_settings_load(run->directory->fd, &run->seed, err);

	run->has_seed = r == 0;
	return r == -ENOENT ? 0 : r;
}

/* The saved state of a suspended VM, if it is one; and what a killed run left of one goes. */
static int open_saved(struct run *run, struct error *err)
{
	saved_state_sweep(run->directory->fd);
	int r = saved_state_open(run->directory->fd, &run->saved_fd, &run->saved, err);
	return r == -ENOENT ? 0 : r;
}

/* What the machine is made of beside the VM's own files. */
static int find_parts(struct run *run, struct error *err)
{
	int r = run_disks_open(run->options->disks, run->options->disk_count, &run->disks, err);

	if (r == 0 && run->options->serial_path)
		r = serial_port_open(run->options->serial_path, &run->serial, err);
	if (r == 0)
		r = run_shares_open(run->options->devices.dirs, run->options->devices.dir_count,
				    &run->shares, err);
	if (r < 0 || run->config.boot != VM_BOOT_UEFI)
		return r;
	run->firmware = firmware_find_code(run->directory->fd, err);
	return run->firmware ? 0 : -ENOENT;
}

/* -ECANCELED: a signal asked for the end before there was a guest. */
static int start(struct run *run, struct error *err)
{
	int r = open_saved(run, err);
	if (r == 0)
		r = load_seed(run, err);
	if (r == 0)
		r = find_parts(run, err);
	if (r == 0)
		r = check_host(run, err);
	if (r < 0)
		return r;
	run->log_fd = qemu_log_open(run->directory->fd, err);
	if (run->log_fd < 0) {
		r = run->log_fd;
		run->log_fd = -1;
		return vm_home_explain_write(run->home, r, err);
	}
	(void)fd_raise_limit(); /* the library sizes its tables by what there is */
	r = start_network(run, err);
	if (r == 0)
		r = qemu_log_empty(run->log_fd, err);
	if (r == 0 && run_guest_stop_is_asked(run->guest))
		r = -ECANCELED;
	if (r < 0)
		return r;
	if (run->has_seed)
		seed_documents_serial(&run->network.gateway, run->system_serial);
	const struct run_guest_launch launch = {
		.directory = run->directory,
		.config = &run->config,
		.label = run->label,
		.qemu = run->qemu,
		.accel = run->accel,
		.net = run->net,
		.firmware = run->firmware,
		.system_serial = run->has_seed ? run->system_serial : NULL,
		.root_disk = run->options->root_disk,
		.disks = &run->disks,
		.serial = run->serial,
		.display = run->display,
		.nested = run->options->devices.nested,
		.shares = &run->shares,
		.shares_have_no_msix = run->shares_have_no_msix,
		.log_fd = run->log_fd,
		.network = run->network.network,
		.sidecar = run->options->sidecar.is_wanted ? &run->sidecar : NULL,
		.subnet = run->network.subnet,
		.address = run->network.address,
		.saved = run->saved_fd >= 0 ? &run->saved : NULL,
		.saved_fd = run->saved_fd,
		.tcp_backlog = run->options->network.tcp_backlog,
		.started = guest_started,
		.context = run,
	};
	return run_guest_start(run->guest, &launch, err);
}

/* Backwards; the VM's lock goes last, so that nobody sees a half-ended run as stopped. */
static void finish(struct run *run)
{
	run->server = control_server_stop(run->server);
	if (run->lock_fd >= 0) /* else it may be somebody else's */
		run_state_remove(run->directory->fd);
	/* Its port's callback writes into the guest's object until the network is gone. */
	run_network_done(&run->network);
	run->guest = run_guest_free(run->guest);
	run_sidecar_end(&run->sidecar); /* behind QEMU, whose network it is */
	run->log_fd = fd_close(run->log_fd);
	run->saved_fd = fd_close(run->saved_fd);
	saved_machine_done(&run->saved);
	run_disks_done(&run->disks);
	run_shares_done(&run->shares);
	run->serial.fd = fd_close(run->serial.fd);
	seed_settings_done(&run->seed);
	vm_config_done(&run->config);
	run->lock_fd = fd_close(run->lock_fd);
}

/* Between the VM's lock and its giving up. */
static int run_taken(struct run *run)
{
	struct error err = { .text = "" };

	int r = start(run, &err);
	if (r == 0)
		return run_guest_wait(run->guest);
	if (r != -ECANCELED && vm_directory_is_suspended(run->directory)) {
		fprintf(stderr,
			"VM \"%s\" cannot be resumed: %s (its saved state is kept; `tartlet stop %s' "
			"gives it up)\n",
			run->directory->name, err.text, run->directory->name);
		return COMMAND_FAILED;
	}
	if (r != -ECANCELED)
		return command_fail(COMMAND_FAILED, &err);
	puts("Stopping VM...");
	return COMMAND_OK;
}

static int run_vm(const struct vm_home *home, const struct vm_directory *directory,
		  const void *options)
{
	struct run run = {
		.home = home,
		.options = options,
		.directory = directory,
		.saved_fd = -1,
		.lock_fd = -1,
		.log_fd = -1,
		.serial.fd = -1,
	};
	struct error err = { .text = "" };

	run_sidecar_init(&run.sidecar);
	if (run.options->serial)
		run.serial.kind = SERIAL_STDIO;
	if (vm_label_from_name(directory->name, run.label_text))
		run.label = run.label_text;
	if (run_guest_new(&run.guest, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	int code = take_vm(&run);
	if (code == COMMAND_OK)
		code = run_taken(&run);
	finish(&run);
	return code;
}

int command_run(int argc, char **argv)
{
	struct run_options options;

	run_options_parse(argc, argv, &options);
	if (options.not_available) {
		fprintf(stderr, "%s is not available yet: --net-vmnet is the network there is\n",
			options.not_available);
		run_options_done(&options);
		return COMMAND_FAILED;
	}
	/* 1, not 2: the contract has it so for this command. */
	int code = named_vm_act(options.name, COMMAND_FAILED, run_vm, &options);
	run_options_done(&options);
	return code;
}
