#pragma once
/*
 * run.json: what other processes need to know of a running VM. Written by the process that runs it,
 * and believed only while that process holds the VM's lock.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "vm/vm_label.h"

struct error;

struct run_state {
	pid_t pid;
	char label[VM_LABEL_SIZE]; /* "" = none */
	struct ip_prefix subnet;
	struct ip_addr address;
	struct mac_addr mac;
	bool is_host_only; /* no way out */
	bool is_softnet;   /* the network is softnet's: no control socket tells of it */
	json_t *forwards;  /* a list of objects, as bound; this room does not look inside */
};

void run_state_done(struct run_state *state);

/* 0 or negative errno. */
int run_state_write(int directory_fd, const struct run_state *state, struct error *err) MUST_USE;
void run_state_remove(int directory_fd);
/*
 * 0; -ESRCH when nobody runs the VM, or who runs it has not written the file yet; another negative
 * errno with a sentence. One run_state_done().
 */
int run_state_read(int directory_fd, struct run_state *ret_state, struct error *err) MUST_USE;
/* What a run.json says; false when it is damaged. One run_state_done(). */
bool run_state_parse(const char *text, size_t size, struct run_state *ret_state) MUST_USE;
