#pragma once
/* hosts(5), as it is now. */

#include "base/addr.h"
#include "host/file_change.h"

/* Bytes, and names with an address; what follows in a longer file is left out. */
#define HOSTS_FILE_SIZE_MAX 4194304
#define HOSTS_FILE_MAX	    10000

struct hosts_file_entry {
	const char *name; /* lower case, no final dot; points into names */
	uint32_t order;	  /* of the file */
	struct ip_addr addr;
};

struct hosts_file {
	struct file_change file;
	struct hosts_file_entry *entries; /* sorted by name, then order */
	size_t count;
	char *names;
};

/* 0 or -ENOMEM. The file need not exist. */
int hosts_file_init(struct hosts_file *hosts, const char *path) MUST_USE;
void hosts_file_done(struct hosts_file *hosts);
/* host.h hosts_lookup(). now_ns: the loop's time. */
size_t hosts_file_lookup(struct hosts_file *hosts, uint64_t now_ns, const char *name,
			 enum ip_family family, struct ip_addr *ret_addrs, size_t capacity,
			 bool *ret_known);
