#pragma once
/*
 * The saved state of a suspended VM, one file in its directory (VM_DIRECTORY_SAVED_STATE): a header
 * that says with what it was made, and from SAVED_STATE_DATA_OFFSET on what QEMU wrote.
 *
 * It is written under another name and appears whole or not at all. Before the guest goes on it is set
 * aside, for from then on the disks leave it behind. What a killed run left of either is swept by the
 * next. Whoever changes anything here holds the VM's lock.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct error;
struct saved_machine;

#define SAVED_STATE_DATA_OFFSET ((size_t)1 << 20) /* but for the header it is a hole */

/* A file's begin, where the header stands; false when it is damaged. One saved_machine_done(). */
bool saved_state_parse(const void *data, size_t size, struct saved_machine *ret_machine) MUST_USE;

/* A new file for QEMU to write to, positioned behind the header. The fd, or negative errno with a
 * sentence. */
int saved_state_begin(int directory_fd, struct error *err) MUST_USE;
/* Puts the header before what was written to fd, and makes that the saved state: on the disk, and
 * whole. 0 or negative errno with a sentence: then there is none, as before. */
int saved_state_commit(int directory_fd, int fd, const struct saved_machine *machine,
		       struct error *err) MUST_USE;

/*
 * *ret_fd is positioned behind the header. 0; -ENOENT when there is none; -EINVAL when it is damaged,
 * or another negative errno, with the end of a sentence that begins with "its". The fd and one
 * saved_machine_done() are the caller's.
 */
int saved_state_open(int directory_fd, int *ret_fd, struct saved_machine *ret_machine,
		     struct error *err) MUST_USE;
/* The guest is about to go on. 0 or negative errno. */
int saved_state_set_aside(int directory_fd) MUST_USE;
/* It did not. 0 or negative errno. */
int saved_state_put_back(int directory_fd) MUST_USE;

/* Removes what was begun, and what was set aside. */
void saved_state_sweep(int directory_fd);
/* Removes all of it. 0 (also when there is none) or negative errno with a sentence. */
int saved_state_remove(int directory_fd, struct error *err) MUST_USE;
