#pragma once
/* The command line of softnet: Softnet's own options, and what else a network can be told. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "spec/forward_spec.h"
#include "spec/rule_lists.h"
#include "vmnet/vmnet.h"

struct error;

#define SOFTNET_DOCUMENTS_MOST 16

enum softnet_attach {
	SOFTNET_ATTACH_DATAGRAM,
	SOFTNET_ATTACH_STREAM,
	SOFTNET_ATTACH_VHOST_USER,
};

/* A file that the guest may fetch from the gateway; read once, from an open descriptor. */
struct softnet_document {
	char *path; /* to be freed */
	int fd;
};

/* Texts without a word on it are borrowed from argv. */
struct softnet_options {
	int vm_fd;
	ether_addr_t mac;
	vmnet_mode_t mode;
	enum softnet_attach attach;
	bool once; /* of a listening vm_fd, the first VM is the only one */
	struct rule_list allow;
	struct rule_list block;
	struct forward_specs expose;
	const char *expose_address; /* NULL = all addresses */
	int control_fd;		    /* -1 = none */
	bool has_user;
	uid_t user;
	gid_t group;
	bool strict;

	int report_fd;	/* -1 = none */
	int capture_fd; /* -1 = none */
	char *label;	/* NULL = none, as those that follow */
	const char *assignment;
	const char *state_directory;
	const char *runtime_directory;
	const char *hostname;
	bool has_subnet;
	struct ip_prefix subnet;
	uint32_t mtu; /* 0 = the default */
	bool has_busy_poll;
	uint32_t busy_poll_us;
	enum vmnet_tcp_backlog tcp_backlog;
	struct softnet_document documents[SOFTNET_DOCUMENTS_MOST];
	size_t document_count;
};

/* Ends the program with 1 and a sentence where the command line is wrong. One softnet_options_done(). */
void softnet_options_parse(int argc, char **argv, struct softnet_options *ret_options);
void softnet_options_done(struct softnet_options *options);
/* Does one of them name this descriptor? */
bool softnet_options_name_fd(const struct softnet_options *options, int fd);
