#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "wire/dns.h"

const struct mac_addr fixture_mac_gateway = { { 0x02, 0xff, 0, 0, 0, 0x01 } };

struct mac_addr fixture_mac(uint8_t number)
{
	return (struct mac_addr){ { 2, 0, 0, 0, 0, number } };
}

struct ip_addr fixture_addr(uint8_t number)
{
	return ip_addr_from_v4(UINT32_C(0xac100900) + number);
}

struct ip_addr fixture_parse(const char *text)
{
	struct ip_addr addr;

	assert_true(ip_addr_parse(text, &addr));
	return addr;
}

static uint64_t fixture_now(const struct clock *clock)
{
	return ((const struct fixture *)(const void *)clock)->now_ns;
}

static struct fixture_sink *sink_of(struct frame_sink *sink)
{
	return (struct fixture_sink *)(void *)sink;
}

static void sink_push(struct frame_sink *sink, struct frame *frame)
{
	struct fixture_sink *kept = sink_of(sink);
	unsigned slot = kept->pushed++ % FIXTURE_FRAMES;

	if (!kept->bytes[slot])
		kept->bytes[slot] = malloc(FIXTURE_FRAME_SIZE);
	kept->size[slot] = frame_copy(frame, kept->bytes[slot], FIXTURE_FRAME_SIZE);
	assert_true(kept->size[slot] > 0);
}

static void sink_flush(struct frame_sink *sink)
{
	sink_of(sink)->flushed++;
}

static size_t sink_room(struct frame_sink *sink, uint32_t port)
{
	(void)sink;
	return 1000 + port;
}

static const struct frame_sink_ops sink_ops = {
	.push = sink_push,
	.flush = sink_flush,
	.room = sink_room,
};

struct fixture *fixture_new(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->clock.now_ns = fixture_now;
	fixture->now_ns = 1000 * NS_PER_S;
	random_seeded_init(&fixture->random, 1);
	fake_host_init(&fixture->host);
	fixture->to_bridge.sink.ops = &sink_ops;
	fixture->to_nat.sink.ops = &sink_ops;
	assert_int_equal(loop_new(&fixture->clock, &fixture->loop), 0);
	fixture->config = (struct gateway_config){
		.mac = fixture_mac_gateway,
		.addr = fixture_addr(1),
		.subnet = { .addr = fixture_addr(0), .length = 24 },
		.mtu = 1500,
		.dhcp = true,
		.dns = true,
		.route = true,
		.hostname = "Box",
		.domain = "test",
		.reservations = { { .mac = fixture_mac(2), .addr = fixture_addr(2) } },
		.reservation_count = 1,
	};
	return fixture;
}

void fixture_start(struct fixture *fixture)
{
	const struct gateway_context context = {
		.loop = fixture->loop,
		.random = &fixture->random.random,
		.drops = &fixture->drops,
		.host = &fixture->host.host,
		.to_bridge = &fixture->to_bridge.sink,
	};

	assert_int_equal(gateway_new(&fixture->config, &context, &fixture->gateway), 0);
	gateway_set_nat(fixture->gateway, &fixture->to_nat.sink);
}

struct fixture *fixture_free(struct fixture *fixture)
{
	gateway_free(fixture->gateway);
	assert_int_equal(fake_host_open_now(&fixture->host), 0);
	loop_free(fixture->loop);
	fake_host_done(&fixture->host);
	for (size_t i = 0; i < FIXTURE_FRAMES; i++) {
		free(fixture->to_bridge.bytes[i]);
		free(fixture->to_nat.bytes[i]);
	}
	free(fixture);
	return NULL;
}

int fixture_setup(void **state)
{
	struct fixture *fixture = fixture_new();

	fake_host_add_resolver(&fixture->host, "192.0.2.53");
	fake_host_add_resolver(&fixture->host, "2001:db8::53");
	fixture_start(fixture);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	*state = fixture_free(*state);
	return 0;
}

void fixture_advance(struct fixture *fixture, uint64_t ms)
{
	do {
		uint64_t step = ms < 100 ? ms : 100;

		fixture->now_ns += step * NS_PER_MS;
		ms -= step;
		assert_int_equal(loop_run_once(fixture->loop, 0), 0);
	} while (ms > 0);
}

void fixture_send_bytes(struct fixture *fixture, uint32_t port, const void *bytes, size_t size)
{
	enum drop_reason reason;
	struct frame frame;

	if (!frame_from_bytes(&frame, bytes, size, port, &reason)) {
		drop_count(&fixture->drops, reason);
		return;
	}
	frame_sink_push(gateway_guest_side(fixture->gateway), &frame);
}

void fixture_send_frame(struct fixture *fixture, uint32_t port, const struct frame *frame)
{
	uint8_t *bytes = malloc(FIXTURE_FRAME_SIZE);
	size_t size = frame_copy(frame, bytes, FIXTURE_FRAME_SIZE);

	assert_true(size > 0);
	/* In memory of its own size, so that a sanitizer sees who reads beyond it. */
	bytes = realloc(bytes, size);
	fixture_send_bytes(fixture, port, bytes, size);
	free(bytes);
}

void fixture_send_udp(struct fixture *fixture, uint32_t port, const struct mac_addr *mac,
		      const struct ip_endpoint *from, const struct ip_endpoint *to,
		      const void *payload, size_t size)
{
	struct packet_link link = { .source = *mac, .destination = fixture_mac_gateway };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct frame frame;

	if (ip_addr_to_v4(&to->addr) == INADDR_BROADCAST)
		link.destination = mac_addr_broadcast;
	assert_true(packet_build_udp(&frame, &link, from, to, &iov, 1));
	fixture_send_frame(fixture, port, &frame);
}

void fixture_frame(const struct fixture_sink *sink, unsigned back, struct frame *ret_frame)
{
	unsigned slot = (sink->pushed - 1 - back) % FIXTURE_FRAMES;
	enum drop_reason reason;

	assert_true(back < sink->pushed && back < FIXTURE_FRAMES);
	assert_true(frame_from_bytes(ret_frame, sink->bytes[slot], sink->size[slot],
				     FRAME_PORT_NONE, &reason));
	if (ret_frame->packet.has_l4)
		assert_true(frame_verify_checksum(ret_frame));
}

size_t fixture_payload(const struct fixture_sink *sink, unsigned back, void *ret_bytes,
		       size_t capacity)
{
	struct frame frame;

	fixture_frame(sink, back, &frame);
	assert_true(frame.payload_size <= capacity);
	frame_copy_payload(&frame, 0, ret_bytes, frame.payload_size);
	return frame.payload_size;
}

size_t fixture_query(uint8_t *ret_bytes, size_t capacity, uint16_t id, const char *name,
		     uint16_t type, uint16_t edns_size)
{
	struct writer writer = writer_of(ret_bytes, capacity);
	uint8_t wire_name[DNS_NAME_MAX];
	uint8_t name_size;

	assert_true(dns_name_from_text(name, wire_name, &name_size));
	writer_u16(&writer, id);
	writer_u16(&writer, 0x0100); /* recursion desired */
	writer_u16(&writer, 1);
	writer_u16(&writer, 0);
	writer_u16(&writer, 0);
	writer_u16(&writer, edns_size > 0);
	writer_bytes(&writer, wire_name, name_size);
	writer_u16(&writer, type);
	writer_u16(&writer, DNS_CLASS_IN);
	if (edns_size > 0) {
		writer_u8(&writer, 0);
		writer_u16(&writer, DNS_TYPE_OPT);
		writer_u16(&writer, edns_size);
		writer_u32(&writer, 0);
		writer_u16(&writer, 0);
	}
	assert_true(writer_ok(&writer));
	return writer.position;
}

uint64_t fixture_drops(const struct fixture *fixture)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		sum += fixture->drops.count[i];
	return sum;
}
