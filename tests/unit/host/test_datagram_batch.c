/* Many datagrams at once, over the kernel's loopback. sendmmsg() passes by here (--wrap), so that
 * calls and messages are counted and a kernel that refuses can be played. */
#include "host_rig.h"

#include <netinet/udp.h>
#include <sys/socket.h>

#define MOST 256

struct spy {
	unsigned calls;
	unsigned messages;   /* handed over */
	unsigned segmented;  /* of them, with UDP_SEGMENT */
	int refuse_segments; /* errno for those; 0 = the kernel decides */
	int fail_at;	     /* message, counted from 0 over all calls, that fails; -1 = none */
	int fail_times;	     /* so often */
	int fail_with;
	int last_message;
};

static struct spy spy;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

static bool has_segments(struct msghdr *message)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
	     item = CMSG_NXTHDR(message, item)) {
		if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_SEGMENT)
			return true;
	}
	return false;
}

/* As the kernel's: the error of a message behind others is lost. */
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	unsigned done = 0;
	spy.calls++;
	for (; done < count; done++) {
		bool segmented = has_segments(&messages[done].msg_hdr);
		int error = segmented ? spy.refuse_segments : 0;
		spy.messages++;
		spy.segmented += segmented;
		if (!error && spy.fail_times > 0 && spy.last_message == spy.fail_at) {
			spy.fail_times--;
			error = spy.fail_with;
		}
		if (!error && __real_sendmmsg(fd, &messages[done], 1, flags) < 0)
			error = errno;
		if (error) {
			errno = error;
			return done > 0 ? (int)done : -1;
		}
		spy.last_message++;
	}
	return (int)done;
}

/* A sender, two receivers, and what is to be sent. */
struct scene {
	struct rig rig;
	struct rig_socket sender;
	struct rig_socket receiver;
	struct rig_socket other;
	struct ip_endpoint at;
	struct ip_endpoint other_at;
	struct host_datagram datagrams[MOST];
	struct iovec iov[MOST];
	struct host_outgoing batch[MOST];
	size_t count;
	size_t used;
	uint8_t bytes[MOST * 2048];
	/* Received, cut into datagrams again. */
	size_t heard;
	size_t messages; /* that they came in */
	size_t sizes[MOST];
	uint8_t firsts[MOST];
	struct host_datagram last;
	uint8_t buffers[HOST_RECEIVE_BATCH_MAX * HOST_DATAGRAM_MAX];
	struct host_datagram arrived[HOST_RECEIVE_BATCH_MAX];
};

static struct scene scene;

static void open_at(struct rig_socket *self, enum ip_family family, struct ip_endpoint *ret_bound)
{
	struct ip_endpoint at = rig_loopback(family, 0);
	rig_socket_init(self, &scene.rig);
	CHECK(host_call(scene.rig.host, udp_open, &self->socket, &at, ret_bound) == 0);
}

static void scene_init(enum ip_family family)
{
	struct ip_endpoint bound;
	memset(&scene, 0, sizeof(scene));
	spy = (struct spy){ .fail_at = -1 };
	rig_init(&scene.rig);
	open_at(&scene.sender, family, &bound);
	open_at(&scene.receiver, family, &scene.at);
	open_at(&scene.other, family, &scene.other_at);
}

static void scene_done(void)
{
	rig_close(&scene.sender);
	rig_close(&scene.receiver);
	rig_close(&scene.other);
	rig_done(&scene.rig);
}

/* Each datagram's bytes begin with its number. */
static struct host_datagram *add(size_t size, const struct ip_endpoint *to)
{
	size_t i = scene.count++;
	CHECK(i < MOST && scene.used + size <= sizeof(scene.bytes));
	memset(scene.bytes + scene.used, (int)i, size);
	scene.datagrams[i] = (struct host_datagram){ .remote = *to, .ttl = 9 };
	scene.iov[i] = (struct iovec){ scene.bytes + scene.used, size };
	scene.batch[i] = (struct host_outgoing){ &scene.datagrams[i], &scene.iov[i], 1, size };
	scene.used += size;
	return &scene.datagrams[i];
}

static size_t send_from(size_t first, int *ret_error)
{
	*ret_error = 0;
	return host_call(scene.rig.host, udp_send_batch, &scene.sender.socket, scene.batch + first,
			 scene.count - first, ret_error);
}

static void send_all(void)
{
	int error;
	CHECK(send_from(0, &error) == scene.count);
	CHECK(error == 0);
}

/* Cuts what came as one into what was sent. */
static void take_message(const struct host_datagram *datagram, const uint8_t *bytes)
{
	size_t each = datagram->segment_size > 0 ? datagram->segment_size : datagram->size;
	size_t offset = 0;
	CHECK(datagram->size <= HOST_DATAGRAM_MAX);
	CHECK(datagram->segment_size == 0 || datagram->segment_size < datagram->size);
	do {
		size_t left = datagram->size - offset;
		size_t size = left < each ? left : each;
		CHECK(scene.heard < MOST);
		scene.sizes[scene.heard] = size;
		scene.firsts[scene.heard++] = size > 0 ? bytes[offset] : 0;
		for (size_t i = 1; i < size; i++)
			CHECK(bytes[offset + i] == bytes[offset]);
		offset += size;
	} while (offset < datagram->size);
	scene.messages++;
	scene.last = *datagram;
}

/* Takes what waits in a socket, `count` datagrams. */
static void hear(struct rig_socket *self, size_t count)
{
	scene.heard = 0;
	scene.messages = 0;
	while (scene.heard < count) {
		ssize_t got = host_call(scene.rig.host, udp_receive_batch, &self->socket,
					scene.arrived, scene.buffers, HOST_RECEIVE_BATCH_MAX);
		CHECK(got > 0 || got == -EAGAIN);
		if (got == -EAGAIN)
			CHECK(rig_wait(self, EPOLLIN));
		for (ssize_t i = 0; i < got; i++)
			take_message(&scene.arrived[i], scene.buffers + i * HOST_DATAGRAM_MAX);
	}
	CHECK(scene.heard == count);
}

/* All in order, but for `missing` from `gap` on. */
static void check_heard_but(size_t gap, size_t missing)
{
	for (size_t i = 0; i < scene.heard; i++) {
		size_t number = i < gap ? i : i + missing;
		CHECK(scene.sizes[i] == scene.batch[number].size);
		CHECK(scene.sizes[i] == 0 || scene.firsts[i] == (uint8_t)number);
	}
}

static void check_heard(size_t first)
{
	check_heard_but(0, first);
}

static void forget_batch(void)
{
	scene.count = 0;
	scene.used = 0;
	spy = (struct spy){ .fail_at = -1 };
}

/* 65 alike ones (no message is longer than 65,507 bytes, nor has more than 64), one call. Once the
 * receiver has learnt that many come, the kernel puts them together for it. */
static void alike(enum ip_family family)
{
	scene_init(family);
	for (int round = 0; scene.messages != 2; round++) {
		CHECK(round < 100);
		forget_batch();
		for (size_t i = 0; i < 65; i++)
			add(1000, &scene.at);
		add(7, &scene.at);
		send_all();
		CHECK(spy.calls == 1 && spy.messages == 2 && spy.segmented == 2);
		hear(&scene.receiver, 66);
		check_heard(0);
		CHECK(scene.last.ttl == 9);
		CHECK(round > 0 || scene.messages == 66);
	}
	scene_done();
}

static void alike_v4(void)
{
	alike(IP_FAMILY_V4);
}

static void alike_v6(void)
{
	alike(IP_FAMILY_V6);
}

static void limits(void)
{
	static const struct {
		size_t size;
		size_t count;
		unsigned messages;
	} rows[] = {
		{ 1, 200, 4 },	 /* 64 each */
		{ 1472, 60, 2 }, /* 44 are 64,768 bytes */
		{ 1, 1, 1 },
		{ 0, 3, 3 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		scene_init(IP_FAMILY_V4);
		for (size_t j = 0; j < rows[i].count; j++)
			add(rows[i].size, &scene.at);
		send_all();
		CHECK(spy.messages == rows[i].messages);
		CHECK(spy.calls == 1);
		CHECK(rows[i].size > 0 || spy.segmented == 0);
		hear(&scene.receiver, rows[i].count);
		check_heard(0);
		scene_done();
	}
}

/* More messages than one call takes, and pieces all over. */
static void many_calls(void)
{
	static struct iovec pieces[MOST][30];
	scene_init(IP_FAMILY_V4);
	for (size_t i = 0; i < 20; i++) {
		add(300, &scene.at);
		for (size_t j = 0; j < 30; j++) /* not one behind the other */
			pieces[i][j] =
				(struct iovec){ (uint8_t *)scene.iov[i].iov_base + 10 * (29 - j),
						10 };
		scene.batch[i].iov = pieces[i];
		scene.batch[i].count = 30;
	}
	send_all();
	CHECK(spy.messages == 3 && spy.segmented == 3); /* 256 pieces at the most: 8, 8, 4 */
	hear(&scene.receiver, 20);
	check_heard(0);
	forget_batch();
	for (size_t i = 0; i < 100; i++)
		add(1 + i % 2 * 10, i % 2 ? &scene.at : &scene.other_at);
	send_all();
	CHECK(spy.calls == 2 && spy.messages == 100);
	hear(&scene.receiver, 50);
	for (size_t i = 0; i < 50; i++)
		CHECK(scene.firsts[i] == 2 * i + 1);
	hear(&scene.other, 50);
	for (size_t i = 0; i < 50; i++)
		CHECK(scene.firsts[i] == 2 * i);
	scene_done();
}

/* Only what differs in nothing goes together; everything keeps its place and its properties. */
static void not_alike(void)
{
	static const struct {
		size_t size;
		uint8_t ttl;
		uint8_t tos;
		bool dont_fragment;
		bool same; /* together with the one before */
	} rows[] = {
		{ 100, 9, 0, false, false }, { 100, 9, 0, false, true },
		{ 200, 9, 0, false, false }, /* longer: only the last may differ, and be shorter */
		{ 200, 8, 0, false, false }, { 200, 8, 4, false, false },
		{ 200, 8, 4, true, false },  { 150, 8, 4, true, true },
		{ 150, 8, 4, true, false }, /* behind the shorter last */
		{ 0, 8, 4, true, false },    { 150, 8, 4, true, false },
	};
	unsigned messages = 0;
	scene_init(IP_FAMILY_V4);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct host_datagram *datagram = add(rows[i].size, &scene.at);
		datagram->ttl = rows[i].ttl;
		datagram->tos = rows[i].tos;
		datagram->dont_fragment = rows[i].dont_fragment;
		messages += !rows[i].same;
	}
	send_all();
	CHECK(spy.messages == messages);
	CHECK(spy.calls == 2); /* DF is the socket's */
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		ssize_t got = host_call(scene.rig.host, udp_receive, &scene.receiver.socket,
					&scene.arrived[0], scene.buffers, HOST_DATAGRAM_MAX);
		CHECK(got == (ssize_t)rows[i].size);
		CHECK(scene.arrived[0].ttl == rows[i].ttl);
		CHECK(scene.arrived[0].tos == rows[i].tos);
		CHECK(got == 0 || scene.buffers[0] == i);
	}
	scene_done();
}

/* A kernel or a way that does not cut: all arrive, in order, and it is not asked again. */
static void refused(void)
{
	static const int errors[] = { EINVAL, EIO, EMSGSIZE, EOPNOTSUPP };

	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		scene_init(IP_FAMILY_V4);
		add(33, &scene.other_at);
		for (size_t j = 0; j < 40; j++)
			add(500, &scene.at);
		spy.refuse_segments = errors[i];
		send_all();
		CHECK(spy.segmented > 0);
		hear(&scene.receiver, 40);
		check_heard(1);

		forget_batch();
		spy.refuse_segments = errors[i];
		for (size_t j = 0; j < 40; j++)
			add(500 + 10 * (j / 20), &scene.at);
		send_all();
		CHECK(spy.calls == 1 && spy.messages == 40 && spy.segmented == 0);
		hear(&scene.receiver, 40);
		check_heard(0);

		/* It is the size that was refused: shorter ones are asked about. */
		forget_batch();
		for (size_t j = 0; j < 40; j++)
			add(100, &scene.at);
		send_all();
		CHECK(spy.calls == 1 && spy.messages == 1 && spy.segmented == 1);
		hear(&scene.receiver, 40);
		check_heard(0);
		scene_done();
	}
}

/* One of five fails: the caller hears which and why, and goes on behind it. */
static void one_fails(void)
{
	static const int errors[] = { ENETUNREACH, EPERM, EAGAIN, ENOBUFS };
	int error;

	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		scene_init(IP_FAMILY_V4);
		for (size_t j = 0; j < 5; j++)
			add(10 + j, &scene.at);
		spy.fail_at = 2;
		spy.fail_times = 2; /* also when it is tried again */
		spy.fail_with = errors[i];
		CHECK(send_from(0, &error) == 2);
		CHECK(error == -errors[i]);
		CHECK(spy.fail_times == 0);
		CHECK(send_from(3, &error) == 2);
		hear(&scene.receiver, 4);
		check_heard_but(2, 1);
		scene_done();
	}
	/* Of another family: no call at all for it. */
	scene_init(IP_FAMILY_V4);
	add(10, &scene.at);
	scene.other_at = rig_loopback(IP_FAMILY_V6, 9);
	add(10, &scene.other_at);
	CHECK(send_from(0, &error) == 1);
	CHECK(error == -EAFNOSUPPORT);
	CHECK(send_from(1, &error) == 0);
	CHECK(error == -EAFNOSUPPORT);
	CHECK(spy.messages == 1);
	scene_done();
}

/* An error that another datagram left behind costs none of the batch, wherever it strikes. */
static void pending_error(void)
{
	static const size_t sizes[] = { 100, 100, 100, 20, 30, 30 };

	for (int at = 0; at < 4; at++) {
		scene_init(IP_FAMILY_V4);
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
			add(sizes[i], &scene.at);
		spy.fail_at = at;
		spy.fail_times = 1;
		spy.fail_with = ECONNREFUSED;
		send_all();
		hear(&scene.receiver, ARRAY_COUNT(sizes));
		check_heard(0);
		scene_done();
	}
	/* The kernel's own: nobody listens where the first one goes. */
	scene_init(IP_FAMILY_V4);
	rig_close(&scene.other);
	add(5, &scene.other_at);
	send_all();
	CHECK(rig_wait(&scene.sender, EPOLLERR));
	forget_batch();
	for (size_t i = 0; i < 10; i++)
		add(100, &scene.at);
	send_all();
	hear(&scene.receiver, 10);
	check_heard(0);
	scene_done();
}

static void read_mtu_error(uint32_t mtu)
{
	struct host_icmp_error error;
	uint8_t bytes[64];
	CHECK(host_call(scene.rig.host, error_receive, &scene.sender.socket, &error, NULL, bytes,
			sizeof(bytes)) == 0);
	CHECK(error.error == EMSGSIZE && error.mtu == mtu);
}

/* Too long for the way, with DF: each says so for itself. Without DF the kernel cuts them. */
static void path_mtu(void)
{
	int error;
	rig_ip("link set lo mtu 1400");
	scene_init(IP_FAMILY_V4);
	for (size_t i = 0; i < 6; i++)
		add(i == 2 || i == 3 ? 2000 : 1000, &scene.at)->dont_fragment = true;
	CHECK(send_from(0, &error) == 2);
	CHECK(error == -EMSGSIZE);
	read_mtu_error(1400);
	CHECK(send_from(3, &error) == 0);
	CHECK(error == -EMSGSIZE);
	read_mtu_error(1400);
	CHECK(send_from(4, &error) == 2);
	hear(&scene.receiver, 4);
	check_heard_but(2, 2);

	forget_batch();
	for (size_t i = 0; i < 8; i++)
		add(2000, &scene.at);
	send_all();
	hear(&scene.receiver, 8);
	check_heard(0);
	scene_done();
}

/* Fewer than asked for: the socket is empty, and the next one is announced. */
static void empty_is_announced(void)
{
	scene_init(IP_FAMILY_V4);
	CHECK(host_call(scene.rig.host, udp_receive_batch, &scene.receiver.socket, scene.arrived,
			scene.buffers, 8) == -EAGAIN);
	for (int round = 0; round < 2; round++) {
		forget_batch();
		for (size_t i = 0; i < 3; i++)
			add(10 + i, &scene.at);
		send_all();
		CHECK(rig_wait(&scene.receiver, EPOLLIN));
		CHECK(host_call(scene.rig.host, udp_receive_batch, &scene.receiver.socket,
				scene.arrived, scene.buffers, 3) == 3);
		CHECK(host_call(scene.rig.host, udp_receive_batch, &scene.receiver.socket,
				scene.arrived, scene.buffers, 3) == -EAGAIN);
	}
	scene_done();
}

#define IN_NAMESPACE(function)                                                                     \
	static void test_##function(void **state)                                                  \
	{                                                                                          \
		(void)state;                                                                       \
		rig_in_namespace(function);                                                        \
	}

IN_NAMESPACE(alike_v4)
IN_NAMESPACE(alike_v6)
IN_NAMESPACE(limits)
IN_NAMESPACE(many_calls)
IN_NAMESPACE(not_alike)
IN_NAMESPACE(refused)
IN_NAMESPACE(one_fails)
IN_NAMESPACE(pending_error)
IN_NAMESPACE(path_mtu)
IN_NAMESPACE(empty_is_announced)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike_v4),  cmocka_unit_test(test_alike_v6),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_many_calls),
		cmocka_unit_test(test_not_alike), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_one_fails), cmocka_unit_test(test_pending_error),
		cmocka_unit_test(test_path_mtu),  cmocka_unit_test(test_empty_is_announced),
	};
	return cmocka_run_group_tests_name("datagram_batch", tests, NULL, NULL);
}
