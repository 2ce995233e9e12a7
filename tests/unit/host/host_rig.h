#pragma once
/*
 * What the tests of this room share: a loop with a real host on it, sockets that remember their
 * events, and children in a network namespace of their own (a user namespace too when not root).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/host_internal.h"
#include "host/host_real.h"

struct rig {
	struct loop *loop;
	struct host *host;
	char directory[64];
	char resolv_conf[96];
	char hosts[96];
};

/* A socket whose events are collected. */
struct rig_socket {
	struct host_socket socket;
	struct rig *rig;
	uint32_t events;
	unsigned calls;
	void (*hook)(struct rig_socket *self, uint32_t events); /* may be NULL */
};

static inline void rig_socket_ready(struct host_socket *socket, uint32_t events)
{
	struct rig_socket *self = container_of(socket, struct rig_socket, socket);
	self->events |= events;
	self->calls++;
	if (self->hook)
		self->hook(self, events);
}

static inline void rig_socket_init(struct rig_socket *self, struct rig *rig)
{
	memset(self, 0, sizeof(*self));
	self->rig = rig;
	host_socket_init(&self->socket, rig_socket_ready);
}

static inline void rig_write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

/* Ends the process when it fails: it is used in children too, where cmocka cannot. */
static inline void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	(void)snprintf(rig->directory, sizeof(rig->directory), "/tmp/test-host-XXXXXX");
	if (!mkdtemp(rig->directory))
		abort();
	(void)snprintf(rig->resolv_conf, sizeof(rig->resolv_conf), "%s/resolv.conf",
		       rig->directory);
	(void)snprintf(rig->hosts, sizeof(rig->hosts), "%s/hosts", rig->directory);
	struct host_real_paths paths = { rig->resolv_conf, rig->hosts };
	struct error err = { 0 };
	if (loop_new(&clock_boottime, &rig->loop) < 0 ||
	    host_real_new_with_paths(rig->loop, NULL, &paths, &rig->host, &err) < 0) {
		(void)fprintf(stderr, "rig: %s\n", err.text);
		abort();
	}
}

static inline void rig_done(struct rig *rig)
{
	rig->host = host_real_free(rig->host);
	rig->loop = loop_free(rig->loop);
	(void)unlink(rig->resolv_conf);
	(void)unlink(rig->hosts);
	(void)rmdir(rig->directory);
}

/* Runs the loop until the socket has had one of the events. False after 5 s without. */
static inline bool rig_wait(struct rig_socket *self, uint32_t events)
{
	uint64_t end = clock_now(&clock_boottime) + 5 * NS_PER_S;
	while (!(self->events & events)) {
		if (clock_now(&clock_boottime) > end || loop_run_once(self->rig->loop, 1000) < 0)
			return false;
	}
	self->events = 0;
	return true;
}

static inline struct ip_endpoint rig_endpoint(const char *addr, uint16_t port)
{
	struct ip_endpoint endpoint = { .port = port };
	if (!ip_addr_parse(addr, &endpoint.addr))
		abort();
	return endpoint;
}

static inline struct ip_endpoint rig_loopback(enum ip_family family, uint16_t port)
{
	return rig_endpoint(family == IP_FAMILY_V4 ? "127.0.0.1" : "::1", port);
}

static inline ssize_t rig_send(struct rig_socket *self, const char *text)
{
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	return host_call(self->rig->host, send, &self->socket, &iov, 1);
}

static inline ssize_t rig_receive(struct rig_socket *self, char *buffer, size_t size)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = size };
	return host_call(self->rig->host, receive, &self->socket, &iov, 1);
}

static inline ssize_t rig_peek(struct rig_socket *self, char *buffer, size_t size)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = size };
	return host_call(self->rig->host, peek, &self->socket, &iov, 1);
}

static inline void rig_close(struct rig_socket *self)
{
	self->rig->host->ops->close(self->rig->host, &self->socket);
}

/* A connection over loopback: a is the client, b the accepted side. */
static inline bool rig_connect_pair(struct rig *rig, enum ip_family family, struct rig_socket *a,
				    struct rig_socket *b)
{
	struct rig_socket listener;
	struct ip_endpoint bound;
	struct ip_endpoint at = rig_loopback(family, 0);
	rig_socket_init(&listener, rig);
	rig_socket_init(a, rig);
	rig_socket_init(b, rig);
	struct ip_endpoint peer;
	struct ip_endpoint local;
	bool done =
		host_call(rig->host, tcp_listen, &listener.socket, &at, &bound) == 0 &&
		host_call(rig->host, tcp_connect, &a->socket, &bound) == 0 &&
		rig_wait(&listener, EPOLLIN) && rig_wait(a, EPOLLOUT) &&
		host_call(rig->host, tcp_result, &a->socket) == 0 &&
		host_call(rig->host, tcp_accept, &listener.socket, &b->socket, &peer, &local) == 0;
	rig_close(&listener);
	return done;
}

/* --- children in a network namespace --- */

#define RIG_SKIP 77

/* In a child, where cmocka's assertions cannot be used. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__,        \
				      #condition, errno);                                          \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline bool rig_write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	fd_close(fd);
	return done;
}

static inline void rig_enter_namespace(void)
{
	char map[64];
	unsigned user = geteuid();
	unsigned group = getegid();
	if (unshare(user == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		(void)fprintf(stderr, "no network namespace allowed here: %s\n", strerror(errno));
		_exit(RIG_SKIP);
	}
	if (user == 0)
		return;
	CHECK(rig_write_proc("/proc/self/setgroups", "deny"));
	(void)snprintf(map, sizeof(map), "0 %u 1", user);
	CHECK(rig_write_proc("/proc/self/uid_map", map));
	(void)snprintf(map, sizeof(map), "0 %u 1", group);
	CHECK(rig_write_proc("/proc/self/gid_map", map));
}

/* iproute2. */
static inline void rig_ip(const char *arguments)
{
	char command[256];
	(void)snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin ip %s", arguments);
	if (system(command) != 0) {
		(void)fprintf(stderr, "failed: %s\n", command);
		_exit(1);
	}
}

/* Runs `body` in a child within a new network namespace whose loopback is up. */
static inline void rig_in_namespace(void (*body)(void))
{
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		rig_enter_namespace();
		rig_ip("link set lo up");
		body();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == RIG_SKIP)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}
