#pragma once
/* A directory of the host that the guest can mount: by virtiofs, through a daemon of its own for each, or by
 * 9p, which QEMU serves itself. */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define SHARE_MOST     8
#define SHARE_TAG_SIZE 32 /* with the zero: 9p takes 31 bytes, virtiofs 36 */

enum share_transport {
	SHARE_AUTO, /* virtiofs where it can run, else 9p */
	SHARE_VIRTIOFS,
	SHARE_9P,
};

/* "auto", "virtiofs", "9p". */
bool share_transport_parse(const char *text, enum share_transport *ret_transport) MUST_USE;

struct share {
	const char *path; /* absolute */
	const char *tag;
	bool read_only;
	enum share_transport transport; /* not SHARE_AUTO */
	const char *socket_name;	/* virtiofs: a listening socket, a path without a comma */
};

/* A saved guest would go on with files that the daemon does not know any more. */
bool share_forbids_saving(const struct share *shares, size_t count);
/* Does QEMU have to share the guest's memory for them? */
bool share_needs_memory(const struct share *shares, size_t count);

#define SHARE_MOUNT_SIZE 160
/* What to type in the guest: "mount -t virtiofs TAG /mnt". Returns buffer. */
const char *share_mount_command(const struct share *share, char buffer[SHARE_MOUNT_SIZE]);
