#pragma once
/* The directories that a guest can mount in one run (--dir): looked at before anything is started. */

#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "vm/share.h"
#include "vm/share_daemon.h"

struct dir_spec;
struct error;
struct qemu_query_wait;

struct run_shares {
	struct share shares[SHARE_MOST];
	char *paths[SHARE_MOST]; /* what .shares[].path points to */
	size_t count;
	struct share_daemon daemon; /* where one is by virtiofs */
};

/* specs, whose tags the shares borrow: not two of one tag. How they get to the guest is not decided yet. 0 or
 * negative errno with a sentence. On success one run_shares_done(). */
int run_shares_open(const struct dir_spec *specs, size_t count, struct run_shares *ret_shares,
		    struct error *err) MUST_USE;
/*
 * Decides it for all of them. 0 or negative errno with a sentence; on success err has one, too, where it is
 * 9p that was not asked for, else its text is "". -ECANCELED: wait's stop_fd.
 */
int run_shares_choose(struct run_shares *shares, enum share_transport wish,
		      const struct qemu_query_wait *wait, struct error *err) MUST_USE;
/* A line for each: what it is called, and how to mount it. */
void run_shares_print(const struct run_shares *shares, FILE *stream);
void run_shares_done(struct run_shares *shares);
