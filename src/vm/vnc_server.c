#include "vm/vnc_server.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "vm/qmp.h"

#define ID_PASSWORD "vnc-password"
#define ID_QUERY    "vnc-query"

/* Of 64, all of which stand for themselves in a URL. */
static void make_password(char *password, struct random *random)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";

	for (size_t i = 0; i < VNC_PASSWORD_LENGTH; i++)
		password[i] = letters[random_below(random, sizeof(letters) - 1)];
	password[VNC_PASSWORD_LENGTH] = 0;
}

static int fail(int r, struct error *err)
{
	if (r < 0)
		error_set(err, "cannot set up the VNC server: %s", strerror(-r));
	return r;
}

int vnc_server_begin(struct vnc_server *server, struct qmp *qmp, struct random *random,
		     struct error *err)
{
	make_password(server->password, random);
	server->url[0] = 0;
	json_t *arguments =
		json_pack("{s:s, s:s}", "protocol", "vnc", "password", server->password);
	if (!arguments)
		return fail(-ENOMEM, err);
	int r = qmp_execute(qmp, ID_PASSWORD, "set_password", arguments);
	json_decref(arguments);
	return fail(r, err);
}

/* {"enabled": true, "host": "127.0.0.1", "service": "5900", ...} */
static int take_address(struct vnc_server *server, const json_t *result, struct error *err)
{
	const char *host = json_string_value(json_object_get(result, "host"));
	const char *service = json_string_value(json_object_get(result, "service"));
	uint16_t port;

	if (!host || strcmp(host, "127.0.0.1") != 0 || !service ||
	    !text_parse_u16(text_view_of(service), &port) || port == 0) {
		error_set(err, "QEMU does not say where its VNC server is");
		return -EPROTO;
	}
	snprintf(server->url, sizeof(server->url), "vnc://:%s@%s:%u", server->password, host, port);
	return 0;
}

int vnc_server_answered(struct vnc_server *server, struct qmp *qmp, const char *id,
			const json_t *result, const char *error, struct error *err)
{
	bool set = strcmp(id, ID_PASSWORD) == 0;

	if (!set && strcmp(id, ID_QUERY) != 0)
		return 0;
	if (!result) {
		error_set(err, "cannot set up the VNC server: %s", error);
		return -EIO;
	}
	return set ? fail(qmp_execute(qmp, ID_QUERY, "query-vnc", NULL), err)
		   : take_address(server, result, err);
}
