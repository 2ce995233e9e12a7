/* Server and client together, over the real socket. */
#include "control/control_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "control/connect_client.h"
#include "control/control_client.h"
#include "fake_vmnet.h"

struct fixture {
	struct vmnet_network network;
	struct control_server *server;
	char path[256];
	int directory_fd;
	int changes; /* written by the server's thread, read after its answer came */
};

static void forwards_changed(void *context)
{
	struct fixture *fixture = context;

	fixture->changes++;
}

static void start(struct fixture *fixture)
{
	struct error err = { .text = "" };
	struct control_server_options options = {
		.network = &fixture->network,
		.directory_fd = fixture->directory_fd,
		.name = "vm \"one\"",
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.forwards_changed = forwards_changed,
		.context = fixture,
	};

	assert_true(ip_prefix_parse("10.1.2.0/30", &options.subnet));
	assert_true(ip_addr_parse("10.1.2.2", &options.address));
	assert_int_equal(control_server_start(&options, &fixture->server, &err), 0);
}

/* A directory deeper than a unix socket's address can hold. */
static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ .path = "/tmp/tartlet-control-XXXXXX" };
	assert_non_null(mkdtemp(fixture.path));
	memset(fixture.path + strlen(fixture.path), 0, 1);
	strcat(fixture.path, "/");
	size_t length = strlen(fixture.path);
	memset(fixture.path + length, 'd', 150);
	fixture.path[length + 150] = 0;
	assert_int_equal(mkdir(fixture.path, 0700), 0);
	fixture.directory_fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fake_vmnet_init(&fixture.network);
	start(&fixture);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fixture->server = control_server_stop(fixture->server);
	assert_int_equal(fixture->network.references, 1);
	assert_int_equal(faccessat(fixture->directory_fd, CONTROL_SOCKET_NAME, F_OK, 0), -1);
	close(fixture->directory_fd);
	assert_int_equal(rmdir(fixture->path), 0);
	*strrchr(fixture->path, '/') = 0;
	assert_int_equal(rmdir(fixture->path), 0);
	return 0;
}

static int ask(struct fixture *fixture, const char *method, const char *path, const char *body,
	       json_t **ret_answer, struct error *err)
{
	json_t *root = body ? json_loads(body, 0, NULL) : NULL;
	int r = control_client_request(fixture->directory_fd, method, path, root, ret_answer, err);

	json_decref(root);
	return r;
}

static void test_socket_is_the_users_alone(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	assert_int_equal(fstatat(fixture->directory_fd, CONTROL_SOCKET_NAME, &status, 0), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_status(void **state)
{
	struct fixture *fixture = *state;
	json_t *answer;

	assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(answer, "name")), "vm \"one\"");
	assert_true(json_is_null(json_object_get(answer, "label")));
	assert_int_equal(json_integer_value(json_object_get(answer, "pid")), getpid());
	assert_string_equal(json_string_value(json_object_get(answer, "subnet")), "10.1.2.0/30");
	assert_string_equal(json_string_value(json_object_get(answer, "address")), "10.1.2.2");
	json_decref(answer);
}

static void test_forwards(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	json_t *answer;

	assert_int_equal(ask(fixture, "GET", "/v1/forwards", NULL, &answer, NULL), 0);
	assert_int_equal(json_array_size(answer), 0);
	json_decref(answer);
	assert_int_equal(ask(fixture, "POST", "/v1/forwards",
			     "{\"externalPort\":0,\"internalPort\":22}", &answer, NULL),
			 0);
	assert_int_equal(json_array_size(answer), 2); /* both families, with the real port */
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(answer, 1), "externalPort")),
		40000);
	json_decref(answer);
	assert_int_equal(fixture->changes, 1);
	assert_int_equal(ask(fixture, "DELETE", "/v1/forwards?protocol=udp&externalPort=40000",
			     NULL, &answer, &err),
			 -EREMOTEIO);
	assert_string_equal(err.text, "there is no such forward");
	assert_int_equal(ask(fixture, "DELETE",
			     "/v1/forwards?protocol=tcp&externalPort=40000&externalAddress=::",
			     NULL, &answer, &err),
			 0);
	assert_int_equal(json_array_size(answer), 1);
	json_decref(answer);
	assert_int_equal(fixture->network.count, 1);
	assert_int_equal(ask(fixture, "DELETE", "/v1/forwards?protocol=tcp&externalPort=40000",
			     NULL, &answer, &err),
			 0);
	json_decref(answer);
	assert_int_equal(fixture->network.count, 0);
	assert_int_equal(fixture->changes, 3);
}

/* A list is added whole, or what was added of it is taken back and what was there before stays. */
static void test_list_of_forwards(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	json_t *answer;

	assert_int_equal(ask(fixture, "POST", "/v1/forwards",
			     "{\"externalPort\":79,\"internalPort\":79}", &answer, NULL),
			 0);
	json_decref(answer);
	assert_int_equal(fixture->network.count, 2);
	fixture->network.taken = 82;
	static const char three[] = "[{\"externalPort\":80,\"internalPort\":1},"
				    "{\"externalPort\":81,\"internalPort\":2},"
				    "{\"externalPort\":82,\"internalPort\":3}]";
	assert_int_equal(ask(fixture, "POST", "/v1/forwards", three, &answer, &err), -EREMOTEIO);
	assert_int_equal(fixture->network.count, 2);
	assert_int_equal(fixture->network.forwards[0].external_port, 79);
	assert_int_equal(fixture->changes, 1);
	fixture->network.taken = 0;
	assert_int_equal(ask(fixture, "POST", "/v1/forwards", three, &answer, &err), 0);
	assert_int_equal(json_array_size(answer), 6);
	json_decref(answer);
	assert_int_equal(fixture->network.count, 8);
	assert_int_equal(fixture->changes, 2);
	/* The same list removes them; what else it names is not there, as wanted. */
	static const char most[] = "[{\"externalPort\":80,\"internalPort\":1},"
				   "{\"externalPort\":9,\"internalPort\":2},"
				   "{\"externalPort\":82,\"internalPort\":3}]";
	assert_int_equal(ask(fixture, "DELETE", "/v1/forwards", most, &answer, &err), 0);
	assert_int_equal(json_array_size(answer), 4);
	json_decref(answer);
	assert_int_equal(fixture->network.count, 4);
	assert_int_equal(fixture->changes, 3);
	assert_int_equal(ask(fixture, "DELETE", "/v1/forwards", most, &answer, &err), -EREMOTEIO);
	assert_string_equal(err.text, "there is no such forward");
	assert_int_equal(fixture->changes, 3);
}

static void test_library_refuses(void **state)
{
	static const struct {
		vmnet_return_t status;
		const char *said;
	} rows[] = {
		{ VMNET_SHARING_SERVICE_BUSY, "TCP port is in use by VM \"b\"" },
		{ VMNET_INVALID_ACCESS, "VMNET_SOMETHING" },
		{ VMNET_FAILURE, "VMNET_SOMETHING" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err;
		json_t *answer;
		fixture->network.refuse = rows[i].status;
		assert_int_equal(ask(fixture, "POST", "/v1/forwards",
				     "{\"externalPort\":80,\"internalPort\":22}", &answer, &err),
				 -EREMOTEIO);
		assert_string_equal(err.text, rows[i].said);
	}
	assert_int_equal(fixture->changes, 0);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		const char *body;
		const char *said;
	} rows[] = {
		{ "GET", "/", NULL, "no such resource" },
		{ "GET", "/v1/forwards/", NULL, "no such resource" },
		{ "GET", "/v2/status", NULL, "no such resource" },
		{ "POST", "/v1/status", "{}", "method not allowed" },
		{ "PUT", "/v1/forwards", "{}", "method not allowed" },
		{ "POST", "/v1/forwards", NULL, "the body is not JSON" },
		{ "POST", "/v1/forwards", "[]", "a list should have" },
		{ "POST", "/v1/forwards", "[1]", "JSON object" },
		{ "POST", "/v1/forwards", "{\"externalPort\":1}", "internalPort is missing" },
		{ "DELETE", "/v1/forwards", NULL, "protocol should be" },
		{ "DELETE", "/v1/forwards", "[{}]", "externalPort is missing" },
		{ "DELETE", "/v1/forwards?protocol=tcp", NULL, "externalPort should be" },
		{ "DELETE", "/v1/forwards?protocol=tcp&externalPort=0", NULL,
		  "externalPort should be" },
		{ "DELETE", "/v1/forwards?protocol=tcp&externalPort=65536", NULL,
		  "externalPort should be" },
		{ "DELETE", "/v1/forwards?protocol=tcp&externalPort=80&externalAddress=x", NULL,
		  "externalAddress should be" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		json_t *answer;
		assert_int_equal(
			ask(fixture, rows[i].method, rows[i].path, rows[i].body, &answer, &err),
			-EREMOTEIO);
		assert_non_null(strstr(err.text, rows[i].said));
	}
	assert_int_equal(fixture->changes, 0);
}

static void test_body_too_large(void **state)
{
	struct fixture *fixture = *state;
	struct error err;
	json_t *answer;
	const size_t size = (size_t)2 << 20;
	char *text = malloc(size + 1);
	json_t *body = json_object();

	memset(text, 'x', size);
	text[size] = 0;
	json_object_set_new(body, "x", json_string(text));
	assert_int_equal(control_client_request(fixture->directory_fd, "POST", "/v1/forwards", body,
						&answer, &err),
			 -EREMOTEIO);
	assert_string_equal(err.text, "the body is too large");
	json_decref(body);
	free(text);
}

/* Neither rubbish nor a client that says nothing keeps others from being served. */
static void test_silent_and_broken_clients(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fds[2];
	json_t *answer;

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
		 fixture->directory_fd, CONTROL_SOCKET_NAME);
	for (int i = 0; i < 2; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
			connect(fds[i], (const struct sockaddr *)&address, sizeof(address)), 0);
	}
	assert_int_equal(send(fds[1], "\0\xff rubbish\r\n\r\n", 13, MSG_NOSIGNAL), 13);
	assert_int_equal(ask(fixture, "GET", "/v1/statistics", NULL, &answer, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(answer, "dropped")), 5);
	json_decref(answer);
	assert_int_equal(ask(fixture, "GET", "/v1/neighbours", NULL, &answer, NULL), 0);
	assert_int_equal(json_array_size(answer), 2);
	json_decref(answer);
	close(fds[0]);
	close(fds[1]);
}

/* kill -9 leaves the socket: the next run takes its place; meanwhile nobody answers there. */
static void test_left_over_socket(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error err;
	json_t *answer;

	fixture->server = control_server_stop(fixture->server);
	assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, &err), -ECONNREFUSED);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
		 fixture->directory_fd, CONTROL_SOCKET_NAME);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, &err), -ECONNREFUSED);
	start(fixture);
	assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, &err), 0);
	json_decref(answer);
}

/* A proxy in the environment is not for this socket. */
static void test_no_proxy(void **state)
{
	struct fixture *fixture = *state;
	json_t *answer;

	setenv("http_proxy", "http://127.0.0.1:9", 1);
	assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, NULL), 0);
	unsetenv("http_proxy");
	json_decref(answer);
}

/* The descriptor that comes is the guest's other end, and no copy of it is left behind. */
static void test_connect(void **state)
{
	struct fixture *fixture = *state;
	struct error err = { .text = "" };
	char text[8];

	for (int i = 0; i < 50; i++) { /* more than connections to the server */
		struct sockaddr_in asked;
		int fd;
		assert_int_equal(connect_client_request(fixture->directory_fd, 22, &fd, &err), 0);
		int guest = fake_vmnet_take_guest(&fixture->network, &asked);
		assert_int_equal(asked.sin_family, AF_INET);
		assert_int_equal(ntohl(asked.sin_addr.s_addr), 0x0a010202);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
		assert_int_equal(recv(guest, text, sizeof(text), 0), 4);
		assert_int_equal(close(fd), 0);
		assert_int_equal(recv(guest, text, sizeof(text), 0), 0);
		close(guest);
	}
}

static void test_connect_fails(void **state)
{
	static const struct {
		uint16_t port;
		const char *said;
	} rows[] = { { 23, "the guest \"refuses\"" }, { 25, "no descriptor is left" } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		int fd;
		assert_int_equal(
			connect_client_request(fixture->directory_fd, rows[i].port, &fd, &err),
			-EREMOTEIO);
		assert_string_equal(err.text, rows[i].said);
	}
}

static void test_connect_asked_wrongly(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		const char *said;
	} rows[] = {
		{ "GET", "/v1/connect", "port should be" },
		{ "GET", "/v1/connect?port=", "port should be" },
		{ "GET", "/v1/connect?port=0", "port should be" },
		{ "GET", "/v1/connect?port=65536", "port should be" },
		{ "GET", "/v1/connect?port=22x", "port should be" },
		{ "GET", "/v1/connect?port=22", "Upgrade: tartlet-connect" },
		{ "POST", "/v1/connect?port=22", "method not allowed" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "" };
		json_t *answer;
		assert_int_equal(ask(fixture, rows[i].method, rows[i].path, NULL, &answer, &err),
				 -EREMOTEIO);
		assert_non_null(strstr(err.text, rows[i].said));
	}
	struct sockaddr_in asked;
	assert_int_equal(fake_vmnet_take_guest(&fixture->network, &asked), -1);
	assert_int_equal(asked.sin_port, 0);
}

static void *ask_port_24(void *context)
{
	struct fixture *fixture = context;
	int fd = -1;

	if (connect_client_request(fixture->directory_fd, 24, &fd, NULL) < 0)
		return NULL;
	close(fd);
	return fixture;
}

/* A guest that has not answered yet keeps neither the server from serving nor from stopping; what it
 * answers then still arrives. */
static void test_connect_outlives_the_server(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	struct sockaddr_in asked;
	void *result;
	json_t *answer;

	assert_int_equal(pthread_create(&thread, NULL, ask_port_24, fixture), 0);
	while (!__atomic_load_n(&fixture->network.waiting, __ATOMIC_ACQUIRE)) {
		/* asked and answered in turn by the server's one thread */
		assert_int_equal(ask(fixture, "GET", "/v1/status", NULL, &answer, NULL), 0);
		json_decref(answer);
	}
	fixture->server = control_server_stop(fixture->server);
	fake_vmnet_answer(&fixture->network);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, fixture);
	close(fake_vmnet_take_guest(&fixture->network, &asked));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_socket_is_the_users_alone),
		TEST(test_status),
		TEST(test_forwards),
		TEST(test_list_of_forwards),
		TEST(test_library_refuses),
		TEST(test_bad_requests),
		TEST(test_body_too_large),
		TEST(test_silent_and_broken_clients),
		TEST(test_left_over_socket),
		TEST(test_no_proxy),
		TEST(test_connect),
		TEST(test_connect_fails),
		TEST(test_connect_asked_wrongly),
		TEST(test_connect_outlives_the_server),
	};

	alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
