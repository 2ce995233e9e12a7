#include "gateway/stream_sessions.h"

#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "gateway/gateway_internal.h"

#define IDLE_MS 1000

/* A service that says nothing, and notes what it is told. */
struct service {
	struct stream_sessions streams;
	struct stream_session sessions[STREAM_SESSIONS];
	bool busy[STREAM_SESSIONS];
	unsigned opened;
	unsigned ready;
	unsigned timed_out;
	unsigned closed;
};

static struct service *service_of(struct stream_session *session)
{
	return container_of(session->all, struct service, streams);
}

static void opened(struct stream_session *session)
{
	assert_true(session->is_open);
	service_of(session)->opened++;
	service_of(session)->busy[session - service_of(session)->sessions] = false;
}

static void guest_ready(struct stream_session *session)
{
	service_of(session)->ready++;
}

static void timed_out(struct stream_session *session)
{
	service_of(session)->timed_out++;
	stream_session_close(session);
}

static void closed(struct stream_session *session)
{
	assert_false(session->is_open);
	service_of(session)->closed++;
}

static bool is_idle(struct stream_session *session)
{
	return !service_of(session)->busy[session - service_of(session)->sessions];
}

static const struct stream_session_ops ops = { opened, guest_ready, timed_out, closed, is_idle };

static void service_init(struct service *service, struct fixture *fixture, uint32_t most_per_port)
{
	memset(service, 0, sizeof(*service));
	service->streams = (struct stream_sessions){
		.gateway = fixture->gateway,
		.ops = &ops,
		.most_per_port = most_per_port,
		.idle_ns = IDLE_MS * NS_PER_MS,
		.limit = DROP_HTTP_LIMIT,
	};
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		service->streams.sessions[i] = &service->sessions[i];
	stream_sessions_init(&service->streams);
}

static void ignore_ready(struct host_socket *socket, uint32_t events)
{
	(void)socket;
	(void)events;
}

/* The flow's side of it is not needed: what ends is seen in the service. */
static int try_open(struct service *service, uint32_t port)
{
	struct host_socket flow_side;

	host_socket_init(&flow_side, ignore_ready);
	int rc = service->streams.service.open(&service->streams.service, &flow_side, port);
	if (rc == 0)
		host_call(service->streams.gateway->context.host, close, &flow_side);
	return rc;
}

static void open_many(struct service *service, uint32_t port, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(try_open(service, port), 0);
}

static unsigned held(const struct service *service, uint32_t port)
{
	unsigned count = 0;

	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		count += service->sessions[i].is_open && service->sessions[i].port == port;
	return count;
}

static void is_told_of_everything(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, UINT32_MAX);
	open_many(&service, 3, 2);
	assert_int_equal(service.opened, 2);
	fake_host_ready(&fixture->host, service.sessions[0].guest.fd, EPOLLIN);
	assert_int_equal(service.ready, 1);
	/* An error is the end, without a word to the service's reader. */
	fake_host_ready(&fixture->host, service.sessions[0].guest.fd, EPOLLERR);
	assert_int_equal(service.ready, 1);
	assert_int_equal(service.closed, 1);
	stream_session_close(&service.sessions[0]);
	assert_int_equal(service.closed, 1);
	stream_sessions_close(&service.streams);
	assert_int_equal(service.closed, 2);
	assert_int_equal(service.sessions[1].guest.fd, -1);
	fixture_advance(fixture, 2 * IDLE_MS);
	assert_int_equal(service.timed_out, 0);
}

static void time_ends_unless_the_guest_is_awaited_anew(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, UINT32_MAX);
	open_many(&service, 3, 3);
	fixture_advance(fixture, IDLE_MS / 2);
	stream_session_await_guest(&service.sessions[1]);
	stream_session_set_timer(&service.sessions[2], fixture->now_ns + 3 * IDLE_MS * NS_PER_MS);
	fixture_advance(fixture, IDLE_MS * 3 / 4);
	assert_false(service.sessions[0].is_open);
	assert_true(service.sessions[1].is_open);
	fixture_advance(fixture, IDLE_MS);
	assert_false(service.sessions[1].is_open);
	assert_true(service.sessions[2].is_open);
	stream_sessions_close(&service.streams);
	assert_int_equal(service.timed_out, 2);
}

static void a_port_that_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, UINT32_MAX);
	open_many(&service, 3, 4);
	open_many(&service, 4, 1);
	stream_sessions_port_gone(&service.streams, 3);
	assert_int_equal(held(&service, 3), 0);
	assert_int_equal(held(&service, 4), 1);
	stream_sessions_close(&service.streams);
}

/* Also where others are free, and its own are idle. */
static void most_of_a_port(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, 5);
	open_many(&service, 3, 5);
	fixture_advance(fixture, 100);
	assert_int_equal(try_open(&service, 3), -EBUSY);
	assert_int_equal(fixture->drops.count[DROP_HTTP_LIMIT], 1);
	open_many(&service, 4, 5);
	stream_sessions_close(&service.streams);
}

/* What is borrowed goes, idle sessions first, then the oldest; what is within a share stays. */
static void shares(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, UINT32_MAX);
	open_many(&service, 1, STREAM_SESSIONS);
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		service.busy[i] = i != 20;
	assert_int_equal(try_open(&service, 1), -EBUSY); /* just opened, none is idle */
	fixture_advance(fixture, 100);
	stream_session_await_guest(&service.sessions[0]);
	fixture_advance(fixture, 100);
	open_many(&service, 2, 1);
	assert_int_equal(service.sessions[20].port, 2);
	service.busy[20] = true;
	open_many(&service, 2, 1);
	assert_int_equal(service.sessions[1].port, 2);
	service.busy[1] = true;
	open_many(&service, 2, STREAM_SESSIONS / 2 - 2);
	assert_int_equal(held(&service, 1), STREAM_SESSIONS / 2);
	for (size_t i = 0; i < STREAM_SESSIONS; i++)
		service.busy[i] = true;
	assert_int_equal(try_open(&service, 2), -EBUSY);
	assert_int_equal(try_open(&service, 1), -EBUSY);
	/* Its own that is idle goes, in time. */
	service.busy[20] = false;
	fixture_advance(fixture, 100);
	assert_int_equal(try_open(&service, 1), -EBUSY);
	open_many(&service, 2, 1);
	assert_int_equal(held(&service, 2), STREAM_SESSIONS / 2);
	stream_sessions_close(&service.streams);
}

static void no_pair_to_be_had(void **state)
{
	struct fixture *fixture = *state;
	struct service service;

	service_init(&service, fixture, UINT32_MAX);
	fixture->host.refuse_open = true;
	assert_int_equal(try_open(&service, 1), -EMFILE);
	fixture->host.refuse_open = false;
	assert_int_equal(service.opened, 0);
	stream_sessions_close(&service.streams);
	assert_int_equal(service.closed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_told_of_everything),
		TEST(time_ends_unless_the_guest_is_awaited_anew),
		TEST(a_port_that_is_gone),
		TEST(most_of_a_port),
		TEST(shares),
		TEST(no_pair_to_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
