#pragma once
/*
 * The asking end of an informant (informant_server.h): for an engine that may open no file. Questions are
 * short and synchronous; one thread at a time asks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "host/host_real.h"

/* How long an answer is waited for. */
#define INFORMANT_PATIENCE_NS (100 * NS_PER_MS)
/* The first one: the informant may still be starting. */
#define INFORMANT_HELLO_NS (10 * NS_PER_S)
/* Ranges of addresses whose answer is remembered. */
#define INFORMANT_RANGES 64

struct informant_client;

/* Greets: -EPROTO, -ETIMEDOUT and so on, with a sentence, when nobody answers. The descriptor is taken on
 * success. holding and owner: what is the asker's own, see registry.h. The log is borrowed. */
int informant_client_new(int fd, int64_t holding, int64_t owner, const struct log *log,
			 struct informant_client **ret_client, struct error *err) MUST_USE;
/* NULL is fine. Returns NULL. */
struct informant_client *informant_client_free(struct informant_client *client);

/* Where the host's files are then read. They live as long as the client. */
const struct host_files *informant_client_files(const struct informant_client *client);

/* registry_is_held_by_other(). What cannot be told counts as held: so nothing is reached that must not be. */
bool informant_client_is_held(struct informant_client *client, const struct ip_addr *addr,
			      uint64_t now_ns);
