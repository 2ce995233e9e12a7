#include "control/control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "control/connect_server.h"
#include "control/control_json.h"
#include "control/microhttpd_library.h"

#define BODY_MOST	  ((size_t)1 << 20) /* CONTROL_FORWARDS_MOST with all their keys */
#define CONNECTIONS_MOST  32u
#define CONNECTION_IDLE_S 30u

struct control_server {
	struct MHD_Daemon *daemon;
	struct control_server_options options;
	char *name;
	char *label;
};

/* Loaded before the first daemon starts, and for the rest of the process. */
static const struct microhttpd_library *microhttpd;

/* The body of one request. */
struct request {
	char *body;
	size_t size;
	bool too_large;
	struct connect_wish connect; /* GET /v1/connect */
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	if (!text)
		return MHD_NO;
	struct MHD_Response *response =
		microhttpd->create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)microhttpd->add_response_header(response, "Content-Type", "application/json");
	enum MHD_Result result = microhttpd->queue_response(connection, status, response);
	microhttpd->destroy_response(response);
	return result;
}

static enum MHD_Result answer_error(struct MHD_Connection *connection, unsigned status,
				    const char *text)
{
	return answer(connection, status, json_pack("{ss}", "error", text));
}

static unsigned http_status(vmnet_return_t status)
{
	switch (status) {
	case VMNET_SUCCESS:
		return MHD_HTTP_OK;
	case VMNET_INVALID_ARGUMENT:
		return MHD_HTTP_BAD_REQUEST;
	case VMNET_INVALID_ACCESS:
	case VMNET_NOT_AUTHORIZED:
		return MHD_HTTP_FORBIDDEN;
	case VMNET_SHARING_SERVICE_BUSY:
		return MHD_HTTP_CONFLICT;
	case VMNET_BUFFER_EXHAUSTED:
		return MHD_HTTP_INSUFFICIENT_STORAGE;
	case VMNET_FAILURE:
	case VMNET_MEM_FAILURE:
	case VMNET_SETUP_INCOMPLETE:
	case VMNET_PACKET_TOO_BIG:
	case VMNET_TOO_MANY_PACKETS:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static enum MHD_Result answer_failure(struct MHD_Connection *connection, vmnet_return_t status,
				      const struct vmnet_error *error)
{
	return answer_error(connection, http_status(status),
			    error->text[0] ? error->text : vmnet_return_name(status));
}

static json_t *status_to_json(const struct control_server *server)
{
	const struct control_server_options *options = &server->options;
	char subnet[IP_PREFIX_TEXT_SIZE];
	char address[IP_ADDR_TEXT_SIZE];
	char mac[MAC_ADDR_TEXT_SIZE];

	return json_pack("{ss ss? sI ss ss ss}", "name", server->name, "label", server->label,
			 "pid", (json_int_t)getpid(), "subnet",
			 ip_prefix_format(&options->subnet, subnet), "address",
			 ip_addr_format(&options->address, address), "macAddress",
			 mac_addr_format(&options->mac, mac));
}

static void tell_change(const struct control_server *server)
{
	if (server->options.forwards_changed)
		server->options.forwards_changed(server->options.context);
}

/* Only this thread adds forwards once it runs, so what was added since stands behind `first`. */
static void take_back(const struct control_server *server, size_t first)
{
	size_t count = vmnet_network_get_port_forwards(server->options.network, NULL, 0);
	autofree struct vmnet_port_forward *forwards = calloc(count + 1, sizeof(*forwards));

	if (!forwards)
		return; /* they stay, and are listed */
	(void)vmnet_network_get_port_forwards(server->options.network, forwards, count);
	for (size_t i = first; i < count; i++)
		(void)vmnet_network_remove_port_forward(server->options.network, &forwards[i],
							NULL); /* it is there */
}

/* All or none. */
static vmnet_return_t add_all(const struct control_server *server,
			      const struct vmnet_port_forward *forwards, size_t count, size_t first,
			      struct vmnet_error *error)
{
	for (size_t i = 0; i < count; i++) {
		vmnet_return_t status = vmnet_network_add_port_forward(server->options.network,
								       &forwards[i], NULL, error);
		if (status != VMNET_SUCCESS) {
			take_back(server, first);
			return status;
		}
	}
	return VMNET_SUCCESS;
}

/* The caller frees *ret_forwards. */
static bool parse_body(const struct request *request, struct vmnet_port_forward **ret_forwards,
		       size_t *ret_count, struct error *err)
{
	json_t *root = json_loadb(request->body ? request->body : "", request->size,
				  JSON_REJECT_DUPLICATES, NULL);
	if (!root) {
		error_set(err, "the body is not JSON");
		return false;
	}
	bool good = control_json_parse_forwards(root, ret_forwards, ret_count, err);
	json_decref(root);
	return good;
}

static enum MHD_Result add_forwards(struct control_server *server,
				    struct MHD_Connection *connection,
				    const struct request *request)
{
	autofree struct vmnet_port_forward *forwards = NULL;
	size_t count;
	struct vmnet_error error = { .text = "" };
	struct error err = { .text = "" };

	if (!parse_body(request, &forwards, &count, &err))
		return answer_error(connection, MHD_HTTP_BAD_REQUEST, err.text);
	size_t first = vmnet_network_get_port_forwards(server->options.network, NULL, 0);
	vmnet_return_t status = add_all(server, forwards, count, first, &error);
	if (status != VMNET_SUCCESS)
		return answer_failure(connection, status, &error);
	tell_change(server);
	return answer(connection, MHD_HTTP_CREATED,
		      control_json_newer_forwards(server->options.network, first));
}

/* The one forward that the URL names. False with a sentence. */
static bool parse_query(struct MHD_Connection *connection, struct vmnet_port_forward *ret_forward,
			struct error *err)
{
	const char *protocol =
		microhttpd->lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "protocol");
	const char *port = microhttpd->lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND,
							       "externalPort");
	const char *address = microhttpd->lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND,
								  "externalAddress");

	return control_json_parse_removal(protocol, port, address, ret_forward, err);
}

static enum MHD_Result remove_all(struct control_server *server, struct MHD_Connection *connection,
				  const struct vmnet_port_forward *forwards, size_t count)
{
	json_t *removed = control_json_matching_forwards(server->options.network, forwards, count);

	if (json_array_size(removed) == 0) {
		json_decref(removed);
		return answer_error(connection, MHD_HTTP_NOT_FOUND, "there is no such forward");
	}
	/* One that is not there (any more) is what was asked for. */
	for (size_t i = 0; i < count; i++)
		(void)vmnet_network_remove_port_forward(server->options.network, &forwards[i],
							NULL);
	tell_change(server);
	return answer(connection, MHD_HTTP_OK, removed);
}

static enum MHD_Result remove_forwards(struct control_server *server,
				       struct MHD_Connection *connection,
				       const struct request *request)
{
	autofree struct vmnet_port_forward *forwards = NULL;
	struct vmnet_port_forward forward;
	struct error err = { .text = "" };
	size_t count;

	if (request->size > 0) {
		if (!parse_body(request, &forwards, &count, &err))
			return answer_error(connection, MHD_HTTP_BAD_REQUEST, err.text);
		return remove_all(server, connection, forwards, count);
	}
	if (!parse_query(connection, &forward, &err))
		return answer_error(connection, MHD_HTTP_BAD_REQUEST, err.text);
	return remove_all(server, connection, &forward, 1);
}

static enum MHD_Result answer_forwards(struct control_server *server,
				       struct MHD_Connection *connection, const char *method,
				       const struct request *request)
{
	if (strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		return answer(connection, MHD_HTTP_OK,
			      control_json_forwards(server->options.network));
	if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
		return add_forwards(server, connection, request);
	if (strcmp(method, MHD_HTTP_METHOD_DELETE) == 0)
		return remove_forwards(server, connection, request);
	return answer_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed");
}

/* From here on the connection is no HTTP any more, and its descriptor somebody else's. */
static void upgraded(void *context, struct MHD_Connection *connection, void *connection_context,
		     const char *extra, size_t extra_size, MHD_socket fd,
		     struct MHD_UpgradeResponseHandle *handle)
{
	const struct control_server *server = context;
	const struct request *request = connection_context;

	(void)connection;
	(void)extra; /* a client that knows the protocol waits for the answer */
	(void)extra_size;
	int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	(void)microhttpd->upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE); /* closes its own */
	if (own_fd >= 0)
		connect_server_begin(server->options.network, &request->connect, own_fd);
}

static enum MHD_Result upgrade(struct control_server *server, struct MHD_Connection *connection)
{
	struct MHD_Response *response = microhttpd->create_response_for_upgrade(upgraded, server);

	if (!response)
		return MHD_NO;
	(void)microhttpd->add_response_header(response, "Upgrade", CONNECT_PROTOCOL);
	enum MHD_Result result =
		microhttpd->queue_response(connection, MHD_HTTP_SWITCHING_PROTOCOLS, response);
	microhttpd->destroy_response(response);
	return result;
}

static enum MHD_Result answer_connect(struct control_server *server,
				      struct MHD_Connection *connection, struct request *request)
{
	const char *port =
		microhttpd->lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "port");
	const char *protocol =
		microhttpd->lookup_connection_value(connection, MHD_HEADER_KIND, "Upgrade");
	struct error err;

	if (!connect_wish_parse(port, &server->options.address, &request->connect, &err))
		return answer_error(connection, MHD_HTTP_BAD_REQUEST, err.text);
	if (!protocol || strcmp(protocol, CONNECT_PROTOCOL) != 0)
		return answer_error(connection, MHD_HTTP_UPGRADE_REQUIRED,
				    "the request should have Connection: Upgrade and "
				    "Upgrade: " CONNECT_PROTOCOL);
	return upgrade(server, connection);
}

static enum MHD_Result route(struct control_server *server, struct MHD_Connection *connection,
			     const char *url, const char *method, struct request *request)
{
	if (request->too_large)
		return answer_error(connection, MHD_HTTP_CONTENT_TOO_LARGE,
				    "the body is too large");
	if (strcmp(url, "/v1/forwards") == 0)
		return answer_forwards(server, connection, method, request);

	bool is_status = strcmp(url, "/v1/status") == 0;
	bool is_statistics = strcmp(url, "/v1/statistics") == 0;
	bool is_neighbours = strcmp(url, "/v1/neighbours") == 0;
	bool is_connect = strcmp(url, "/v1/connect") == 0;
	if (!is_status && !is_statistics && !is_neighbours && !is_connect)
		return answer_error(connection, MHD_HTTP_NOT_FOUND, "no such resource");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return answer_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed");
	if (is_connect)
		return answer_connect(server, connection, request);
	if (is_status)
		return answer(connection, MHD_HTTP_OK, status_to_json(server));
	if (is_statistics)
		return answer(connection, MHD_HTTP_OK,
			      control_json_statistics(server->options.network));
	return answer(connection, MHD_HTTP_OK, control_json_neighbours(server->options.network));
}

static bool keep_body(struct request *request, const char *data, size_t size)
{
	if (request->size + size > BODY_MOST) {
		request->too_large = true; /* the rest is read and thrown away */
		return true;
	}
	char *body = realloc(request->body, request->size + size);
	if (!body)
		return false;
	memcpy(body + request->size, data, size);
	request->body = body;
	request->size += size;
	return true;
}

/* Called once for the header, then for each piece of the body, then once more. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_size, void **connection_context)
{
	struct request *request = *connection_context;

	(void)version;
	if (!request) {
		*connection_context = calloc(1, sizeof(*request));
		return *connection_context ? MHD_YES : MHD_NO;
	}
	if (*data_size > 0) {
		bool kept = keep_body(request, data, *data_size);
		*data_size = 0;
		return kept ? MHD_YES : MHD_NO;
	}
	return route(context, connection, url, method, request);
}

static void forget(void *context, struct MHD_Connection *connection, void **connection_context,
		   enum MHD_RequestTerminationCode code)
{
	struct request *request = *connection_context;

	(void)context;
	(void)connection;
	(void)code;
	if (request)
		free(request->body);
	free(request);
	*connection_context = NULL;
}

/* A listening socket at directory/control.sock, or negative errno. */
static int listen_at(int directory_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	/* By the descriptor: a home of any depth fits into the 108 bytes of a unix address. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory_fd,
		 CONTROL_SOCKET_NAME);
	if (unlinkat(directory_fd, CONTROL_SOCKET_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	/* The directory is 0700, so nobody else gets at it before this. */
	if (fchmodat(directory_fd, CONTROL_SOCKET_NAME, 0600, 0) < 0 || listen(fd, 16) < 0)
		return -errno;
	int result = fd;
	fd = -1;
	return result;
}

static struct MHD_Daemon *start_daemon(struct control_server *server, int listen_fd)
{
	sigset_t all;
	sigset_t before;

	/* The server's thread inherits the mask: signals are the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	struct MHD_Daemon *daemon = microhttpd->start_daemon(
		MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_UPGRADE, 0, NULL, NULL,
		handle, server, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listen_fd,
		MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS_MOST, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_IDLE_S, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return daemon;
}

static void server_free(struct control_server *server)
{
	free(server->name);
	free(server->label);
	free(server);
}

static struct control_server *server_new(const struct control_server_options *options)
{
	struct control_server *server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->options = *options;
	server->name = strdup(options->name);
	server->label = options->label ? strdup(options->label) : NULL;
	if (!server->name || (options->label && !server->label)) {
		server_free(server);
		return NULL;
	}
	return server;
}

int control_server_start(const struct control_server_options *options,
			 struct control_server **ret_server, struct error *err)
{
	/* Once: the thread of an earlier server reads it. */
	int r = microhttpd ? 0 : microhttpd_library_get(&microhttpd, err);
	if (r < 0)
		return r;
	struct control_server *server = server_new(options);
	if (!server) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	int listen_fd = listen_at(options->directory_fd);
	if (listen_fd < 0) {
		error_set(err, "cannot bind the control socket %s: %s", CONTROL_SOCKET_NAME,
			  strerror(-listen_fd));
		server_free(server);
		return listen_fd;
	}
	server->daemon = start_daemon(server, listen_fd);
	if (!server->daemon) {
		error_set(err, "cannot start the control server");
		fd_close(listen_fd);
		(void)unlinkat(options->directory_fd, CONTROL_SOCKET_NAME, 0);
		server_free(server);
		return -EIO;
	}
	(void)vmnet_network_retain(server->options.network);
	*ret_server = server;
	return 0;
}

struct control_server *control_server_stop(struct control_server *server)
{
	if (!server)
		return NULL;
	/* First, so that nobody meets a socket without a server. */
	(void)unlinkat(server->options.directory_fd, CONTROL_SOCKET_NAME, 0);
	microhttpd->stop_daemon(server->daemon);
	vmnet_network_release(server->options.network);
	server_free(server);
	return NULL;
}
