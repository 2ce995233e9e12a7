#include "host/resolv_conf.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

#define RESOLV_CONF_DNS_PORT 53

_Static_assert(RESOLV_CONF_INTERFACE_SIZE == IF_NAMESIZE, "as <net/if.h> has it");

int resolv_conf_init(struct resolv_conf *conf, const char *path)
{
	*conf = (struct resolv_conf){ 0 };
	return file_change_init(&conf->file, path);
}

void resolv_conf_done(struct resolv_conf *conf)
{
	file_change_done(&conf->file);
}

/* ADDRESS, or ADDRESS%INTERFACE for IPv6's link-local ones (RFC 4007 11). */
static bool resolv_conf_parse_server(struct text_view word, struct resolv_conf_server *ret_server)
{
	struct resolv_conf_server server = { .at.port = RESOLV_CONF_DNS_PORT };
	char text[IP_ADDR_TEXT_SIZE];
	struct text_view address;
	struct text_view interface;

	bool scoped = text_view_cut(word, '%', &address, &interface);
	if (!text_view_copy(address, text, sizeof(text)) || !ip_addr_parse(text, &server.at.addr))
		return false;
	if (scoped && (!ip_addr_is_link_local(&server.at.addr) || interface.length == 0 ||
		       !text_view_copy(interface, server.interface, sizeof(server.interface))))
		return false;
	*ret_server = server;
	return true;
}

static bool resolv_conf_parse_line(struct text_view line, struct resolv_conf_server *ret_server)
{
	/* Both signs begin a comment. */
	if (line.length && *line.start == ';')
		return false;
	struct text_view word;
	return file_change_next_word(&line, &word) && text_view_equal(word, "nameserver") &&
	       file_change_next_word(&line, &word) && resolv_conf_parse_server(word, ret_server);
}

size_t resolv_conf_parse(struct text_view text,
			 struct resolv_conf_server ret_servers[RESOLV_CONF_MAX])
{
	size_t count = 0;
	struct text_view line;
	while (count < RESOLV_CONF_MAX && file_change_next_line(&text, &line)) {
		struct resolv_conf_server server;
		if (!resolv_conf_parse_line(line, &server))
			continue;
		bool known = false;
		for (size_t i = 0; i < count; i++)
			known = known || ip_endpoint_equal(&ret_servers[i].at, &server.at);
		if (!known)
			ret_servers[count++] = server;
	}
	return count;
}

/* Looked up each time: an interface that is made again has another number. */
uint32_t resolv_conf_scope(const struct resolv_conf *conf, const struct ip_addr *addr,
			   const struct netlink *netlink)
{
	for (size_t i = 0; i < conf->count; i++) {
		const struct resolv_conf_server *server = &conf->server[i];
		uint32_t index;
		uint16_t number;

		if (server->interface[0] == '\0' || !ip_addr_equal(&server->at.addr, addr))
			continue;
		index = netlink_find_link(netlink, server->interface);
		if (index == 0 && text_parse_u16(text_view_of(server->interface), &number))
			index = number; /* some write the number itself */
		return index;
	}
	return 0;
}

static void resolv_conf_read(struct resolv_conf *conf)
{
	char *text;
	size_t size;
	int rc = file_change_read(&conf->file, RESOLV_CONF_SIZE_MAX, &text, &size);
	if (rc == -EAGAIN)
		return;
	conf->count = 0;
	if (rc < 0)
		return;
	struct text_view view = { .start = text, .length = size };
	conf->count = resolv_conf_parse(view, conf->server);
	free(text);
}

size_t resolv_conf_servers(struct resolv_conf *conf, uint64_t now_ns,
			   struct ip_endpoint *ret_servers, size_t capacity)
{
	if (file_change_check(&conf->file, now_ns))
		resolv_conf_read(conf);
	size_t count = conf->count < capacity ? conf->count : capacity;
	for (size_t i = 0; i < count; i++)
		ret_servers[i] = conf->server[i].at;
	return count;
}
