#pragma once
/*
 * A host without sockets: datagrams and streams end in memory, where the test looks at them and
 * answers. Sockets have numbers of their own as fd.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"

#define FAKE_SOCKETS	  1400
#define FAKE_STREAM_SIZE  70000
#define FAKE_RESOLVERS	  8
#define FAKE_HOSTS	  8
#define FAKE_DATAGRAM_MAX 4096

struct fake_datagram {
	struct ip_endpoint remote;
	size_t size;
	uint8_t bytes[FAKE_DATAGRAM_MAX];
};

struct fake_socket {
	struct host_socket *owner; /* NULL: free, or the test's end of a stream */
	bool used;
	bool is_stream;
	struct ip_endpoint remote; /* streams: who is connected to */
	/* Datagrams: the last one sent, and one that waits for the owner. */
	unsigned sent_count;
	struct fake_datagram sent;
	bool has_waiting;
	struct fake_datagram waiting;
	int error; /* what receive answers once, negative */
	/* Streams: the other end (-1 = closed), and what this end can read. */
	int peer;
	bool finished;	    /* the owner sends no more */
	int connect_result; /* what tcp_result says */
	uint8_t *data;
	size_t size;
	size_t capacity; /* of what the other end may send before -EAGAIN */
};

struct fake_hosts_entry {
	const char *name;
	struct ip_addr addr;
};

struct fake_host {
	struct host host;
	struct fake_socket sockets[FAKE_SOCKETS];
	struct ip_endpoint resolvers[FAKE_RESOLVERS];
	size_t resolver_count;
	struct fake_hosts_entry hosts[FAKE_HOSTS];
	size_t hosts_count;
	bool refuse_open;    /* udp_open, tcp_connect and stream_pair say -EMFILE */
	int send_error;	     /* what udp_send says instead of sending, negative */
	unsigned open_count; /* sockets ever opened */
	unsigned outward;    /* those of them that led out of the process */
	int last_opened;
};

/* The memory must be zero, or one that was done with. */
void fake_host_init(struct fake_host *fake);
void fake_host_done(struct fake_host *fake);

void fake_host_add_resolver(struct fake_host *fake, const char *addr);
void fake_host_add_name(struct fake_host *fake, const char *name, const char *addr);
/* Sockets open now. */
unsigned fake_host_open_now(const struct fake_host *fake);
/* The only socket towards that resolver; -1 when there is none or more than one. */
int fake_host_find(const struct fake_host *fake, const struct ip_endpoint *remote);
/* A datagram from `remote` arrives, and the owner hears of it. */
void fake_host_deliver(struct fake_host *fake, int fd, const struct ip_endpoint *remote,
		       const void *bytes, size_t size);
/* The next receive answers with this error, and the owner hears of it. */
void fake_host_fail(struct fake_host *fake, int fd, int error);

/* The test's end of the stream that the owner of fd has. */
void fake_host_stream_write(struct fake_host *fake, int fd, const void *bytes, size_t size);
/* What the owner sent and nobody took yet; taken now. */
size_t fake_host_stream_read(struct fake_host *fake, int fd, void *ret_bytes, size_t size);
void fake_host_stream_close(struct fake_host *fake, int fd);
void fake_host_ready(struct fake_host *fake, int fd, uint32_t events);
