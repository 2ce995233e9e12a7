/*
 * Theory of operation
 *
 * References are counted atomically. The last release asks the thread to drain: no new flows, bytes
 * that were acknowledged to a guest go on to their sockets for up to 5 s; then the thread ends, is
 * joined, and everything is freed by the releasing thread. So whoever released last knows that
 * subnet and ports are free again.
 */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "attach/vhost_user/call_guard.h"
#include "network/network_internal.h"

#define LIFETIME_DRAIN_NS      (5 * NS_PER_S)
#define LIFETIME_DRAIN_STEP_NS (5 * NS_PER_MS)

/* 15 bytes of the name, cut where a character begins; what a host's tools show. Called by the thread itself:
 * another one would need /proc for it. */
static void lifetime_name_thread(const struct vmnet_network *network)
{
	const char *whole = network_name(network);
	char name[16];
	size_t size = strnlen(whole, sizeof(name) - 1);

	while (size > 0 && ((unsigned char)whole[size] & 0xc0) == 0x80)
		size--;
	memcpy(name, whole, size);
	name[size] = '\0';
	(void)pthread_setname_np(pthread_self(), name); /* only a convenience */
}

static void *lifetime_thread(void *context)
{
	struct vmnet_network *network = context;

	lifetime_name_thread(network);
	int status = loop_run(network->loop);

	if (status < 0)
		log_write(&network->log, LOG_LEVEL_ERROR, "the event loop ended: %s",
			  strerror(-status));
	return NULL;
}

static int lifetime_start_threads(struct vmnet_network *network)
{
	int status = call_guard_new(&network->call_guard);

	return status < 0 ? -status
			  : pthread_create(&network->thread, NULL, lifetime_thread, network);
}

/* The threads inherit a mask with every signal blocked: signals are the program's business. */
int network_start(struct vmnet_network *network, struct error *err)
{
	sigset_t all;
	sigset_t before;

	(void)sigfillset(&all); /* cannot fail for a valid set */
	int status = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (status == 0) {
		status = lifetime_start_threads(network);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (status != 0) {
		error_set(err, "cannot start the network's thread: %s", strerror(status));
		return -status;
	}
	network->thread_runs = true;
	return 0;
}

static void lifetime_drain_step(struct timer *timer, uint64_t now_ns)
{
	struct vmnet_network *network = container_of(timer, struct vmnet_network, drain);

	if (nat_is_drained(network->nat) || now_ns >= network->drain_until_ns) {
		loop_stop(network->loop);
		return;
	}
	timer_set(loop_timers(network->loop), timer, now_ns + LIFETIME_DRAIN_STEP_NS);
}

static void lifetime_drain_in_thread(void *context)
{
	struct vmnet_network *network = context;
	uint64_t now_ns = loop_now(network->loop);

	timer_init(&network->drain, lifetime_drain_step);
	network->drain_until_ns = now_ns + LIFETIME_DRAIN_NS;
	nat_drain(network->nat);
	lifetime_drain_step(&network->drain, now_ns);
}

static void lifetime_stop_thread(struct vmnet_network *network)
{
	/* Fails only where the loop has ended by itself. */
	int status = loop_call(network->loop, lifetime_drain_in_thread, network);

	assert(status == 0 || status == -ESHUTDOWN);
	status = pthread_join(network->thread, NULL);
	assert(status == 0);
	network->thread_runs = false;
}

void network_free(struct vmnet_network *network)
{
	if (network->thread_runs)
		lifetime_stop_thread(network);
	network_stages_free(network);
	network->call_guard = call_guard_free(network->call_guard);
	network_forget_forwards(network);
	network->holding = registry_holding_release(network->holding);
	network->registry = registry_close(network->registry);
	/* Last: when the stream ends, the informant finds our owner dead and removes what it had. */
	network->informant = informant_client_free(network->informant);
	(void)pthread_mutex_destroy(&network->forwards_lock);
	free(network);
}

vmnet_network_ref vmnet_network_retain(vmnet_network_ref network)
{
	unsigned before = atomic_fetch_add_explicit(&network->references, 1, memory_order_relaxed);

	assert(before > 0);
	return network;
}

void vmnet_network_release(vmnet_network_ref network)
{
	if (!network)
		return;
	unsigned before = atomic_fetch_sub_explicit(&network->references, 1, memory_order_acq_rel);

	assert(before > 0);
	if (before == 1)
		network_free(network);
}
