#include "host_rig.h"

/* The same promises for TCP over both families and for a pair inside the process. */
enum kind {
	KIND_TCP_V4,
	KIND_TCP_V6,
	KIND_PAIR,
};

static const enum kind kinds[] = { KIND_TCP_V4, KIND_TCP_V6, KIND_PAIR };

static void open_pair(struct rig *rig, enum kind kind, struct rig_socket *a, struct rig_socket *b)
{
	if (kind != KIND_PAIR) {
		assert_true(rig_connect_pair(rig, kind == KIND_TCP_V4 ? IP_FAMILY_V4 : IP_FAMILY_V6,
					     a, b));
		return;
	}
	rig_socket_init(a, rig);
	rig_socket_init(b, rig);
	assert_int_equal(host_call(rig->host, stream_pair, &a->socket, &b->socket), 0);
}

static bool can_peek(enum kind kind)
{
	return kind == KIND_PAIR ||
	       host_real_can_peek(kind == KIND_TCP_V4 ? IP_FAMILY_V4 : IP_FAMILY_V6);
}

static void assert_peek(struct rig_socket *self, size_t size, const char *expected)
{
	char buffer[64];
	assert_int_equal(rig_peek(self, buffer, size), (int)strlen(expected));
	assert_memory_equal(buffer, expected, strlen(expected));
}

static void peek_offsets(enum kind kind)
{
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	char buffer[64];
	open_pair(&rig, kind, &a, &b);
	assert_int_equal(rig_peek(&b, buffer, sizeof(buffer)), -EAGAIN);
	assert_int_equal(rig_send(&a, "abcdefgh"), 8);
	assert_true(rig_wait(&b, EPOLLIN));
	assert_peek(&b, 3, "abc");
	assert_peek(&b, 2, "de"); /* it moves on by itself */
	assert_int_equal(host_call(rig.host, set_peek_offset, &b.socket, 1), 0);
	assert_peek(&b, 2, "bc");
	/* Discarding lowers the offset, 3 becomes 1: it goes on where it was. */
	assert_int_equal(host_call(rig.host, discard, &b.socket, 2), 2);
	assert_peek(&b, 64, "defgh");
	assert_int_equal(rig_peek(&b, buffer, sizeof(buffer)), -EAGAIN);
	/* Only what comes new is seen beyond the offset. */
	assert_int_equal(rig_send(&a, "ij"), 2);
	assert_true(rig_wait(&b, EPOLLIN));
	assert_peek(&b, 64, "ij");
	/* Again from the head: a retransmission. */
	assert_int_equal(host_call(rig.host, set_peek_offset, &b.socket, 0), 0);
	assert_peek(&b, 64, "cdefghij");
	/* End of stream behind the offset. */
	assert_int_equal(host_call(rig.host, finish, &a.socket), 0);
	assert_true(rig_wait(&b, EPOLLRDHUP));
	assert_int_equal(rig_peek(&b, buffer, sizeof(buffer)), 0);
	/* What was only peeked can still be received. */
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 8);
	assert_memory_equal(buffer, "cdefghij", 8);
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 0);
	assert_int_equal(host_call(rig.host, set_peek_offset, &b.socket, SIZE_MAX), -EINVAL);
	rig_close(&a);
	rig_close(&b);
	rig_done(&rig);
}

static void test_peek(void **state)
{
	(void)state;
	int tried = 0;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (!can_peek(kinds[i]))
			continue;
		peek_offsets(kinds[i]);
		tried++;
	}
	assert_true(tried > 0);
}

static void discard(enum kind kind)
{
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	char buffer[8];
	static char many[20000];
	open_pair(&rig, kind, &a, &b);
	assert_int_equal(host_call(rig.host, discard, &b.socket, 5), -EAGAIN);
	assert_int_equal(host_call(rig.host, discard, &b.socket, 0), 0);
	memset(many, 'x', sizeof(many));
	struct iovec iov = { .iov_base = many, .iov_len = sizeof(many) };
	assert_int_equal(host_call(rig.host, send, &a.socket, &iov, 1), (int)sizeof(many));
	assert_int_equal(rig_send(&a, "end"), 3);
	for (size_t left = sizeof(many); left;) {
		ssize_t taken = host_call(rig.host, discard, &b.socket, left);
		if (taken == -EAGAIN) {
			assert_true(rig_wait(&b, EPOLLIN));
			continue;
		}
		assert_true(taken > 0);
		left -= (size_t)taken;
	}
	ssize_t got;
	while ((got = rig_receive(&b, buffer, sizeof(buffer))) == -EAGAIN)
		assert_true(rig_wait(&b, EPOLLIN));
	assert_int_equal(got, 3);
	assert_memory_equal(buffer, "end", 3);
	assert_int_equal(host_call(rig.host, finish, &a.socket), 0);
	assert_true(rig_wait(&b, EPOLLRDHUP));
	assert_int_equal(host_call(rig.host, discard, &b.socket, 1), 0);
	rig_close(&a);
	rig_close(&b);
	rig_done(&rig);
}

static void test_discard(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
		discard(kinds[i]);
}

/* Half close: the other direction goes on. */
static void test_finish(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket a;
		struct rig_socket b;
		char buffer[8];
		open_pair(&rig, kinds[i], &a, &b);
		assert_int_equal(rig_send(&a, "last"), 4);
		assert_int_equal(host_call(rig.host, finish, &a.socket), 0);
		assert_true(rig_wait(&b, EPOLLRDHUP));
		assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 4);
		assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 0);
		assert_int_equal(rig_send(&a, "more"), -EPIPE);
		assert_int_equal(rig_send(&b, "back"), 4);
		assert_true(rig_wait(&a, EPOLLIN));
		assert_int_equal(rig_receive(&a, buffer, sizeof(buffer)), 4);
		assert_memory_equal(buffer, "back", 4);
		rig_close(&a);
		rig_close(&b);
		rig_done(&rig);
	}
}

/* A full socket says -EAGAIN, and EPOLLOUT comes when there is room again. */
static void test_send_until_full(void **state)
{
	(void)state;
	static char block[65536];
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket a;
		struct rig_socket b;
		open_pair(&rig, kinds[i], &a, &b);
		assert_int_equal(loop_run_once(rig.loop, 0), 0); /* the first EPOLLOUT */
		struct iovec iov = { .iov_base = block, .iov_len = sizeof(block) };
		size_t queued = 0;
		ssize_t sent;
		while ((sent = host_call(rig.host, send, &a.socket, &iov, 1)) > 0)
			queued += (size_t)sent;
		assert_int_equal(sent, -EAGAIN);
		assert_true(queued > 0);
		a.events = 0;
		while (!(a.events & EPOLLOUT)) {
			ssize_t taken = host_call(rig.host, discard, &b.socket, sizeof(block));
			assert_true(taken > 0 || taken == -EAGAIN);
			assert_int_equal(loop_run_once(rig.loop, taken > 0 ? 0 : 1000), 0);
		}
		assert_true(host_call(rig.host, send, &a.socket, &iov, 1) > 0);
		rig_close(&a);
		rig_close(&b);
		rig_done(&rig);
	}
}

/* Closing leaves what was sent on its way. */
static void test_close_delivers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		struct rig rig;
		rig_init(&rig);
		struct rig_socket a;
		struct rig_socket b;
		char buffer[8];
		open_pair(&rig, kinds[i], &a, &b);
		assert_int_equal(rig_send(&a, "bye"), 3);
		rig_close(&a);
		assert_true(rig_wait(&b, EPOLLIN));
		assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 3);
		assert_true(b.calls > 0);
		rig_close(&b);
		rig_done(&rig);
	}
}

static void test_vectors(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	struct rig_socket a;
	struct rig_socket b;
	open_pair(&rig, KIND_TCP_V4, &a, &b);
	char one[] = "one";
	char two[] = "two";
	struct iovec out[] = { { one, 3 }, { one, 0 }, { two, 3 } };
	assert_int_equal(host_call(rig.host, send, &a.socket, out, ARRAY_COUNT(out)), 6);
	assert_true(rig_wait(&b, EPOLLIN));
	char first[2];
	char second[8];
	struct iovec in[] = { { first, sizeof(first) }, { second, sizeof(second) } };
	assert_int_equal(host_call(rig.host, receive, &b.socket, in, ARRAY_COUNT(in)), 6);
	assert_memory_equal(first, "on", 2);
	assert_memory_equal(second, "etwo", 4);
	rig_close(&a);
	rig_close(&b);
	rig_done(&rig);
}

/* Why EPOLLPRI is told: a read stops before the urgent byte, and what is behind it is no event. */
static void test_urgent(void **state)
{
	struct rig rig;
	struct rig_socket a;
	struct rig_socket b;
	char buffer[16];

	(void)state;
	rig_init(&rig);
	assert_true(rig_connect_pair(&rig, IP_FAMILY_V4, &a, &b));
	assert_int_equal(send(a.socket.fd, "abc!", 4, MSG_OOB), 4);
	assert_int_equal(rig_send(&a, "def"), 3);
	assert_true(rig_wait(&b, EPOLLPRI));
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 3);
	assert_memory_equal(buffer, "abc", 3);
	assert_int_equal(rig_receive(&b, buffer, sizeof(buffer)), 3);
	assert_memory_equal(buffer, "def", 3);
	host_call(rig.host, close, &a.socket);
	host_call(rig.host, close, &b.socket);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urgent),		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_discard),		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_send_until_full), cmocka_unit_test(test_close_delivers),
		cmocka_unit_test(test_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
