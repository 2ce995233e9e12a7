#pragma once
/*
 * A pcapng file of what passes the ports (draft-ietf-opsawg-pcapng). Frames are seen before the
 * port's door: a super-frame is one packet and its checksum may still be partial, as tcpdump shows
 * it on a host with offload.
 *
 * Never blocks the engine on a slow reader: on a pipe that is full, whole packets are left out.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "wire/frame_sink.h"

struct capture;

/* Duplicates fd (a pipe becomes non-blocking for whoever shares it) and writes the file's header.
 * Negative errno with a sentence in err. `name` is the
 * interface name shown by readers. */
int capture_new(int fd, const char *name, struct capture **ret_capture, struct error *err) MUST_USE;
/* Writes out what is buffered. */
struct capture *capture_free(struct capture *capture);

/* push() records; flush() writes what is buffered. */
struct frame_sink *capture_sink(struct capture *capture);

/* Packets that did not get into the file. */
uint64_t capture_lost(const struct capture *capture);
