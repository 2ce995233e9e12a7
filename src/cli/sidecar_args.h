#pragma once
/* The command line of softnet for a run: a pure function. */

#include <stddef.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/net_attach.h"
#include "vm/seed_documents.h"

struct network_options;
struct sidecar_options;

/* A document of the seed in an open descriptor. */
struct sidecar_document {
	const char *path;
	int fd;
};

/* All borrowed. NULL and -1 are what is not said. */
struct sidecar_command {
	const char *program;
	const struct sidecar_options *options;
	const struct network_options *network;
	int vm_fd;
	enum net_attach attach;
	struct mac_addr mac;
	const char *label;
	const char *assignment;
	const char *state_directory;
	const char *hostname;
	const struct ip_prefix *subnet;
	const char *expose_address;
	int report_fd;
	int capture_fd;
	struct sidecar_document documents[SEED_DOCUMENT_COUNT];
	size_t document_count;
};

struct sidecar_args {
	char **argv; /* owned, each and all; ends with NULL */
	size_t count;
};

/* 0 or -ENOMEM. One sidecar_args_done(). */
int sidecar_args_build(const struct sidecar_command *command,
		       struct sidecar_args *ret_args) MUST_USE;
void sidecar_args_done(struct sidecar_args *args);
