#pragma once
/*
 * The file of --net-pcap: written under a name beside it, and put in its place only when the network
 * is there, so that a run that is refused leaves an older capture as it was. What is no regular file
 * (a pipe, a terminal) is written directly.
 */

#include <limits.h>

#include "base/compiler.h"

struct error;

struct capture_file {
	int fd;		       /* -1 = none */
	const char *path;      /* borrowed */
	char beside[PATH_MAX]; /* "" = written directly */
};

/* path NULL = no capture. 0 or negative errno with a sentence. */
int capture_file_open(struct capture_file *file, const char *path, struct error *err) MUST_USE;
/* The network is there: the file takes its place. */
int capture_file_keep(struct capture_file *file, struct error *err) MUST_USE;
/* Closes, and removes what was not kept. Fine after either of the others. */
void capture_file_close(struct capture_file *file);
