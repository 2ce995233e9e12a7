/*
 * libvmnet: logical networks for virtual machines, in user space and without root.
 *
 * Names, argument orders and values are those of Apple's logical-network API where it has the
 * function; what goes beyond it is marked "Addition".
 *
 *     vmnet_return_t status;
 *     vmnet_network_configuration_ref config =
 *             vmnet_network_configuration_create(VMNET_SHARED_MODE, &status);
 *     vmnet_network_ref network = vmnet_network_create(config, &status);
 *     if (!network)
 *             puts(vmnet_network_configuration_get_error(config));
 *     vmnet_network_configuration_release(config);
 *     vmnet_network_attach_stream_fd(network, fd, NULL, &port, NULL);
 *     ...
 *     vmnet_network_release(network);
 *
 * Ownership: each create or retain is paired with exactly one release. A configuration is copied by
 * vmnet_network_create and may be released right after it. File descriptors handed over belong to
 * the library from the moment a function succeeds, and stay the caller's when it fails.
 *
 * Threads: a network may be used from any thread. A configuration may be used by one thread at a
 * time. Each network runs one thread of its own (and one that sleeps unless vhost-user calls a
 * guest), with all signals blocked; callbacks run on it and
 * must not call back into the library.
 *
 * Units: ports and IPv4 masks in struct in_addr as everywhere in <netinet/in.h> (network byte order
 * in s_addr); port numbers in host byte order; durations as their names say.
 */
#ifndef VMNET_VMNET_H
#define VMNET_VMNET_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMNET_EXPORT __attribute__((visibility("default")))

typedef struct ether_addr ether_addr_t;

/* Apple's values. */
typedef enum vmnet_return {
	VMNET_SUCCESS = 1000,
	VMNET_FAILURE = 1001,		   /* general failure; the error text says which */
	VMNET_MEM_FAILURE = 1002,	   /* out of memory */
	VMNET_INVALID_ARGUMENT = 1003,	   /* an argument is outside its range */
	VMNET_SETUP_INCOMPLETE = 1004,	   /* the network was created without what is asked for */
	VMNET_INVALID_ACCESS = 1005,	   /* permission denied (a low port, a directory) */
	VMNET_PACKET_TOO_BIG = 1006,	   /* not used */
	VMNET_BUFFER_EXHAUSTED = 1007,	   /* a table or limit is full (ports of a network) */
	VMNET_TOO_MANY_PACKETS = 1008,	   /* not used */
	VMNET_SHARING_SERVICE_BUSY = 1009, /* subnet, address or external port is taken */
	VMNET_NOT_AUTHORIZED = 1010,	   /* may not be changed while the network runs */
} vmnet_return_t;

typedef enum vmnet_mode {
	VMNET_HOST_MODE = 1000,	   /* gateway and guests only: no NAT, no names from outside */
	VMNET_SHARED_MODE = 1001,  /* NAT to the outside */
	VMNET_BRIDGED_MODE = 1002, /* not a logical network: refused */
} vmnet_mode_t;

typedef struct vmnet_network *vmnet_network_ref;
typedef struct vmnet_network_configuration *vmnet_network_configuration_ref;

/* The name of a status, "VMNET_SUCCESS" and so on; "unknown" for any other value. Addition. */
VMNET_EXPORT const char *vmnet_return_name(vmnet_return_t status);

/* ------------------------------------------------------------------------------------------
 * Configuration
 * ------------------------------------------------------------------------------------------ */

/*
 * A configuration with the defaults: NAT, DHCP and DNS on; MTU 1500; a free /24 of the pool; no
 * reservations, no forwards. mode: VMNET_SHARED_MODE or VMNET_HOST_MODE. NULL on failure, with
 * *status (may be NULL) VMNET_INVALID_ARGUMENT or VMNET_MEM_FAILURE. The caller owns the result:
 * one vmnet_network_configuration_release().
 */
VMNET_EXPORT vmnet_network_configuration_ref
vmnet_network_configuration_create(vmnet_mode_t mode, vmnet_return_t *status);
/* NULL is allowed. Addition (Apple: CFRelease). */
VMNET_EXPORT void vmnet_network_configuration_release(vmnet_network_configuration_ref config);

/*
 * The sentence that says why the last call on this configuration failed, also for
 * vmnet_network_create(); "" after a success. Owned by the configuration, valid until the next call
 * on it. Addition.
 */
VMNET_EXPORT const char *
vmnet_network_configuration_get_error(vmnet_network_configuration_ref config);

/*
 * The subnet: `subnet` is the network address or the first host (which is the gateway); `mask` is
 * contiguous, /8 to /30, and the whole lies inside 10/8, 172.16/12 or 192.168/16 (RFC 1918).
 * VMNET_INVALID_ARGUMENT otherwise. Whether it is free is seen by vmnet_network_create().
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(
	vmnet_network_configuration_ref config, const struct in_addr *subnet,
	const struct in_addr *mask);

/* Bytes of an IP packet, 576..65520. Default 1500. VMNET_INVALID_ARGUMENT outside that. */
VMNET_EXPORT vmnet_return_t
vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref config, uint32_t mtu);

/*
 * Addition: how long, in microseconds, the network's thread looks for the next event before it goes to sleep,
 * 0..1000; 0 = never. It looks only where its last waits were that short and little is carried, and gives
 * the processor to whoever wants it; an idle network sleeps. Default 50. Where the process may
 * use one processor only, it never looks. VMNET_INVALID_ARGUMENT outside that.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_busy_poll(
	vmnet_network_configuration_ref config, uint32_t microseconds);

/*
 * The guest with MAC `client` always gets `reservation` by DHCP, whatever client id it sends. Both
 * must be new; the MAC must be a single host's; the address must be RFC 1918, lie in the subnet and be
 * neither gateway, network nor broadcast address: checked here when the subnet is set already, else
 * when it is set or by vmnet_network_create(). A reservation of 0.0.0.0 asks for the first free guest
 * address of the subnet (Addition; with an automatic subnet it is the only form that makes sense). At
 * most 256. VMNET_INVALID_ARGUMENT otherwise, and for NULL.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(
	vmnet_network_configuration_ref config, const ether_addr_t *client,
	const struct in_addr *reservation);

/*
 * Forwards external_port of the host to internal_port of internal_address (struct in_addr; 0.0.0.0
 * or NULL means the address of the only reservation: Addition). protocol: IPPROTO_TCP or
 * IPPROTO_UDP. address_family: AF_INET. internal_port 1..65535; external_port 0 takes a free port,
 * which vmnet_network_get_port_forwards() reports. Bound on 127.0.0.1 and ::1; for other addresses
 * there is vmnet_network_configuration_add_port_forward(). NOTE the order: internal first.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
	vmnet_network_configuration_ref config, uint8_t protocol, sa_family_t address_family,
	uint16_t internal_port, uint16_t external_port, const void *internal_address);

/*
 * No NAT: guests reach the gateway and each other. Forwards still work for others, who all appear as the
 * gateway, since guests are told of no router. DNS goes on asking the host's resolvers, other than in
 * VMNET_HOST_MODE: see disable_dns_proxy.
 */
VMNET_EXPORT void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref config);
/* No DHCP server: guests configure themselves. */
VMNET_EXPORT void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref config);
/* No DNS forwarder on the gateway; DHCP then offers no DNS server. */
VMNET_EXPORT void
vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref config);

/* --- Additions -------------------------------------------------------------------------- */

/*
 * The name people know the network by (a VM's name): error sentences of other programs name it as
 * the holder. At most 64 characters of UTF-8; longer is cut on a character boundary. Without one
 * they say "another network", and the network's thread is called "vmnet". Copied.
 * VMNET_INVALID_ARGUMENT for NULL, "" and blanks alone, for what is not UTF-8, and for control
 * characters (also those that hide or turn round text): others print it.
 */
VMNET_EXPORT vmnet_return_t
vmnet_network_configuration_set_label(vmnet_network_configuration_ref config, const char *label);

/*
 * Makes the subnet and the guest address an assignment: `key` (a VM's name or id, 1..255 bytes)
 * gets the same ones next time, until vmnet_assignment_remove(). `seed` (a MAC) picks the first
 * candidate. Both are copied. VMNET_INVALID_ARGUMENT for a key of another size or no seed.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_assignment(
	vmnet_network_configuration_ref config, const char *key, const ether_addr_t *seed);

/* Length of an automatic subnet, 8..30. Default 24. VMNET_INVALID_ARGUMENT outside that. */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_prefix_length(
	vmnet_network_configuration_ref config, uint8_t length);

/* Where assignments are kept; made with mode 0700 where missing. Default $XDG_STATE_HOME/vmnet or
 * ~/.local/state/vmnet. path is copied, 1..4095 bytes, else VMNET_INVALID_ARGUMENT. */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_state_directory(
	vmnet_network_configuration_ref config, const char *path);

/* Where what is in use now is kept; all programs that share it see each other. Must be on this host
 * (not NFS) and the user's own, mode 0700. Default $XDG_RUNTIME_DIR/vmnet where that is the user's,
 * else /tmp/vmnet-UID. path is copied, 1..4095 bytes, else VMNET_INVALID_ARGUMENT. */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_runtime_directory(
	vmnet_network_configuration_ref config, const char *path);

/* Name of the guest (DHCP option 12, and a name that DNS answers). Letters, digits and hyphens, at
 * most 63, else VMNET_INVALID_ARGUMENT. It stands for the first reservation. Copied. */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_hostname(
	vmnet_network_configuration_ref config, const char *hostname);

/*
 * A document that guests of this network fetch from the gateway by HTTP, http://GATEWAY/path, port 80:
 * GET and HEAD, for whoever runs in a guest. Neither the host nor another network reaches it. With
 * documents, port 80 of the gateway's address is never the host's (VMNET_HOST_ACCESS_LOOPBACK). path
 * begins with "/" and has at most 255 characters: letters, digits, "-", ".", "_", "~" and "/", no "."
 * behind a "/". Both are copied; size is in bytes, may be 0, and bytes be NULL then. At most 64
 * documents and 1 MiB (1048576 bytes) in total. VMNET_INVALID_ARGUMENT beyond that, and for a path that
 * is there already; VMNET_MEM_FAILURE.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_add_document(
	vmnet_network_configuration_ref config, const char *path, const void *bytes, size_t size);

/* What a guest reaches of the host itself. Default closed. VMNET_INVALID_ARGUMENT for any other
 * value. */
typedef enum vmnet_host_access {
	VMNET_HOST_ACCESS_NONE = 0,
	VMNET_HOST_ACCESS_LAN = 1,	/* what listens on the default route's source address */
	VMNET_HOST_ACCESS_LOOPBACK = 2, /* that, and loopback, by the gateway's address */
} vmnet_host_access_t;
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_host_access(
	vmnet_network_configuration_ref config, vmnet_host_access_t access);

/* Opens 169.254.169.254 and its kin (design: "What a guest may reach") to the guest. */
VMNET_EXPORT void
vmnet_network_configuration_allow_metadata(vmnet_network_configuration_ref config);

/* UDP: any peer may answer on a mapping, not only those the guest sent to (RFC 4787
 * endpoint-independent filtering), for peer-to-peer programs. */
VMNET_EXPORT void vmnet_network_configuration_set_udp_endpoint_independent_filtering(
	vmnet_network_configuration_ref config, bool enabled);

/* A forward with all its parts, for ranges one call a port. */
struct vmnet_port_forward {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	/* Where to listen: AF_INET, AF_INET6 (that family only), or AF_UNSPEC: both families on the
	 * wildcard addresses, AF_LOCAL: both loopback addresses (the default of the library). */
	sa_family_t external_family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} external_address;
	uint16_t external_port;		 /* 0 = any free one, the same for both families */
	struct in_addr internal_address; /* 0.0.0.0 = the only reservation's */
	uint16_t internal_port;		 /* 1..65535 */
};
/*
 * Adds a forward, which is copied, to be bound by vmnet_network_create(). VMNET_INVALID_ARGUMENT:
 * another protocol or family, internal port 0, a group, broadcast or IPv6 link-local address to
 * listen on, or an external port that is forwarded already (also where one of the two stands for all
 * addresses); VMNET_MEM_FAILURE. At most 4096. That the internal address can be a guest's is checked
 * when the subnet is known, by vmnet_network_create().
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_add_port_forward(
	vmnet_network_configuration_ref config, const struct vmnet_port_forward *forward);

/*
 * Rules: whom guests may call and who may call them, in Softnet's language. Each text is
 *
 *     [in|out] TARGET[:PORT[-PORT]]
 *
 * TARGET is an IPv4 or IPv6 prefix (host bits are cleared) or @host, the gateway's address; PORT is the TCP
 * or UDP port of TARGET's side. `out` is about flows that a guest begins, `in` about those towards it; a rule
 * with neither is about what a guest begins and, once a single rule has a direction, about both. Of the rules
 * that fit, those with ports come first, then the longer prefix, then block before allow. Without a rule a
 * guest calls global addresses and the gateway, no private ones, and everybody who comes by a forward is let
 * in. Answers always pass. DHCP always works; the gateway's DNS and documents unless a rule is about exactly its
 * address.
 *
 * With rules, also with none of them (both counts 0), a guest is held to its MAC and to its reserved or leased
 * IPv4 address, speaks ARP and IPv4 without options only, reaches no groups, and does not see other
 * guests (but with 0.0.0.0/0 allowed it does). Where there are reservations only their MACs may be in the
 * network. A rule that allows what a guest sends to @host (or to that address as a /32) opens the host as
 * VMNET_HOST_ACCESS_LAN does, at the ports of the rule alone. A guest that calls one of the host's own addresses
 * needs both: the rules for that address, and those for @host.
 *
 * The texts are copied; another call replaces the rules. At most 65536 in both lists together.
 * VMNET_INVALID_ARGUMENT: too many, or a text that is no rule (the sentence names it); VMNET_MEM_FAILURE.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_set_policy(
	vmnet_network_configuration_ref config, const char *const *allow, size_t allow_count,
	const char *const *block, size_t block_count);

/* Calls visit for each rule that was set, as vmnet_network_visit_policy() does: sorted, without duplicates, each
 * in one form; so can two policies be compared. VMNET_SETUP_INCOMPLETE: none were set; VMNET_MEM_FAILURE. */
VMNET_EXPORT vmnet_return_t vmnet_network_configuration_visit_policy(
	vmnet_network_configuration_ref config,
	void (*visit)(void *context, bool allow, const char *rule), void *context);

enum vmnet_log_level {
	VMNET_LOG_ERROR = 0,
	VMNET_LOG_WARNING = 1,
	VMNET_LOG_INFO = 2,
	VMNET_LOG_DEBUG = 3,
};
/* Lines about what happens, each without newline; the library itself never prints. Runs on the
 * network's thread (during create on the caller's) and must not block. */
VMNET_EXPORT void vmnet_network_configuration_set_log_callback(
	vmnet_network_configuration_ref config,
	void (*callback)(void *context, enum vmnet_log_level level, const char *line),
	void *context);

/*
 * call(context, error) is called once by vmnet_network_create(), on its thread, when everything is reserved,
 * bound and opened and before the network's thread is started: the place to give up rights (namespaces,
 * capabilities, another user, an empty root), so that the network's thread never has them. From then on the
 * network opens no file by a path and needs no right beyond sockets of IPv4, IPv6 and ping
 * but those that an informant reads for it. A negative errno fails the
 * create whole, with the sentence that was left in `error`, if any. It must not call into the library.
 * NULL: nothing is called.
 */
VMNET_EXPORT void
vmnet_network_configuration_set_before_thread(vmnet_network_configuration_ref config,
					      int (*call)(void *context, char error[512]),
					      void *context);

/*
 * The network opens no file while it runs: what must be read then (resolv.conf, hosts, and which subnets other networks
 * hold) it asks an informant, another process, by this end of a connected unix stream socket
 * (socketpair()). At the other end runs vmnet_informant_serve(), also while vmnet_network_create() does. fd is
 * duplicated and stays the caller's: close it, so that the informant sees the network's end. An
 * informant that dies or does not answer within 100 ms costs no more than that: resolvers and hosts stay as they were, and
 * private addresses (RFC 1918) of which is not known that no network has them are closed; the log says so. Forwards
 * of such a network cannot be added or removed while it runs.
 * VMNET_INVALID_ARGUMENT: fd is not such a socket. vmnet_network_create() fails where nobody answers.
 */
VMNET_EXPORT vmnet_return_t
vmnet_network_configuration_set_informant_fd(vmnet_network_configuration_ref config, int fd);

/* A pcapng capture of what passes the ports is written to fd from its position on; fd is duplicated
 * and stays the caller's. A pipe that is full loses whole packets, it never holds the network up.
 * VMNET_INVALID_ARGUMENT when fd is not open. */
VMNET_EXPORT vmnet_return_t
vmnet_network_configuration_set_capture_fd(vmnet_network_configuration_ref config, int fd);

/* ------------------------------------------------------------------------------------------
 * Network
 * ------------------------------------------------------------------------------------------ */

/*
 * Reserves subnet, guest addresses and every external port, binds the forwards, and starts the
 * network's thread; or fails whole: NULL, *status (may be NULL) says the kind and
 * vmnet_network_configuration_get_error() the sentence. After it succeeds, attaching cannot fail
 * for contention. The caller owns one reference. The configuration is copied, and only its error
 * text is written. Blocks for the disk and, where other processes create networks at the same
 * moment, for them: milliseconds, 10 s at most.
 */
VMNET_EXPORT vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref config,
						    vmnet_return_t *status);
/* One more reference, to be released once. Returns network. Addition (Apple: CFRetain). */
VMNET_EXPORT vmnet_network_ref vmnet_network_retain(vmnet_network_ref network);
/*
 * The last release detaches all ports, ends flows (bytes acknowledged to a guest drain for up to
 * 5 s), gives subnet and ports back and joins the thread. NULL is allowed.
 */
VMNET_EXPORT void vmnet_network_release(vmnet_network_ref network);

/* The network address (not the gateway's) and the mask; either pointer may be NULL. */
VMNET_EXPORT void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet,
						struct in_addr *mask);

/* --- Additions -------------------------------------------------------------------------- */

/* The gateway's address and MAC; either pointer may be NULL. */
VMNET_EXPORT void vmnet_network_get_gateway(vmnet_network_ref network, struct in_addr *address,
					    ether_addr_t *mac);
/* The address reserved for that MAC; VMNET_INVALID_ARGUMENT when there is none. */
VMNET_EXPORT vmnet_return_t vmnet_network_get_reservation(vmnet_network_ref network,
							  const ether_addr_t *client,
							  struct in_addr *address);

/* Where a call leaves its sentence; may be NULL in every call. */
struct vmnet_error {
	char text[512];
};

typedef uint32_t vmnet_port_t;

/*
 * Where bytes from the host wait until the guest has acknowledged them: in memory of the network's,
 * or in the host's sockets, from which they are read right into the guest's memory where the port
 * has such (vhost-user). AUTO chooses by the kind of port: on a TAP and vhost-user a connection begins
 * with KEPT, which costs fewer system calls, and goes over to PEEK where it moves much. PEEK needs SO_PEEK_OFF for TCP (Linux 6.9
 * for IPv4) and is KEPT where that is missing. What a guest sees is the same.
 */
enum vmnet_tcp_backlog {
	VMNET_TCP_BACKLOG_AUTO,
	VMNET_TCP_BACKLOG_KEPT,
	VMNET_TCP_BACKLOG_PEEK,
};

struct vmnet_port_options {
	/* Called once, on the network's thread, when the port is gone without the caller's
	 * detach: the peer left (error "") or misbehaved. Not for a listening fd whose front end
	 * leaves: that one accepts again. */
	void (*closed)(void *context, vmnet_port_t port, const char *error);
	void *context;
	enum vmnet_tcp_backlog tcp_backlog;
	/* vhost-user: also memory that its front end could take away: that is no memfd with
	 * F_SEAL_SHRINK, or of huge pages (hugetlbfs), where a page that is touched first, or again
	 * after a hole was punched, may not be had. Touching what is not there ends this process by
	 * SIGBUS: only for a front end that is trusted, and has all its huge pages. */
	bool allow_unsealed_memory;
};

/*
 * Attaches a guest by a connected unix datagram socket: one Ethernet frame a datagram (vfkit,
 * vmnet-helper). options may be NULL and is copied. The fd belongs to the network on success.
 * VMNET_INVALID_ARGUMENT: not a connected unix datagram socket, or (as of every attach call) a
 * descriptor that is attached to this network already; VMNET_BUFFER_EXHAUSTED: the network
 * has as many ports as it has guest addresses. A datagram socket tells that its peer left only when
 * something is sent to it: who knows earlier should detach.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_attach_datagram_fd(
	vmnet_network_ref network, int fd, const struct vmnet_port_options *options,
	vmnet_port_t *port, struct vmnet_error *error);
/*
 * The same by a stream socket with QEMU's framing (32-bit big-endian length before each frame):
 * connected, or listening: then one front end at a time is served and the next one accepted after
 * it left.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_attach_stream_fd(vmnet_network_ref network, int fd,
							   const struct vmnet_port_options *options,
							   vmnet_port_t *port,
							   struct vmnet_error *error);
/*
 * The same by a TAP device, for a network namespace as guest: a descriptor of /dev/net/tun on which
 * TUNSETIFF was done with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR (IFF_NAPI as you like); one queue. The
 * network sets the header's size and the offloads (checksum, TSO, USO where the kernel has it), so
 * that frames of up to 64 KiB pass at any MTU. Giving the interface an MTU of at most the network's,
 * an address (or a DHCP client) and a route is the caller's part. options.closed is called when the
 * interface is deleted. VMNET_INVALID_ARGUMENT: not such a device; VMNET_FAILURE: a kernel without
 * these offloads.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_attach_tap_fd(vmnet_network_ref network, int fd,
							const struct vmnet_port_options *options,
							vmnet_port_t *port,
							struct vmnet_error *error);
/*
 * The same as back end of vhost-user: a unix stream socket to a front end (QEMU) that shares the
 * guest's memory, connected, or listening: then one front end at a time is served and the next one
 * accepted after it left. Frames pass the guest's virtqueues without a copy, up to 64 KiB at any MTU;
 * one queue pair. The memory must be a memfd with F_SEAL_SHRINK and of ordinary pages
 * (QEMU: -object memory-backend-memfd,share=on, without hugetlb=on), and so must the log of written pages,
 * unless options->allow_unsealed_memory. A front end that breaks the
 * protocol, or a guest that breaks its rings, loses the connection, with a sentence to
 * options->closed or, on a listening socket, to the log. VMNET_INVALID_ARGUMENT: not a unix stream
 * socket.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_attach_vhost_user_fd(
	vmnet_network_ref network, int fd, const struct vmnet_port_options *options,
	vmnet_port_t *port, struct vmnet_error *error);
/* VMNET_INVALID_ARGUMENT when there is no such port (any more). After it returns, no callback of
 * that port runs. */
VMNET_EXPORT vmnet_return_t vmnet_network_detach(vmnet_network_ref network, vmnet_port_t port);

/*
 * Adds a forward on the live network and reports in *bound (may be NULL) what was bound; nothing
 * stays bound on failure. VMNET_INVALID_ARGUMENT: what vmnet_network_configuration_add_port_forward()
 * refuses, an internal address that can be no guest's (outside the subnet, its network, gateway or
 * broadcast address), or none where there is not exactly one reservation; VMNET_SHARING_SERVICE_BUSY:
 * taken (the sentence names the holder where it can), or forwarded already; VMNET_INVALID_ACCESS: no
 * right to bind a low port, or to write the records; VMNET_BUFFER_EXHAUSTED: as many forwards as the
 * network can have; VMNET_NOT_AUTHORIZED: it has an informant; VMNET_MEM_FAILURE; VMNET_FAILURE: the host has no such address, no descriptor is
 * left, or what else the sentence says.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_add_port_forward(vmnet_network_ref network,
							   const struct vmnet_port_forward *forward,
							   struct vmnet_port_forward *bound,
							   struct vmnet_error *error);
/* Removes the forwards with that protocol and external port, and, where external_family is AF_INET or
 * AF_INET6, that family and address. Connections under way go on. VMNET_INVALID_ARGUMENT: there is no
 * such forward (the sentence says which); VMNET_NOT_AUTHORIZED: the network has an informant. */
VMNET_EXPORT vmnet_return_t vmnet_network_remove_port_forward(
	vmnet_network_ref network, const struct vmnet_port_forward *forward,
	struct vmnet_error *error);
/*
 * Copies up to `capacity` forwards, one per bound socket (so AF_UNSPEC shows as one AF_INET and one
 * AF_INET6), in the order added; returns how many there are.
 */
VMNET_EXPORT size_t vmnet_network_get_port_forwards(vmnet_network_ref network,
						    struct vmnet_port_forward *forwards,
						    size_t capacity);

/*
 * Connects to a TCP port of a guest as a client of a forward does, but without a port on the host that
 * others could use; the guest sees the gateway as the client. `guest` is AF_INET. Once it has
 * returned VMNET_SUCCESS, `connected` is called exactly once: with VMNET_SUCCESS and a connected TCP
 * socket (blocking, close-on-exec) that is from then on the callee's; or with another status, -1 and the
 * sentence: the guest refused, did not answer within 3 s, or the network ends. It runs on the network's
 * thread, perhaps before this function has returned, and must not block; at the latest while
 * vmnet_network_release() runs, which then is the thread. The socket behaves as one to the guest:
 * shutdown() sends FIN, a guest that resets, or a network that ends, resets it.
 * Else `connected` is not called. VMNET_INVALID_ARGUMENT: the address can be no guest's, or port 0;
 * VMNET_BUFFER_EXHAUSTED: as many connections as the network can have; VMNET_INVALID_ACCESS: its rules forbid
 * it; VMNET_MEM_FAILURE;
 * VMNET_FAILURE: no descriptor is left, or the host has no loopback.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_connect(
	vmnet_network_ref network, const struct sockaddr_in *guest,
	void (*connected)(void *context, vmnet_return_t status, int fd, const char *error),
	void *context, struct vmnet_error *error);

/*
 * Puts other rules in the place of all that are there, at one stroke: each flow is judged by the old ones or by
 * the new ones. When it returns, no byte passes any more of flows that the new rules forbid, and they end, TCP
 * with RST to both sides: at their next packet, or when a sweep comes to them, which takes as long as so many
 * sockets take to be closed and keeps nobody waiting for more than some milliseconds. The others go on.
 * Nothing changes on failure. VMNET_SETUP_INCOMPLETE: the network was created without
 * rules; VMNET_NOT_AUTHORIZED: guests would begin or cease to see each other; else as
 * vmnet_network_configuration_set_policy().
 */
VMNET_EXPORT vmnet_return_t vmnet_network_set_policy(vmnet_network_ref network,
						     const char *const *allow, size_t allow_count,
						     const char *const *block, size_t block_count,
						     struct vmnet_error *error);

struct vmnet_policy_status {
	bool isolated;	   /* guests do not see each other */
	bool stateful;	   /* a rule has a direction */
	size_t rule_count; /* identical ones count once, those for both directions twice */
};
/*
 * Calls visit (may be NULL) for each rule in force, first those that allow, each list sorted and without
 * duplicates; the text is borrowed for the call. *status may be NULL. VMNET_SETUP_INCOMPLETE: the network was
 * created without rules; VMNET_MEM_FAILURE.
 */
VMNET_EXPORT vmnet_return_t vmnet_network_visit_policy(
	vmnet_network_ref network, void (*visit)(void *context, bool allow, const char *rule),
	void *context, struct vmnet_policy_status *status, struct vmnet_error *error);

struct vmnet_statistics {
	uint64_t frames_from_guests;
	uint64_t bytes_from_guests;
	uint64_t frames_to_guests;
	uint64_t bytes_to_guests;
	uint32_t ports;
	uint32_t tcp_flows;
	uint32_t udp_flows;
	uint32_t icmp_flows;
	uint64_t dropped; /* sum of all reasons */
};
/* Counters since the network was created, and what there is now; statistics must not be NULL. */
VMNET_EXPORT void vmnet_network_get_statistics(vmnet_network_ref network,
					       struct vmnet_statistics *statistics);
/* The drop reasons, each with its counter and a name that stays; calls visit once a reason. */
VMNET_EXPORT void vmnet_network_visit_drops(vmnet_network_ref network,
					    void (*visit)(void *context, const char *name,
							  uint64_t count),
					    void *context);

/* A guest the network knows: by lease, or only by its ARP. */
struct vmnet_neighbour {
	ether_addr_t mac;
	struct in_addr address;
	bool leased;	       /* by DHCP, and the lease still holds */
	uint64_t lease_left_s; /* UINT64_MAX = for ever */
};
/* Copies up to capacity; returns how many there are. */
VMNET_EXPORT size_t vmnet_network_get_neighbours(vmnet_network_ref network,
						 struct vmnet_neighbour *neighbours,
						 size_t capacity);

/* ------------------------------------------------------------------------------------------
 * Informant (Addition): reads files for a network that may open none
 * ------------------------------------------------------------------------------------------ */

/*
 * Answers what a network asks by the other end of fd (vmnet_network_configuration_set_informant_fd()) until that is
 * closed, and then removes what the network has left in the runtime directory (NULL = the default one). Blocks
 * meanwhile. The network's process may be in a guest's hands: it learns what stands in the two files, and
 * which private networks are in use, nothing else. fd stays the caller's. VMNET_INVALID_ACCESS, VMNET_FAILURE:
 * the runtime directory cannot be used, or what was asked is no question.
 */
VMNET_EXPORT vmnet_return_t vmnet_informant_serve(int fd, const char *runtime_directory,
						  struct vmnet_error *error);

/* ------------------------------------------------------------------------------------------
 * Assignments (Addition): which subnet and address a key keeps between runs
 * ------------------------------------------------------------------------------------------ */

struct vmnet_assignment {
	char key[256];
	struct in_addr subnet; /* network address */
	struct in_addr mask;
	struct in_addr address; /* the guest's */
};

/* state_directory NULL = the default one. VMNET_INVALID_ARGUMENT: no assignment for key;
 * VMNET_INVALID_ACCESS: no right to the records; VMNET_FAILURE: they cannot be read. *assignment is
 * written only on success. */
VMNET_EXPORT vmnet_return_t vmnet_assignment_get(const char *state_directory, const char *key,
						 struct vmnet_assignment *assignment,
						 struct vmnet_error *error);
/* Removing what is not there is a success, and a network of that key which is under way goes on.
 * VMNET_INVALID_ACCESS: no right to the records; VMNET_FAILURE: they cannot be written. */
VMNET_EXPORT vmnet_return_t vmnet_assignment_remove(const char *state_directory, const char *key,
						    struct vmnet_error *error);
/*
 * Moves all that `from` has to `to`, or nothing: the assignment, in place of what `to` had; and the
 * key of a network that is under way in the default runtime directory. That network goes on as it
 * is, and the next one with the key `to` gets its subnet and address. Its label follows where it is
 * the key's own name (the first 64 characters, without blanks around); any other label stays.
 * VMNET_INVALID_ARGUMENT: `from` has neither; VMNET_SHARING_SERVICE_BUSY: networks of both keys are
 * under way. Should the process die meanwhile, the assignment is whole under one of the two keys,
 * and the same call again completes what it began.
 */
VMNET_EXPORT vmnet_return_t vmnet_assignment_rename(const char *state_directory, const char *from,
						    const char *to, struct vmnet_error *error);
/* Calls visit for each assignment, in the order of the keys; what is shown is borrowed for the call.
 * VMNET_INVALID_ACCESS or VMNET_FAILURE when the records cannot be read. */
VMNET_EXPORT vmnet_return_t
vmnet_assignment_visit(const char *state_directory,
		       void (*visit)(void *context, const struct vmnet_assignment *assignment),
		       void *context, struct vmnet_error *error);

/* ------------------------------------------------------------------------------------------
 * System calls (Addition): for whoever restricts a process that runs networks (seccomp)
 * ------------------------------------------------------------------------------------------ */

#define VMNET_SYSTEM_CALL_CONDITIONS 3

/* A system call that is needed, where all conditions hold. The same name may come again: from another room of the
 * library, or with other conditions. */
struct vmnet_system_call {
	const char *name; /* the kernel's; some exist on some architectures only */
	const char *room; /* who needs it, and why: for people */
	const char *why;
	struct {
		unsigned argument; /* 0 is the first */
		uint64_t mask;	   /* 0: no condition; else these bits of the argument ... */
		uint64_t value;	   /* ... have that value */
	} conditions[VMNET_SYSTEM_CALL_CONDITIONS];
};

/*
 * Calls visit for each system call that networks make from the moment vmnet_network_create() has returned, on their
 * threads and in functions of this header on others': attaching, rules, forwards, looking, releasing. Not
 * vmnet_network_create() itself, nor the functions of assignments; and the network has an informant, since without
 * one it opens files. What a process needs to end, by exit() or abort(), is its own business.
 */
VMNET_EXPORT void vmnet_visit_system_calls(void (*visit)(void *context,
							 const struct vmnet_system_call *call),
					   void *context);

#ifdef __cplusplus
}
#endif

#endif
