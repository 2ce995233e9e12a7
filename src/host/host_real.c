#include "host/host_real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/host_internal.h"
#include "host/watched_socket.h"

int host_real_domain(uint8_t family)
{
	if (family == IP_FAMILY_V4)
		return AF_INET;
	return family == IP_FAMILY_V6 ? AF_INET6 : -1;
}

uint32_t host_real_scope(const struct host_real *real, const struct ip_addr *to)
{
	return ip_addr_is_link_local(to)
		       ? resolv_conf_scope(&real->resolv_conf, to, &real->view.query)
		       : 0;
}

int host_real_local_endpoint(int fd, struct ip_endpoint *ret_local)
{
	struct sockaddr_storage sockaddr = { 0 };
	socklen_t size = sizeof(sockaddr);
	if (getsockname(fd, (struct sockaddr *)&sockaddr, &size) < 0)
		return -errno;
	return ip_endpoint_from_sockaddr(&sockaddr, ret_local) ? 0 : -EAFNOSUPPORT;
}

static bool host_real_is_local(struct host *host, const struct ip_addr *addr)
{
	return host_view_is_local(&host_real_of(host)->view, addr);
}

static bool host_real_default_source(struct host *host, enum ip_family family,
				     struct ip_addr *ret_addr)
{
	return host_view_default_source(&host_real_of(host)->view, family, ret_addr);
}

static size_t host_real_resolvers(struct host *host, struct ip_endpoint *ret_resolvers,
				  size_t capacity)
{
	struct host_real *real = host_real_of(host);
	return resolv_conf_servers(&real->resolv_conf, loop_now(real->loop), ret_resolvers,
				   capacity);
}

static size_t host_real_hosts_lookup(struct host *host, const char *name, enum ip_family family,
				     struct ip_addr *ret_addrs, size_t capacity, bool *ret_known)
{
	struct host_real *real = host_real_of(host);
	return hosts_file_lookup(&real->hosts_file, loop_now(real->loop), name, family, ret_addrs,
				 capacity, ret_known);
}

static const struct host_ops host_real_ops = {
	.tcp_connect = tcp_socket_connect,
	.tcp_result = tcp_socket_result,
	.tcp_listen = tcp_socket_listen,
	.tcp_accept = tcp_socket_accept,
	.tcp_take = tcp_socket_take,
	.receive = stream_socket_receive,
	.peek = stream_socket_peek,
	.set_peek_offset = stream_socket_set_peek_offset,
	.discard = stream_socket_discard,
	.send = stream_socket_send,
	.keep_alive = tcp_socket_keep_alive,
	.finish = stream_socket_finish,
	.close = tcp_socket_close,
	.reset = tcp_socket_reset,
	.stream_pair = stream_socket_pair,
	.udp_open = udp_socket_open,
	.udp_send = udp_socket_send,
	.udp_send_batch = udp_socket_send_batch,
	.udp_receive = udp_socket_receive,
	.udp_receive_batch = udp_socket_receive_batch,
	.echo_open = echo_socket_open,
	.echo_send = echo_socket_send,
	.echo_receive = echo_socket_receive,
	.error_receive = error_queue_receive,
	.is_local = host_real_is_local,
	.default_source = host_real_default_source,
	.resolvers = host_real_resolvers,
	.hosts_lookup = host_real_hosts_lookup,
};

int host_real_new_with_paths(struct loop *loop, const struct log *log,
			     const struct host_real_paths *paths, struct host **ret_host,
			     struct error *err)
{
	struct host_real *real = calloc(1, sizeof(*real));
	if (!real) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	real->host.ops = &host_real_ops;
	real->loop = loop;
	real->log = log;
	int rc = host_view_init(&real->view, loop, log, err);
	if (rc < 0) {
		free(real);
		return rc;
	}
	if (resolv_conf_init(&real->resolv_conf, paths->resolv_conf) < 0 ||
	    hosts_file_init(&real->hosts_file, paths->hosts) < 0) {
		error_set(err, "out of memory");
		(void)host_real_free(&real->host);
		return -ENOMEM;
	}
	*ret_host = &real->host;
	return 0;
}

int host_real_new(struct loop *loop, const struct log *log, const struct host_files *files,
		  struct host **ret_host, struct error *err)
{
	static const struct host_real_paths paths = {
		.resolv_conf = "/etc/resolv.conf",
		.hosts = "/etc/hosts",
	};
	int rc = host_real_new_with_paths(loop, log, &paths, ret_host, err);
	if (rc == 0 && files) {
		struct host_real *real = host_real_of(*ret_host);
		file_change_set_source(&real->resolv_conf.file, files->resolv_conf);
		file_change_set_source(&real->hosts_file.file, files->hosts);
	}
	return rc;
}

struct host *host_real_free(struct host *host)
{
	if (!host)
		return NULL;
	struct host_real *real = host_real_of(host);
	host_view_done(&real->view);
	resolv_conf_done(&real->resolv_conf);
	hosts_file_done(&real->hosts_file);
	free(real);
	return NULL;
}
