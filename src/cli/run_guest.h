#pragma once
/* QEMU from its start to its end: signals, the power button, and what is said when it is over. */

#include <signal.h>
#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/accel.h"
#include "vm/disk_options.h"
#include "vm/display.h"
#include "vm/net_attach.h"
#include "vm/qemu_version.h"
#include "vm/serial_port.h"
#include "vmnet/vmnet.h"

struct error;
struct run_disks;
struct run_guest;
struct run_shares;
struct run_sidecar;
struct saved_machine;
struct vm_config;
struct vm_directory;

struct run_guest_launch {
	/* Borrowed until run_guest_free(). */
	const struct vm_directory *directory;
	const struct vm_config *config;
	const char *label; /* NULL = none */
	struct qemu_version qemu;
	enum accel accel;
	struct net_attach_choice net;
	const char *firmware; /* as in struct qemu_launch, also the next */
	const char *system_serial;
	struct disk_options root_disk;
	const struct run_disks *disks;
	struct serial_port serial; /* borrowed */
	struct display display;	   /* chosen */
	bool nested;
	const struct run_shares *shares; /* chosen */
	bool shares_have_no_msix;	 /* as in struct qemu_launch */
	int log_fd;
	vmnet_network_ref network;
	struct run_sidecar
		*sidecar; /* started, and then there is no network in this process; NULL = none */
	struct ip_prefix subnet; /* its own */
	struct ip_addr address;	 /* the guest's */
	enum vmnet_tcp_backlog tcp_backlog;
	/* What the guest goes on from, and where that is to be read; NULL: it starts anew. */
	const struct saved_machine *saved;
	int saved_fd;
	/* Once, from run_guest_wait(), when the guest is started. */
	void (*started)(void *context);
	void *context;
};

/*
 * Takes over the signals of the process: to be called before it has other threads. 0 or negative
 * errno with a sentence. One run_guest_free().
 */
int run_guest_new(struct run_guest **ret_guest, struct error *err) MUST_USE;

/* Readable once SIGINT, SIGTERM or SIGHUP asked for the end, as long as run_guest_wait() has not seen
 * it. Borrowed, not to be read. */
int run_guest_stop_fd(const struct run_guest *guest);
/* The same as a question. */
bool run_guest_stop_is_asked(const struct run_guest *guest);

/* The mask that children begin with. Borrowed. */
const sigset_t *run_guest_child_mask(const struct run_guest *guest);

/* Attaches QEMU to the network and starts it. 0 or negative errno with a sentence. */
int run_guest_start(struct run_guest *guest, const struct run_guest_launch *launch,
		    struct error *err) MUST_USE;

/*
 * Until the guest stops, or SIGINT, SIGTERM or SIGHUP ask for it, or it is suspended as SIGUSR1
 * asks for (SIGUSR2 presses the power button). Prints what happened. The exit code of the program.
 */
int run_guest_wait(struct run_guest *guest) MUST_USE;

/* Kills QEMU if it still runs. NULL is allowed. Returns NULL. */
struct run_guest *run_guest_free(struct run_guest *guest);
