#pragma once
/*
 * Documents by HTTP at the gateway's address: NAT connects a guest's flow to a session here by a socket
 * pair, as it does for DNS over TCP. They are a few small texts that are there from the start, for the
 * guests of this network alone; GET and HEAD, nothing else.
 *
 * A session serves one request after the other (what the guest has sent beyond waits). Each port has
 * at most DOCUMENT_SESSIONS_PER_PORT of them, and where all are in use its share (stream_sessions.h).
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "host/host.h"

struct document_server;
struct gateway;

#define DOCUMENT_SESSIONS_PER_PORT 8
/* For a whole request; for an answer, from the last moment that some of it left. */
#define DOCUMENT_IDLE_MS 10000
/* After a refusal, until the guest ends. */
#define DOCUMENT_LINGER_MS 2000

/* Copies the documents of gateway->config; there is at least one. */
int document_server_new(struct gateway *gateway, struct document_server **ret_server) MUST_USE;
struct document_server *document_server_free(struct document_server *server);
struct host_stream_service *document_server_service(struct document_server *server);
void document_server_port_gone(struct document_server *server, uint32_t port);
