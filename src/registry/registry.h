#pragma once
/*
 * What is reserved across processes: subnets, guest addresses and external ports, with their
 * holders. Two kinds of record:
 *
 * A *holding* is live. Its row stands in the runtime directory (local to this host) and is believed
 * only while its owner, a registry handle, keeps a flock on its own file there. The kernel ends
 * that lock with the owner, also by SIGKILL, so nothing stale can hinder anybody; rows without a
 * live owner are removed when they are met.
 *
 * An *assignment* (key -> subnet and guest address) stands in the state directory and lasts until
 * it is removed. Others' assignments are passed over while the pool has room.
 *
 * A handle may be used from any thread (one call at a time runs); it must not be carried across
 * fork() except to exec. One handle serves any number of holdings with a fixed number of
 * descriptors. Calls block: on the disk, and up to REGISTRY_PATIENCE_MS for another process.
 * IPv4 only so far; prefixes and addresses of the other family are refused where they are asked
 * for and ignored in lists.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/error.h"

struct registry;

#define REGISTRY_LABEL_SIZE  260   /* bytes with the terminator; longer labels are cut */
#define REGISTRY_KEY_SIZE    256   /* bytes with the terminator; longer keys are refused */
#define REGISTRY_PATIENCE_MS 10000 /* how long a call waits for other processes */

/* RFC 1918 less the ranges that guests use themselves: what is handed out when a request names no
 * pool. Both are IPv4 prefixes in canonical form. */
extern const struct ip_prefix registry_default_pool[];
extern const size_t registry_default_pool_count;
extern const struct ip_prefix registry_default_exclude[];
extern const size_t registry_default_exclude_count;

/* Both are created with mode 0700 where missing, parents too. The runtime directory must belong to
 * the effective user, be closed to all others and not be a symbolic link, so that it may stand in
 * /tmp. It must be local to this host; the state directory may be shared by hosts (NFS). */
struct registry_paths {
	const char *state_directory;
	const char *runtime_directory;
};

/*
 * Opens the records, and makes them where there are none. A file that is damaged, that is not ours
 * or that a newer version wrote is a failure and stays as it is.
 * -EPERM (directory not trusted), -EACCES, -EIO, -EBUSY, -ENOSPC, -ENOMEM and the errors of mkdir.
 */
int registry_open(const struct registry_paths *paths, struct registry **ret_registry,
		  struct error *err) MUST_USE;
/*
 * For a process that is about to lose its right to open files: closes the records. What is held stays held, by
 * the owner's lock, which is all that is left open; releasing and closing are the only calls that may
 * follow. They leave the rows of an owner that is dead by then, which another process may bury
 * (holding_watch.h) and whoever meets them removes.
 */
void registry_leave(struct registry *registry);
/* Every holding must have been released before. NULL is fine. Returns NULL. */
struct registry *registry_close(struct registry *registry);

/* Everything is borrowed for the call. All zero but `length` is a valid request. */
struct registry_request {
	/* How people call the holder ("ci-3"): sentences of other processes name it. NULL or "" =
	 * none. */
	const char *label;
	/* Key of the assignment to use or to make; NULL = the subnet is for this holding only. */
	const char *key;
	/* Gives the first candidate (the VM's MAC address); without it that is random. */
	struct mac_addr seed;
	bool has_seed;
	/* This very subnet (host bits are cleared), or family NONE = choose one. */
	struct ip_prefix wanted;
	/* Prefix length of a chosen subnet, 8..30; ignored with `wanted`. */
	uint8_t length;
	/* The guest's address, with `wanted` only; NONE = that of the assignment when it lies in
	 * the subnet, else the second host. */
	struct ip_addr guest;
	/* Never taken: the host's on-link prefixes, and its resolvers and next hops as /32. A
	 * prefix of length 0 is ignored here and in `rank`: it is a default route. */
	const struct ip_prefix *avoid;
	size_t avoid_count;
	/* Other routes of the host: taken only when nothing else is left. */
	const struct ip_prefix *rank;
	size_t rank_count;
	/* Where subnets are chosen from; NULL = registry_default_pool less
	 * registry_default_exclude. */
	const struct ip_prefix *pool;
	size_t pool_count;
	const struct ip_prefix *pool_exclude;
	size_t pool_exclude_count;
};

/* Read only for everybody but the registry. */
struct registry_holding {
	struct registry *registry; /* borrowed; it outlives the holding */
	int64_t id;
	int64_t owner;		 /* the registry handle's name in the runtime directory */
	struct ip_prefix subnet; /* canonical */
	struct ip_addr gateway;	 /* the first host */
	struct ip_addr guest;
	/* What a person should know although the call succeeded: the assigned subnet overlaps a
	 * network of the host that appeared later, or is in use so that another one was held for
	 * this run. "" = nothing. */
	struct error warning;
};

/*
 * Holds a subnet until it is released or the owner dies. Decided atomically among all processes.
 *
 * With a key that has an assignment of that length, the assigned subnet is held; an overlap with
 * the host is then a warning, not a move. When another holder has it, another subnet is held for
 * this time only (with a warning), and the assignment stays. `wanted` replaces the assignment.
 *
 * -EADDRINUSE: the wanted subnet is held or belongs to the host; the sentence says by whom.
 * -EBUSY: the key has a live holding already, or other processes kept the records locked too long.
 * -ENOSPC: no subnet is left in the pool. -EINVAL: the request makes no sense. -EIO and others as
 * registry_open. On failure nothing is held and no assignment has changed.
 */
int registry_hold(struct registry *registry, const struct registry_request *request,
		  struct registry_holding **ret_holding, struct error *err) MUST_USE;
/* The ports recorded for it end too. The assignment stays. NULL is fine. Returns NULL. */
struct registry_holding *registry_holding_release(struct registry_holding *holding);

/*
 * Records that the holder has bound this external port (protocol IPPROTO_TCP or IPPROTO_UDP, port
 * not 0, either family), so that others can name it. It decides nothing: bind() did. Recording it
 * twice is fine. 0, -EINVAL, or -EBUSY, -EIO and others as registry_open.
 */
int registry_hold_port(struct registry_holding *holding, uint8_t protocol,
		       const struct ip_endpoint *at, struct error *err) MUST_USE;
/* Unrecorded ports are fine. The same errors. */
int registry_release_port(struct registry_holding *holding, uint8_t protocol,
			  const struct ip_endpoint *at, struct error *err) MUST_USE;
/*
 * Who has recorded a port that would conflict: same protocol, port and family, and the same address
 * or a wildcard on either side. False when nobody live has, or the records cannot be read. The
 * label may be "".
 */
bool registry_find_port_holder(struct registry *registry, uint8_t protocol,
			       const struct ip_endpoint *at, char ret_label[REGISTRY_LABEL_SIZE]);
/* After bind() said EADDRINUSE: `TCP port 2222 on 0.0.0.0 is in use by VM "ci-3"`, or "... by
 * another program" when nobody has recorded it. err may be NULL. */
void registry_explain_port(struct registry *registry, uint8_t protocol,
			   const struct ip_endpoint *at, struct error *err);

/*
 * True when the IPv4 address lies in a subnet of another live holding. For a thread that must not
 * wait, however often it asks: it waits for no other call, nor for other processes, and reads the
 * records at most every 10 ms (held_snapshot.h), so that at the time now_ns
 *
 *  - a subnet that was taken 10 ms before is known; with more than 500 holdings on the host it is
 *    20 us for each of them, 1 s at the most;
 *  - one that was given back, or whose owner was killed, a second before is forgotten.
 *
 * Records that cannot be read (another process repairs them) leave what was known before.
 */
bool registry_is_held_by_other(struct registry_holding *holding, const struct ip_addr *addr,
			       uint64_t now_ns);

struct registry_assignment {
	char key[REGISTRY_KEY_SIZE];
	struct ip_prefix subnet;
	struct ip_addr guest;
};

/* get, remove: -ENOENT (with a sentence) when the key has no assignment; others as registry_open. */
int registry_assignment_get(struct registry *registry, const char *key,
			    struct registry_assignment *ret_assignment, struct error *err) MUST_USE;
/* A live holding of it goes on. */
int registry_assignment_remove(struct registry *registry, const char *key,
			       struct error *err) MUST_USE;

struct registry_rename {
	const char *from; /* keys */
	const char *to;
	/* A live holding of `from` that people know by the first label is known by the second from
	 * then on; any other label stays. Both NULL = every label stays. */
	const char *from_label;
	const char *to_label;
};

/*
 * Moves all that `from` has to `to`, or nothing: the assignment, in place of what `to` had; and a
 * live holding's key, so that it is found under the new one while it lives and names the right
 * virtual machine. The holding itself goes on: at no moment can another process take its subnet.
 * What `to` holds live goes on too, but not when `from` holds something: -EBUSY.
 *
 * A process that dies meanwhile leaves the assignment under one of the two keys, with all that `to`
 * had or nothing of it; the same call again completes what it began.
 *
 * -ENOENT: `from` has neither. -EINVAL: `to` is empty or too long. Others as registry_open.
 */
int registry_assignment_rename(struct registry *registry, const struct registry_rename *rename,
			       struct error *err) MUST_USE;

typedef void registry_assignment_fn(void *context, const struct registry_assignment *assignment);
/* Calls visit for each assignment as they were at one moment, by key; it may call the registry. */
int registry_assignment_visit(struct registry *registry, registry_assignment_fn *visit,
			      void *context, struct error *err) MUST_USE;
