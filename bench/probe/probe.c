#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FILES_WANTED (1UL << 20)

uint64_t probe_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * PROBE_NS_PER_S + (uint64_t)now.tv_nsec;
}

void probe_sleep_until(uint64_t time_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(time_ns / PROBE_NS_PER_S),
		.tv_nsec = (long)(time_ns % PROBE_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

void probe_fail(const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	exit(1);
}

static void end_late(int signal_number)
{
	static const char text[] = "the time limit is over\n";

	(void)signal_number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(2);
}

void probe_limit(double seconds)
{
	struct itimerval timer = {
		.it_value = {
			.tv_sec = (time_t)seconds,
			.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) + 1,
		},
	};

	if (timer.it_value.tv_usec >= 1000000)
		timer.it_value.tv_usec = 999999;
	if (signal(SIGALRM, end_late) == SIG_ERR || setitimer(ITIMER_REAL, &timer, NULL) < 0)
		probe_fail("no time limit: %s", strerror(errno));
}

void probe_precise_timers(void)
{
	(void)prctl(PR_SET_TIMERSLACK, 1UL); /* without it the timers are 50 us worse, no more */
}

void probe_raise_files(void)
{
	struct rlimit limit = { .rlim_cur = FILES_WANTED, .rlim_max = FILES_WANTED };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* who needs more will say so */
	}
}

double probe_parse_number(struct argp_state *state, const char *option, const char *text,
			  double least, double most)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= least && number <= most))
		argp_error(state, "invalid value \"%s\" for %s: expected a number from %g to %g",
			   text, option, least, most);
	return number;
}

struct probe_address probe_address(const char *text, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct probe_address address = {};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(&address.socket, &v4, sizeof(v4));
		address.size = sizeof(v4);
	} else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		memcpy(&address.socket, &v6, sizeof(v6));
		address.size = sizeof(v6);
	} else {
		probe_fail("\"%s\" is not an IP address", text);
	}
	return address;
}

int probe_open_server(int kind, uint16_t port)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_ANY_INIT,
	};
	int one = 1;
	int fd = socket(AF_INET6, kind | SOCK_CLOEXEC, 0);

	if (fd < 0)
		probe_fail("no socket: %s", strerror(errno));
	/* Only for streams: two UDP servers on one port would share it in silence. */
	if (kind == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (kind == SOCK_STREAM && listen(fd, 4096) < 0))
		probe_fail("cannot listen on port %u: %s", port, strerror(errno));
	return fd;
}

int probe_open_client(int kind, const struct probe_address *address)
{
	int fd = socket(address->socket.ss_family, kind | SOCK_CLOEXEC, 0);

	if (fd < 0)
		probe_fail("no socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address->socket, address->size) < 0)
		probe_fail("cannot connect: %s", strerror(errno));
	return fd;
}

void probe_set_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		probe_fail("cannot make a socket non-blocking: %s", strerror(errno));
}

void probe_set_buffers(int fd, int size)
{
	static const int forced[] = { SO_RCVBUFFORCE, SO_SNDBUFFORCE };
	static const int allowed[] = { SO_RCVBUF, SO_SNDBUF };

	for (int i = 0; i < 2; i++) {
		if (setsockopt(fd, SOL_SOCKET, forced[i], &size, sizeof(size)) < 0)
			(void)setsockopt(fd, SOL_SOCKET, allowed[i], &size, sizeof(size));
	}
}

void probe_say_ready(uint16_t port)
{
	printf("{\"ready\": %u}\n", port);
	(void)fflush(stdout);
}

void probe_times_init(struct probe_times *times, size_t capacity)
{
	*times = (struct probe_times){
		.ns = malloc(capacity * sizeof(*times->ns)),
		.capacity = capacity,
	};
	if (!times->ns)
		probe_fail("no memory for %zu times", capacity);
}

void probe_times_done(struct probe_times *times)
{
	free(times->ns);
	*times = (struct probe_times){};
}

void probe_times_add(struct probe_times *times, uint64_t ns)
{
	if (times->count < times->capacity)
		times->ns[times->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *one, const void *other)
{
	uint32_t a = *(const uint32_t *)one;
	uint32_t b = *(const uint32_t *)other;

	return (a > b) - (a < b);
}

void probe_times_sort(struct probe_times *times)
{
	qsort(times->ns, times->count, sizeof(*times->ns), compare);
}

double probe_times_percentile(const struct probe_times *times, double percent)
{
	double exact = (double)times->count * percent / 100;
	size_t rank = (size_t)exact;

	if (times->count == 0)
		return 0;
	if ((double)rank < exact)
		rank++;
	return times->ns[rank > 0 ? rank - 1 : 0] / 1000.0;
}
