#pragma once
/*
 * QEMU's VNC server: on loopback, at a port that QEMU chooses, closed until it has its password, which is
 * random and goes to QEMU by QMP: a command line can be read by everybody.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/compiler.h"

struct error;
struct qmp;
struct random;

#define VNC_PASSWORD_LENGTH 8 /* more is cut by the protocol (RFC 6143, section 7.2.2) */
#define VNC_URL_SIZE	    96

struct vnc_server {
	char password[VNC_PASSWORD_LENGTH + 1];
	char url[VNC_URL_SIZE]; /* "" until QEMU has told its port */
};

/* When QMP is ready. 0 or negative errno with a sentence. */
int vnc_server_begin(struct vnc_server *server, struct qmp *qmp, struct random *random,
		     struct error *err) MUST_USE;
/* For each answer of QMP: those that are not its own are left alone. 0 or negative errno with a sentence;
 * .url is set with the last one. */
int vnc_server_answered(struct vnc_server *server, struct qmp *qmp, const char *id,
			const json_t *result, const char *error, struct error *err) MUST_USE;
