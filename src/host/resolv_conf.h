#pragma once
/* The name servers of resolv.conf(5), as they are now. */

#include "base/addr.h"
#include "host/file_change.h"
#include "host/netlink.h"

#define RESOLV_CONF_SIZE_MAX	   65536 /* bytes that are read */
#define RESOLV_CONF_MAX		   8
#define RESOLV_CONF_INTERFACE_SIZE 16 /* IF_NAMESIZE; its headers contradict each other */

/* A link-local IPv6 server ("fe80::1%eth0") is one only together with its interface. The endpoint
 * goes round the engine; what it means is asked again where a socket is pointed at it. */
struct resolv_conf_server {
	struct ip_endpoint at;
	char interface[RESOLV_CONF_INTERFACE_SIZE]; /* "" = none */
};

struct resolv_conf {
	struct file_change file;
	struct resolv_conf_server server[RESOLV_CONF_MAX];
	size_t count;
};

/* 0 or -ENOMEM. The file need not exist. */
int resolv_conf_init(struct resolv_conf *conf, const char *path) MUST_USE;
void resolv_conf_done(struct resolv_conf *conf);
/* Reads the file again if it has changed. now_ns: the loop's time. At most capacity servers, in
 * the order of the file, are copied; returns how many. A missing file has none. */
size_t resolv_conf_servers(struct resolv_conf *conf, uint64_t now_ns,
			   struct ip_endpoint *ret_servers, size_t capacity);

/* The interface number that belongs to an address, where it is that of a server with one as the file
 * was read last; 0 = none. */
uint32_t resolv_conf_scope(const struct resolv_conf *conf, const struct ip_addr *addr,
			   const struct netlink *netlink);

/* At most RESOLV_CONF_MAX servers of a text, each address once. Returns how many. */
size_t resolv_conf_parse(struct text_view text,
			 struct resolv_conf_server ret_servers[RESOLV_CONF_MAX]);
