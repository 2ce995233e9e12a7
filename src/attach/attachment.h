#pragma once
/*
 * Bytes of a file descriptor to frames and back. An attachment serves one bridge port: what the
 * guest sends is pushed into `ingress`; what is pushed into attachment_sink() goes to the guest.
 * The door is here: for a port without offload super-frames are cut and checksums completed
 * (wire/frame_segment.h), short frames padded. A queue towards the guest is bounded.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/error.h"
#include "base/log.h"
#include "loop/loop.h"
#include "wire/frame_sink.h"

struct attachment;
struct call_guard;

struct attachment_context {
	struct loop *loop;
	struct drop_counters *drops;
	const struct log *log;
	uint32_t mtu; /* caps frames in both directions: mtu + 14 (+ 4 for a VLAN tag) */
	struct call_guard *call_guard; /* vhost-user */
	bool allow_unsealed_memory; /* vhost-user: a front end trusted not to shrink it, or of huge pages */
	/* The peer left (reason "") or misbehaved: nothing passes any more. Called from inside the
	 * attachment, so it must not be freed before the batch is over. */
	void (*closed)(void *context, uint32_t port, const char *reason);
	/* There is room again after room() said 0. */
	void (*writable)(void *context, uint32_t port);
	void *context;
};

/*
 * Takes over fd on success. Datagram: a unix datagram socket, connected. Stream: QEMU's framing, a
 * connected socket, or a listening one: accepts again after a front end leaves. TAP: made with
 * IFF_TAP, IFF_NO_PI and IFF_VNET_HDR; header size and offloads are set here. vhost-user: a unix
 * stream socket, connected or listening, to a front end that shares the guest's memory. Negative
 * errno, with a sentence in err: -EINVAL for another kind of descriptor, -ENOTSUP for a kernel that
 * cannot.
 */
int attachment_new_datagram(const struct attachment_context *context, int fd,
			    struct attachment **ret_attachment, struct error *err) MUST_USE;
int attachment_new_stream(const struct attachment_context *context, int fd,
			  struct attachment **ret_attachment, struct error *err) MUST_USE;
int attachment_new_tap(const struct attachment_context *context, int fd,
		       struct attachment **ret_attachment, struct error *err) MUST_USE;
int attachment_new_vhost_user(const struct attachment_context *context, int fd,
			      struct attachment **ret_attachment, struct error *err) MUST_USE;
/* Leaves the descriptor open for whoever handed it over; only before attachment_start(). */
void attachment_disown(struct attachment *attachment);
struct attachment *attachment_free(struct attachment *attachment);

struct frame_sink *attachment_sink(struct attachment *attachment);
/* Joins the bridge's side; frames are read from now on. */
void attachment_start(struct attachment *attachment, uint32_t port, struct frame_sink *ingress);
