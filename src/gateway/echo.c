#include "gateway/echo.h"

#include "gateway/gateway_internal.h"
#include "wire/packet_build.h"

void echo_reply(struct gateway *gateway, const struct frame *frame)
{
	const struct packet *packet = &frame->packet;
	const struct packet_link link = {
		.source = gateway->config.mac,
		.destination = packet->mac_source,
		.tos = packet->ip_tos,
		.id = gateway_ip_id(gateway),
	};
	struct reader reader = frame_l4_reader(frame);
	struct icmp_header header;
	struct frame reply;

	if (!icmp_parse(&reader, &header) || header.code != 0) {
		gateway_drop(gateway, DROP_BAD_L4_HEADER);
		return;
	}
	header.type = ICMP_TYPE_ECHO_REPLY;
	if (!packet_build_icmp(&reply, &link, &gateway->config.addr, &packet->ip_source, &header,
			       frame->payload, frame->payload_count)) {
		gateway_drop(gateway, DROP_BUFFER_LIMIT);
		return;
	}
	gateway_push_fragmented(gateway, &reply);
}

void echo_send_error(struct gateway *gateway, const struct frame *frame, uint8_t type, uint8_t code)
{
	const struct packet *packet = &frame->packet;
	const struct packet_link link = {
		.source = gateway->config.mac,
		.destination = packet->mac_source,
		.id = gateway_ip_id(gateway),
	};
	const struct icmp_header header = { .type = type, .code = code };
	struct gateway_rate *rate = &gateway->icmp_rate[frame->port % GATEWAY_RATE_BUCKETS];
	uint8_t quote[ICMP_QUOTE_MAX];
	struct iovec payload = { .iov_base = quote };
	struct frame error;

	if (!packet_allows_error(packet))
		return;
	if (!gateway_rate_take(rate, gateway_now(gateway), GATEWAY_ICMP_ERRORS_PER_S)) {
		gateway_drop(gateway, DROP_ICMP_LIMIT);
		return;
	}
	payload.iov_len = packet_quote(frame, quote);
	if (packet_build_icmp(&error, &link, &gateway->config.addr, &packet->ip_source, &header,
			      &payload, 1))
		gateway_push(gateway, &error);
}
