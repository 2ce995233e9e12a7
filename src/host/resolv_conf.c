#include "host/resolv_conf.h"

#include <stdlib.h>
#include <string.h>

#define RESOLV_CONF_SIZE_MAX 65536
#define RESOLV_CONF_DNS_PORT 53

int resolv_conf_init(struct resolv_conf *conf, const char *path)
{
	*conf = (struct resolv_conf){ 0 };
	return file_change_init(&conf->file, path);
}

void resolv_conf_done(struct resolv_conf *conf)
{
	file_change_done(&conf->file);
}

/* An IPv6 address with a scope ("fe80::1%eth0") does not parse, and so is left out: an endpoint
 * has no scope. */
static bool resolv_conf_parse_line(struct text_view line, struct ip_endpoint *ret_server)
{
	/* Both signs begin a comment. */
	if (line.length && *line.start == ';')
		return false;
	struct text_view word;
	char text[IP_ADDR_TEXT_SIZE];
	if (!file_change_next_word(&line, &word) || !text_view_equal(word, "nameserver") ||
	    !file_change_next_word(&line, &word) || !text_view_copy(word, text, sizeof(text)))
		return false;
	struct ip_endpoint server = { .port = RESOLV_CONF_DNS_PORT };
	if (!ip_addr_parse(text, &server.addr))
		return false;
	*ret_server = server;
	return true;
}

size_t resolv_conf_parse(struct text_view text, struct ip_endpoint ret_servers[RESOLV_CONF_MAX])
{
	size_t count = 0;
	struct text_view line;
	while (count < RESOLV_CONF_MAX && file_change_next_line(&text, &line)) {
		struct ip_endpoint server;
		if (!resolv_conf_parse_line(line, &server))
			continue;
		bool known = false;
		for (size_t i = 0; i < count; i++)
			known = known || ip_endpoint_equal(&ret_servers[i], &server);
		if (!known)
			ret_servers[count++] = server;
	}
	return count;
}

static void resolv_conf_read(struct resolv_conf *conf)
{
	char *text;
	size_t size;
	conf->count = 0;
	if (file_change_read(conf->file.path, RESOLV_CONF_SIZE_MAX, &text, &size) < 0)
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
	if (count)
		memcpy(ret_servers, conf->server, count * sizeof(*ret_servers));
	return count;
}
