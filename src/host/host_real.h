#pragma once
/* The host over kernel sockets, netlink and /etc, on one loop. */

#include "base/error.h"
#include "base/log.h"
#include "host/file_source.h"
#include "host/host.h"

/* Where resolv.conf and hosts are read, in place of /etc. Borrowed. */
struct host_files {
	struct file_source *resolv_conf;
	struct file_source *hosts;
};

/* The loop, log and files (NULL = those of /etc) outlive it. 0 or negative errno. */
int host_real_new(struct loop *loop, const struct log *log, const struct host_files *files,
		  struct host **ret_host, struct error *err) MUST_USE;
struct host *host_real_free(struct host *host);

/* True when TCP sockets of the family take MSG_PEEK with SO_PEEK_OFF (probed, cached). */
bool host_real_can_peek(enum ip_family family);

/* For tests: host_real_can_peek() says false, as on a kernel without it. */
void host_real_force_no_peek(bool force);
