/* The moment between "everything is reserved, bound and opened" and "the thread runs". */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "network_rig.h"

struct moment {
	unsigned calls;
	pthread_t thread;
	size_t threads; /* of the process */
	int bind_errno; /* of somebody else on the forward's port */
	uint16_t port;
	int answer;
	const char *sentence; /* NULL = none is left */
};

static size_t count_entries(const char *path)
{
	DIR *list = opendir(path);
	size_t count = 0;

	assert_non_null(list);
	while (readdir(list))
		count++;
	(void)closedir(list);
	return count - 2; /* "." and ".." */
}

/* What bind() says of that port, 0 when it is free; port 0: *ret_port is a free one. */
static int try_port(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	int result = bind(fd, (const struct sockaddr *)&at, size) < 0 ? errno : 0;
	if (ret_port) {
		assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
		*ret_port = ntohs(at.sin_port);
	}
	(void)close(fd);
	return result;
}

static int note(void *context, char error[512])
{
	struct moment *moment = context;

	assert_string_equal(error, "");
	moment->calls++;
	moment->thread = pthread_self();
	moment->threads = count_entries("/proc/self/task");
	moment->bind_errno = try_port(moment->port, NULL);
	if (moment->sentence)
		(void)snprintf(error, 512, "%s", moment->sentence);
	return moment->answer;
}

/* A network with one forward of a port that is free now. */
static vmnet_network_configuration_ref forwarding(struct moment *moment)
{
	vmnet_network_configuration_ref config = new_configuration("moment");
	struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
					      .external_family = AF_INET,
					      .external_address.v4.s_addr = htonl(INADDR_LOOPBACK),
					      .internal_port = 22 };

	assert_int_equal(try_port(0, &moment->port), 0);
	forward.external_port = moment->port;
	reserve(config, 1);
	assert_int_equal(vmnet_network_configuration_add_port_forward(config, &forward),
			 VMNET_SUCCESS);
	vmnet_network_configuration_set_before_thread(config, note, moment);
	return config;
}

static void test_called_once_when_all_is_bound(void **state)
{
	struct moment moment = { 0 };
	size_t threads = count_entries("/proc/self/task");

	(void)state;
	vmnet_network_ref network = create(forwarding(&moment));
	assert_int_equal(moment.calls, 1);
	assert_true(pthread_equal(moment.thread, pthread_self()));
	assert_int_equal(moment.threads, threads);
	assert_int_equal(moment.bind_errno, EADDRINUSE);
	assert_int_equal(count_entries("/proc/self/task"),
			 threads + 2); /* its own and the guard's */
	vmnet_network_release(network);
	assert_int_equal(moment.calls, 1);
}

static void refuse(int answer, const char *sentence, vmnet_return_t status_expected,
		   const char *error_expected)
{
	struct moment moment = { .answer = answer, .sentence = sentence };
	vmnet_network_configuration_ref config = forwarding(&moment);
	size_t descriptors = count_entries("/proc/self/fd");
	size_t threads = count_entries("/proc/self/task");
	vmnet_return_t status;

	assert_null(vmnet_network_create(config, &status));
	assert_int_equal(status, status_expected);
	assert_string_equal(vmnet_network_configuration_get_error(config), error_expected);
	assert_int_equal(moment.calls, 1);
	assert_int_equal(count_entries("/proc/self/fd"), descriptors);
	assert_int_equal(count_entries("/proc/self/task"), threads);
	assert_int_equal(try_port(moment.port, NULL), 0);

	/* nobody holds anything any more, and whoever need not give up rights goes on */
	vmnet_network_configuration_set_before_thread(config, NULL, NULL);
	vmnet_network_release(create(config));
	assert_int_equal(moment.calls, 1);
}

static void test_a_refusal_fails_the_create_whole(void **state)
{
	(void)state;
	refuse(-EPERM, "no namespaces here: 100% closed", VMNET_INVALID_ACCESS,
	       "no namespaces here: 100% closed");
	refuse(-EIO, NULL, VMNET_FAILURE, "cannot create the network: Input/output error");
}

/* What the first thread of a process brings with it (a sanitizer's own) is there before anything is counted. */
static int prepare(void **state)
{
	int result = make_directory(state);

	vmnet_network_release(create(new_configuration("first")));
	return result;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_called_once_when_all_is_bound),
		cmocka_unit_test(test_a_refusal_fails_the_create_whole),
	};

	return cmocka_run_group_tests(tests, prepare, remove_directory);
}
