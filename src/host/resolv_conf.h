#pragma once
/* The name servers of resolv.conf(5), as they are now. */

#include "base/addr.h"
#include "host/file_change.h"

#define RESOLV_CONF_MAX 8

struct resolv_conf {
	struct file_change file;
	struct ip_endpoint server[RESOLV_CONF_MAX];
	size_t count;
};

/* 0 or -ENOMEM. The file need not exist. */
int resolv_conf_init(struct resolv_conf *conf, const char *path) MUST_USE;
void resolv_conf_done(struct resolv_conf *conf);
/* Reads the file again if it has changed. now_ns: the loop's time. At most capacity servers, in
 * the order of the file, are copied; returns how many. A missing file has none. */
size_t resolv_conf_servers(struct resolv_conf *conf, uint64_t now_ns,
			   struct ip_endpoint *ret_servers, size_t capacity);

/* At most RESOLV_CONF_MAX servers of a text; each once. Returns how many. */
size_t resolv_conf_parse(struct text_view text, struct ip_endpoint ret_servers[RESOLV_CONF_MAX]);
