#include "rig/rig_one.h"

#include <string.h>

void rig_one_init(struct rig_one *one, const struct rig_config *config)
{
	memset(one, 0, sizeof(*one));
	one->rig = rig_new(config);
	one->options = (struct rig_tcp_options){
		.mss = 1460,
		.window_scale = 7,
		.receive_capacity = 256 * 1024,
		.random_initial = true,
	};
	one->guest = (struct rig_app_plan){ .send_seed = 1, .expect_seed = 2 };
	one->host.app = (struct rig_app_plan){ .send_seed = 2, .expect_seed = 1 };
	one->host.delay_ns = NS_PER_MS;
}

void rig_one_sizes(struct rig_one *one, uint64_t from_guest, uint64_t from_host)
{
	one->guest.send_size = one->host.app.expect_size = from_guest;
	one->host.app.send_size = one->guest.expect_size = from_host;
}

void rig_one_connect(struct rig_one *one)
{
	struct ip_endpoint own = rig_guest_endpoint(one->rig, RIG_ONE_PORT);

	one->server.at = rig_endpoint(RIG_ADDR_SERVER, RIG_ONE_SERVER);
	one->server.plan = one->host;
	rig_host_add_server(&one->rig->host, &one->server);
	rig_tcp_connect(&one->tcp, &one->rig->guest, &own, &one->server.at, &one->options,
			&one->guest);
}

void rig_one_accept(struct rig_one *one)
{
	struct ip_endpoint own = rig_guest_endpoint(one->rig, 22);
	struct ip_endpoint client = rig_endpoint(RIG_ADDR_CLIENT, 50000);
	struct ip_endpoint forward = rig_endpoint(RIG_ADDR_HOST, RIG_ONE_FORWARD);

	rig_forward(one->rig, RIG_ONE_FORWARD, 22);
	rig_tcp_listen(&one->tcp, &one->rig->guest, &own, &one->options, &one->guest);
	one->peer = rig_host_client(&one->rig->host, &client, &forward, &one->host);
}

static bool rig_one_opened(void *context)
{
	struct rig_one *one = context;

	if (!one->peer)
		one->peer = one->server.last;
	return one->tcp.connected_ns != 0 && one->peer;
}

bool rig_one_is_open(struct rig_one *one)
{
	return rig_time_run_until(&one->rig->time, rig_one_opened, one, 10 * NS_PER_S);
}

static bool rig_one_is_over(void *context)
{
	struct rig_one *one = context;

	return rig_one_opened(one) && rig_tcp_is_over(&one->tcp) && rig_peer_is_over(one->peer);
}

static bool rig_one_is_clean(void *context)
{
	return rig_is_clean(((struct rig_one *)context)->rig);
}

const char *rig_one_wait_clean(struct rig_one *one, uint64_t within_ns)
{
	(void)rig_time_run_until(&one->rig->time, rig_one_is_clean, one, within_ns);
	return rig_what_is_left(one->rig);
}

const char *rig_one_finish(struct rig_one *one, uint64_t within_ns)
{
	if (!rig_time_run_until(&one->rig->time, rig_one_is_over, one, within_ns))
		return "not over in time";
	if (one->tcp.fault)
		return one->tcp.fault;
	if (!rig_tcp_is_content(&one->tcp))
		return "the guest is not content";
	if (!rig_peer_is_content(one->peer))
		return "the host is not content";
	if (one->rig->guest.bad_frames > 0)
		return "a broken frame";
	return rig_one_wait_clean(one, 120 * NS_PER_S);
}

void rig_one_done(struct rig_one *one)
{
	rig_free(one->rig);
}

struct rig_raw rig_one_raw(const struct rig_one *one, uint8_t flags)
{
	const struct rig_tcp *tcp = &one->tcp;

	return (struct rig_raw){
		.header = {
			.flags = flags,
			.sequence = tcp->send_next,
			.acknowledgement = flags & TCP_ACK ? tcp->receive_next : 0,
			.window = UINT16_MAX >> tcp->receive_shift,
		},
	};
}

void rig_one_send_raw(struct rig_one *one, const struct rig_raw *raw)
{
	rig_guest_send_raw(&one->rig->guest, &one->tcp.local, &one->tcp.remote, raw);
}
