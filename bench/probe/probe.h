#pragma once
/*
 * What the probes of the bench share: a time limit that always holds, numbers of the command line,
 * addresses, and times in order. A probe says what went wrong in one sentence and ends with 1; it
 * prints one JSON object on a line.
 */

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROBE_NS_PER_S	1000000000ULL
#define PROBE_NS_PER_MS 1000000ULL

struct probe_address {
	struct sockaddr_storage socket;
	socklen_t size;
};

/* Times of single events, kept whole so that any percentile is exact. */
struct probe_times {
	uint32_t *ns;
	size_t count;
	size_t capacity;
};

uint64_t probe_now_ns(void);
void probe_sleep_until(uint64_t time_ns);

_Noreturn void probe_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the process that much later with exit code 2, whatever it is doing. */
void probe_limit(double seconds);
/* Timers of this process fire when they are due, not up to 50 us later. */
void probe_precise_timers(void);
/* As many open files as the machine allows. */
void probe_raise_files(void);

/* A number of an option between two bounds, or the usage error of argp. */
double probe_parse_number(struct argp_state *state, const char *option, const char *text,
			  double least, double most);
/* "10.0.0.2" or "fd00::2" and a port. */
struct probe_address probe_address(const char *text, uint16_t port);

/* A socket of that kind on all addresses of the machine, IPv4 and IPv6, listening if a stream. */
int probe_open_server(int kind, uint16_t port);
int probe_open_client(int kind, const struct probe_address *address);
void probe_set_nonblocking(int fd);
/* More than the sysctls allow, where that is permitted: the probe itself must not be what loses. */
void probe_set_buffers(int fd, int size);
/* {"ready": PORT} tells whoever started a server that it may be asked. */
void probe_say_ready(uint16_t port);

void probe_times_init(struct probe_times *times, size_t capacity);
void probe_times_done(struct probe_times *times);
/* What does not fit any more is left out. */
void probe_times_add(struct probe_times *times, uint64_t ns);
void probe_times_sort(struct probe_times *times);
/* Of sorted times, nearest rank, in microseconds; 0 when there is none. */
double probe_times_percentile(const struct probe_times *times, double percent);
