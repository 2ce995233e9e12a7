#pragma once
/*
 * How QEMU is attached to the network: vhost-user, which shares the guest's memory and is several
 * times as fast, or a stream of frames, which works everywhere. Decided before the guest starts, by
 * a table of what was tried.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "vm/accel.h"

struct error;
struct qemu_version;

enum net_attach {
	NET_ATTACH_AUTO,
	NET_ATTACH_VHOST_USER,
	NET_ATTACH_STREAM,
};

struct net_attach_choice {
	enum net_attach attach; /* not NET_ATTACH_AUTO */
	bool no_msix;		/* the network device does without MSI-X */
};

/* "auto", "vhost-user", "stream". */
bool net_attach_parse(const char *text, enum net_attach *ret_attach) MUST_USE;
const char *net_attach_name(enum net_attach attach);

/* accel: not ACCEL_AUTO. */
struct net_attach_choice net_attach_choose(enum net_attach wanted,
					   const struct qemu_version *version, enum accel accel);

/*
 * A listening unix socket of mode 0600 at directory/name (one that an earlier run left is replaced),
 * not blocking. QEMU takes no descriptor for vhost-user, so it gets this name. 0 or negative errno
 * with a sentence.
 */
int net_attach_listen(int directory_fd, const char *name, int *ret_fd, struct error *err) MUST_USE;
