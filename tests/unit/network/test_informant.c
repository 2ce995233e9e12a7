/*
 * A network that opens no file, with an informant in a process of its own, as a guest sees it; all in a network
 * namespace, where port 53 is free. The engine's thread runs under a filter that ends the process at the first system
 * call that opens a file, asks about one, or makes a unix or netlink socket.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "network_guest.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "network/informant_server.h"
#include "wire/dns.h"
#include "wire/tcp.h"

#define NAME_SERVER_A UINT32_C(0x7f000035) /* 127.0.0.53 */
#define NAME_SERVER_B UINT32_C(0x7f000036)

static char resolv_conf[96];
static char hosts[96];
static char runtime[96];

static void write_file(const char *path, const char *text)
{
	char next[128];

	/* as who changes such files does: another file takes its place */
	(void)snprintf(next, sizeof(next), "%s.new", path);
	FILE *file = fopen(next, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(next, path), 0);
}

/* --- the informant --------------------------------------------------------------------------- */

struct informant {
	pid_t pid;
	int fd; /* the engine's end */
};

static struct informant start_informant(void)
{
	const struct informant_paths paths = { resolv_conf, hosts, runtime };
	struct informant informant;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)fflush(NULL);
	informant.pid = fork();
	assert_true(informant.pid >= 0);
	if (informant.pid == 0) {
		struct error err = { "" };

		(void)close(fds[0]);
		int status = informant_server_run(fds[1], &paths, &err);
		if (status < 0)
			(void)fprintf(stderr, "informant: %s\n", err.text);
		_exit(status < 0);
	}
	(void)close(fds[1]);
	informant.fd = fds[0];
	return informant;
}

/* The network that used it is gone. */
static void await_informant(struct informant *informant)
{
	int status = -1;

	assert_int_equal(waitpid(informant->pid, &status, 0), informant->pid);
	assert_int_equal(status, 0);
}

/* --- the network ----------------------------------------------------------------------------- */

struct lines {
	atomic_uint warnings; /* of the informant */
	atomic_uint infos;
};

static void note_line(void *context, enum vmnet_log_level level, const char *line)
{
	struct lines *lines = context;

	if (strncmp(line, "informant: ", 11) != 0)
		return;
	if (level == VMNET_LOG_WARNING)
		atomic_fetch_add(&lines->warnings, 1);
	else
		atomic_fetch_add(&lines->infos, 1);
}

#define FORBID(number)                                                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                                       \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define FORBID_SOCKET(family)                                                                      \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (family), 0, 1),                                       \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* Threads that are made later inherit it. (newfstatat is fstat(), too.) */
static int forbid_files(void *context, char error[512])
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_open
		FORBID(SYS_open),
		FORBID(SYS_stat),
		FORBID(SYS_lstat),
		FORBID(SYS_access),
		FORBID(SYS_unlink),
		FORBID(SYS_mkdir),
		FORBID(SYS_readlink),
		FORBID(SYS_rename),
#endif
		FORBID(SYS_openat),
		FORBID(SYS_openat2),
		FORBID(SYS_faccessat),
		FORBID(SYS_faccessat2),
		FORBID(SYS_unlinkat),
		FORBID(SYS_mkdirat),
		FORBID(SYS_readlinkat),
		FORBID(SYS_renameat2),
		FORBID(SYS_statx),
		FORBID(SYS_execve),
		FORBID(SYS_truncate),
		FORBID(SYS_pwrite64),
		FORBID(SYS_flock),
		FORBID(SYS_fcntl),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		FORBID_SOCKET(AF_UNIX),
		FORBID_SOCKET(AF_NETLINK),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_COUNT(filter), filter };

	(void)context;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
		return 0;
	(void)snprintf(error, 512, "no filter: %s", strerror(errno));
	return -EPERM;
}

static vmnet_network_configuration_ref informed_configuration(struct informant *informant,
							      struct lines *lines)
{
	vmnet_network_configuration_ref config = new_configuration("informed");

	reserve(config, 1);
	vmnet_network_configuration_set_log_callback(config, note_line, lines);
	assert_int_equal(vmnet_network_configuration_set_informant_fd(config, informant->fd),
			 VMNET_SUCCESS);
	(void)close(informant->fd); /* it was duplicated */
	return config;
}

/* The filter is for the network's thread alone: a thread of its own creates the network. */
static void *create_filtered(void *context)
{
	vmnet_network_configuration_ref config = context;

	vmnet_network_configuration_set_before_thread(config, forbid_files, NULL);
	return vmnet_network_create(config, NULL);
}

static vmnet_network_ref create_in_thread(vmnet_network_configuration_ref config)
{
	pthread_t thread;
	void *network = NULL;

	assert_int_equal(pthread_create(&thread, NULL, create_filtered, config), 0);
	assert_int_equal(pthread_join(thread, &network), 0);
	if (!network)
		fail_msg("%s", vmnet_network_configuration_get_error(config));
	vmnet_network_configuration_release(config);
	return network;
}

static void join(struct guest *guest, vmnet_network_ref network)
{
	struct guest_dhcp offer;

	guest_attach(guest, network, 1);
	guest_configure(guest, &offer);
}

/* --- what the guest asks --------------------------------------------------------------------- */

static int bind_name_server(uint32_t addr)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(DNS_PORT),
					.sin_addr.s_addr = htonl(addr) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static size_t build_query(const char *label, uint16_t id, uint8_t *bytes, size_t size)
{
	struct writer writer = writer_of(bytes, size);

	writer_u16(&writer, id);
	writer_u16(&writer, 0x0100); /* recursion desired */
	writer_u16(&writer, 1);
	writer_zeroes(&writer, 6);
	writer_u8(&writer, (uint8_t)strlen(label));
	writer_bytes(&writer, label, strlen(label));
	writer_bytes(&writer, "\4test", 6);
	writer_u16(&writer, DNS_TYPE_A);
	writer_u16(&writer, DNS_CLASS_IN);
	assert_true(writer_ok(&writer));
	return writer.position;
}

static void send_query(struct guest *guest, const char *label, uint16_t id)
{
	const struct ip_endpoint from = { guest->addr, 4000 };
	const struct ip_endpoint to = { guest->gateway, DNS_PORT };
	uint8_t bytes[128];
	size_t size = build_query(label, id, bytes, sizeof(bytes));

	guest_send_udp(guest, &guest->gateway_mac, &from, &to, bytes, size);
}

#define NO_SERVER 2

/* Which of the two servers the guest's question comes to; it answers that there is no such name. NO_SERVER: the
 * network knows none, and has said so. */
static unsigned which_server(struct guest *guest, const int servers[2], uint16_t id)
{
	struct pollfd wait[3] = { { .fd = servers[0], .events = POLLIN },
				  { .fd = servers[1], .events = POLLIN },
				  { .fd = guest->fd, .events = POLLIN } };
	uint8_t bytes[512];
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	struct frame frame;
	char label[16];

	(void)snprintf(label, sizeof(label), "name-%u", id);
	send_query(guest, label, id);
	assert_true(poll(wait, 3, GUEST_WAIT_MS) > 0);
	unsigned which = wait[0].revents ? 0 : wait[1].revents ? 1 : NO_SERVER;
	if (which != NO_SERVER) {
		ssize_t size = recvfrom(servers[which], bytes, sizeof(bytes), 0,
					(struct sockaddr *)&from, &from_size);
		assert_true(size > DNS_HEADER_SIZE);
		bytes[2] |= 0x80; /* a response */
		bytes[3] = DNS_RCODE_NXDOMAIN;
		assert_int_equal(sendto(servers[which], bytes, (size_t)size, 0,
					(struct sockaddr *)&from, from_size),
				 size);
	}
	(void)guest_await_port(guest, PACKET_IP_PROTOCOL_UDP, 4000, &frame, bytes, sizeof(bytes));
	return which;
}

/* On a busy machine an answer may be late, and what it would have said is then known a little later. */
struct patience {
	uint64_t end_ns;
};

static struct patience patience(void)
{
	return (struct patience){ clock_now(&clock_boottime) + 30 * NS_PER_S };
}

static bool lasts(const struct patience *patience)
{
	assert_true(clock_now(&clock_boottime) < patience->end_ns);
	return true;
}

/* What the hosts file says of one.test, 0 = nothing. */
static uint32_t resolve_one(struct guest *guest, uint16_t id)
{
	uint8_t bytes[512];
	struct dns_message message;
	struct frame frame;

	send_query(guest, "one", id);
	size_t size =
		guest_await_port(guest, PACKET_IP_PROTOCOL_UDP, 4000, &frame, bytes, sizeof(bytes));
	assert_true(dns_parse(bytes, size, &message));
	assert_int_equal(message.id, id);
	if (message.answer_count == 0)
		return 0;
	assert_int_equal(message.answer_count, 1);
	struct reader reader = reader_of(bytes + size - 4, 4);
	return reader_u32(&reader);
}

/* Whatever becomes of it: there is nothing out there. */
static void call(struct guest *guest, uint32_t addr, uint16_t port)
{
	const struct packet_link link = { .source = guest->mac, .destination = guest->gateway_mac };
	const struct tcp_header header = { .sequence = 1, .flags = TCP_SYN, .window = 65535 };
	const struct ip_endpoint own = { guest->addr, port };
	const struct ip_endpoint far = { ip_addr_from_v4(addr), 80 };
	const struct iovec nothing = { NULL, 0 };
	struct frame frame;

	assert_true(packet_build_tcp(&frame, &link, &own, &far, &header, &nothing, 1, 0));
	guest_send(guest, &frame);
	guest_ask_gateway(guest);
}

static bool is_forbidden(struct guest *guest, vmnet_network_ref network, uint32_t addr)
{
	static uint16_t port = 20000;
	uint64_t before = drops_of(network, "forbidden_destination");

	call(guest, addr, port++);
	return drops_of(network, "forbidden_destination") > before;
}

/* --- tests ----------------------------------------------------------------------------------- */

/* What is left in the runtime directory, in one line. */
static void list_runtime(char *ret_names, size_t size)
{
	struct dirent **entries = NULL;
	int count = scandir(runtime, &entries, NULL, alphasort);

	assert_true(count >= 2);
	ret_names[0] = '\0';
	for (int i = 0; i < count; i++) {
		size_t used = strlen(ret_names);

		(void)snprintf(ret_names + used, size - used, "%s ", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void test_files_and_others_networks(void **state)
{
	const int servers[2] = { bind_name_server(NAME_SERVER_A), bind_name_server(NAME_SERVER_B) };
	struct patience time = patience();
	struct lines lines = { 0 };
	struct in_addr other_subnet;
	char before[256];
	char after[256];
	struct guest guest;
	uint16_t id = 1;

	(void)state;
	vmnet_network_release(create(new_configuration("before")));
	list_runtime(before, sizeof(before));
	write_file(resolv_conf, "nameserver 127.0.0.53\n");
	write_file(hosts, "192.0.2.7 one.test\n");
	struct informant informant = start_informant();
	vmnet_network_ref network = create_in_thread(informed_configuration(&informant, &lines));
	join(&guest, network);

	/* a file that is replaced is read at the next look */
	while (which_server(&guest, servers, id++) != 0)
		assert_true(lasts(&time));
	while (resolve_one(&guest, id++) != 0xc0000207)
		assert_true(lasts(&time));
	write_file(resolv_conf, "nameserver 127.0.0.54\n");
	write_file(hosts, "192.0.2.8 one.test\n");
	while (which_server(&guest, servers, id++) != 1)
		assert_true(lasts(&time));
	while (resolve_one(&guest, id++) != 0xc0000208)
		assert_true(lasts(&time));

	/* what another network has is closed while it has it */
	while (is_forbidden(&guest, network, 0x0a630001))
		assert_true(lasts(&time));
	vmnet_network_ref other = create(new_configuration("other"));
	vmnet_network_get_ipv4_subnet(other, &other_subnet, NULL);
	uint32_t there = ntohl(other_subnet.s_addr) + 2;
	while (!is_forbidden(&guest, network, there))
		assert_true(lasts(&time));
	while (is_forbidden(&guest, network, 0x0a630001))
		assert_true(lasts(&time));
	assert_true(is_forbidden(&guest, network, there));
	vmnet_network_release(other);
	while (is_forbidden(&guest, network, there))
		assert_true(lasts(&time));

	vmnet_network_release(network);
	await_informant(&informant);
	list_runtime(after, sizeof(after));
	assert_string_equal(after, before);
	(void)close(guest.fd);
	(void)close(servers[0]);
	(void)close(servers[1]);
}

/* The filter is one: a network that reads for itself does not survive it. */
static void test_the_filter_bites(void **state)
{
	int status;

	(void)state;
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		vmnet_network_configuration_ref config = new_configuration("plain");
		struct guest guest;

		reserve(config, 1);
		join(&guest, create_in_thread(config));
		(void)resolve_one(&guest, 1);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/* An informant that is killed, or stands still: what was known stays, said once. */
static void test_informant_dies(void **state)
{
	const int servers[2] = { bind_name_server(NAME_SERVER_A), bind_name_server(NAME_SERVER_B) };
	struct patience time = patience();
	struct lines lines = { 0 };
	struct guest guest;
	uint16_t id = 100;
	int status;

	(void)state;
	write_file(resolv_conf, "nameserver 127.0.0.53\n");
	write_file(hosts, "192.0.2.7 one.test\n");
	struct informant informant = start_informant();
	vmnet_network_ref network = create_in_thread(informed_configuration(&informant, &lines));
	join(&guest, network);
	while (which_server(&guest, servers, id++) != 0)
		assert_true(lasts(&time));
	while (resolve_one(&guest, id++) != 0xc0000207)
		assert_true(lasts(&time));
	while (is_forbidden(&guest, network, 0x0a630001))
		assert_true(lasts(&time));

	unsigned warnings = lines.warnings;
	unsigned infos = lines.infos;
	assert_int_equal(warnings, infos); /* all is well */
	assert_int_equal(kill(informant.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(informant.pid, &status, WUNTRACED), informant.pid);
	write_file(resolv_conf, "nameserver 127.0.0.54\n");
	write_file(hosts, "192.0.2.8 one.test\n");
	while (lines.warnings == warnings) {
		assert_int_equal(which_server(&guest, servers, id++), 0);
		assert_int_equal(resolve_one(&guest, id++), 0xc0000207);
	}
	assert_true(is_forbidden(&guest, network, 0x0a630001));
	assert_int_equal(lines.warnings, warnings + 1);
	assert_int_equal(lines.infos, infos);

	/* it goes on, and late answers are nobody else's */
	assert_int_equal(kill(informant.pid, SIGCONT), 0);
	while (which_server(&guest, servers, id++) != 1)
		assert_true(lasts(&time));
	while (resolve_one(&guest, id++) != 0xc0000208)
		assert_true(lasts(&time));
	while (is_forbidden(&guest, network, 0x0a630001))
		assert_true(lasts(&time));
	assert_true(lines.infos > infos);

	warnings = lines.warnings;
	assert_int_equal(kill(informant.pid, SIGKILL), 0);
	assert_int_equal(waitpid(informant.pid, &status, 0), informant.pid);
	write_file(resolv_conf, "nameserver 127.0.0.53\n");
	while (lines.warnings == warnings)
		assert_int_equal(which_server(&guest, servers, id++), 1);
	uint64_t end_ns =
		clock_now(&clock_boottime) + 300 * NS_PER_MS; /* three looks at the files */
	do {
		assert_int_equal(which_server(&guest, servers, id++), 1);
		assert_int_equal(resolve_one(&guest, id++), 0xc0000208);
	} while (clock_now(&clock_boottime) < end_ns);
	assert_true(is_forbidden(&guest, network, 0x0a640001));
	assert_int_equal(lines.warnings, warnings + 1);

	/* the end does not need it */
	vmnet_network_release(network);
	(void)close(guest.fd);
	(void)close(servers[0]);
	(void)close(servers[1]);
}

/* The rows of a killed engine are removed by its informant: at once, not when somebody meets them. */
static void test_engine_is_killed(void **state)
{
	const struct informant_paths paths = { resolv_conf, hosts, runtime };
	struct error err = { "" };
	char before[256];
	char after[256];
	int status;
	int fds[2];

	(void)state;
	vmnet_network_release(create(new_configuration("before")));
	list_runtime(before, sizeof(before));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct informant end = { .fd = fds[0] };
		struct lines lines = { 0 };

		(void)close(fds[1]);
		if (vmnet_network_create(informed_configuration(&end, &lines), NULL))
			(void)raise(SIGKILL);
		_exit(1);
	}
	(void)close(fds[0]);
	assert_int_equal(informant_server_run(fds[1], &paths, &err), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	list_runtime(after, sizeof(after));
	assert_string_equal(after, before);
	(void)close(fds[1]);
}

/* What would have to be written is refused in words, and nothing is bound for it. */
static void test_forwards_stay(void **state)
{
	struct vmnet_port_forward forward = { .protocol = IPPROTO_TCP,
					      .external_family = AF_INET,
					      .external_address.v4.s_addr = htonl(INADDR_LOOPBACK),
					      .internal_port = 22 };
	struct lines lines = { 0 };
	struct vmnet_error error = { "" };
	struct vmnet_port_forward bound[2];

	(void)state;
	struct informant informant = start_informant();
	vmnet_network_configuration_ref config = informed_configuration(&informant, &lines);
	assert_int_equal(vmnet_network_configuration_add_port_forward(config, &forward),
			 VMNET_SUCCESS);
	vmnet_network_ref network = create_in_thread(config);
	assert_int_equal(vmnet_network_get_port_forwards(network, bound, 2), 1);
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, NULL, &error),
			 VMNET_NOT_AUTHORIZED);
	assert_non_null(strstr(error.text, "are forwarded when it is created"));
	assert_int_equal(vmnet_network_add_port_forward(network, &forward, NULL, NULL),
			 VMNET_NOT_AUTHORIZED);
	error.text[0] = '\0';
	assert_int_equal(vmnet_network_remove_port_forward(network, &bound[0], &error),
			 VMNET_NOT_AUTHORIZED);
	assert_non_null(strstr(error.text, "are forwarded when it is created"));
	assert_int_equal(vmnet_network_get_port_forwards(network, bound, 2), 1);
	vmnet_network_release(network);
	await_informant(&informant);
}

static int refuse_rights(void *context, char error[512])
{
	(void)context;
	(void)snprintf(error, 512, "not here");
	return -EPERM;
}

static void test_create_fails_whole(void **state)
{
	struct lines lines = { 0 };
	vmnet_return_t status;
	char before[256];
	char after[256];
	int fds[2];

	(void)state;
	list_runtime(before, sizeof(before));
	struct informant informant = start_informant();
	vmnet_network_configuration_ref config = informed_configuration(&informant, &lines);
	vmnet_network_configuration_set_before_thread(config, refuse_rights, NULL);
	assert_null(vmnet_network_create(config, &status));
	assert_string_equal(vmnet_network_configuration_get_error(config), "not here");
	vmnet_network_configuration_release(config);
	await_informant(&informant);
	list_runtime(after, sizeof(after));
	assert_string_equal(after, before);

	/* nobody is there */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	informant.fd = fds[0];
	config = informed_configuration(&informant, &lines);
	(void)close(fds[1]);
	assert_null(vmnet_network_create(config, &status));
	assert_int_equal(status, VMNET_FAILURE);
	assert_string_equal(vmnet_network_configuration_get_error(config),
			    "the informant does not answer as it should: Broken pipe");

	/* sockets that are none */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(vmnet_network_configuration_set_informant_fd(config, fds[0]),
			 VMNET_INVALID_ARGUMENT);
	(void)close(fds[0]);
	(void)close(fds[1]);
	int alone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(vmnet_network_configuration_set_informant_fd(config, alone),
			 VMNET_INVALID_ARGUMENT);
	(void)close(alone);
	assert_int_equal(vmnet_network_configuration_set_informant_fd(config, -1),
			 VMNET_INVALID_ARGUMENT);
	assert_string_equal(vmnet_network_configuration_get_error(config),
			    "file descriptor -1 is not a connected unix stream socket");
	vmnet_network_configuration_release(config);
}

/* An engine in a guest's hands says anything. */
static void test_hostile_engine(void **state)
{
	static const struct {
		uint8_t bytes[64];
		size_t size;
		vmnet_return_t status;
	} cases[] = {
		{ { 0 }, 0, VMNET_SUCCESS },
		{ { 0 }, 32, VMNET_FAILURE },
		{ { 0, 0, 0, 1, 0, 1 }, 31, VMNET_SUCCESS },		       /* cut short */
		{ { 0, 0, 0, 1, 0, 2 }, 32, VMNET_FAILURE },		       /* no greeting */
		{ { 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 9 }, 32, VMNET_SUCCESS }, /* version 9 */
		{ { 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, [36] = 0, [37] = 1, [43] = 1 },
		  64,
		  VMNET_FAILURE }, /* greets twice */
		{ { 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, [37] = 3, [43] = 2 },
		  64,
		  VMNET_FAILURE }, /* a third file */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct vmnet_error error = { "" };
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(send(fds[0], cases[i].bytes, cases[i].size, MSG_NOSIGNAL),
				 cases[i].size);
		(void)shutdown(fds[0], SHUT_WR);
		assert_int_equal(vmnet_informant_serve(fds[1], runtime, &error), cases[i].status);
		assert_string_equal(error.text,
				    cases[i].status == VMNET_SUCCESS
					    ? ""
					    : "the network's process asked what it must not ask");
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	struct vmnet_error error = { "" };
	assert_int_equal(vmnet_informant_serve(0, "/dev/null", &error), VMNET_INVALID_ACCESS);
	assert_non_null(strstr(error.text, "/dev/null"));
}

/* A network namespace whose loopback is up. */
static bool enter_namespace(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	bool done = unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) == 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	done = done && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	(void)close(fd);
	return done;
}

static int prepare(void **state)
{
	int result = make_directory(state);

	(void)snprintf(resolv_conf, sizeof(resolv_conf), "%s/resolv.conf", directory);
	(void)snprintf(hosts, sizeof(hosts), "%s/hosts", directory);
	(void)snprintf(runtime, sizeof(runtime), "%s/vmnet", directory);
	return result;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_and_others_networks),
		cmocka_unit_test(test_the_filter_bites),
		cmocka_unit_test(test_informant_dies),
		cmocka_unit_test(test_engine_is_killed),
		cmocka_unit_test(test_forwards_stay),
		cmocka_unit_test(test_create_fails_whole),
		cmocka_unit_test(test_hostile_engine),
	};

	if (!enter_namespace()) {
		(void)printf("1..0 # SKIP no network namespace allowed here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, prepare, remove_directory);
}
