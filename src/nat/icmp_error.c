/* ICMP errors towards a guest, about a packet of its own that is rebuilt from the flow. */

#include "nat/icmp_error.h"

#include <errno.h>

#include "nat/icmp_flow.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/packet_build.h"
#include "wire/writer.h"

#define ICMP_ERROR_INTERVAL_NS (NS_PER_S / ICMP_ERRORS_PER_S)

static bool icmp_error_allowed(struct icmp_error_limit *limit, uint64_t now_ns)
{
	uint64_t tokens = (now_ns - limit->filled_ns) / ICMP_ERROR_INTERVAL_NS;

	if (limit->filled_ns == 0 || tokens >= ICMP_ERRORS_BURST) {
		limit->tokens = ICMP_ERRORS_BURST;
		limit->filled_ns = now_ns;
	} else if (tokens > 0) {
		uint64_t sum = limit->tokens + tokens;

		limit->tokens = sum < ICMP_ERRORS_BURST ? (uint32_t)sum : ICMP_ERRORS_BURST;
		limit->filled_ns += tokens * ICMP_ERROR_INTERVAL_NS;
	}
	if (limit->tokens == 0)
		return false;
	limit->tokens--;
	return true;
}

static void icmp_error_emit(struct nat *nat, uint32_t port, const struct ip_addr *origin,
			    const struct ip_addr *guest, const struct icmp_header *header,
			    uint8_t *quote, size_t quote_size)
{
	const struct packet_link link = { .source = nat->config.mac };
	struct iovec payload = { quote, quote_size };
	struct frame frame;

	if (!icmp_error_allowed(icmp_error_limit_of(nat, port), nat_now(nat)))
		nat_drop(nat, DROP_ICMP_LIMIT);
	else if (packet_build_icmp(&frame, &link, origin, guest, header, &payload, 1))
		nat_push_to_guest(nat, &frame);
}

static uint16_t icmp_error_mtu(uint32_t mtu)
{
	return (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX);
}

void icmp_refuse(struct nat *nat, const struct frame *frame, uint8_t code, uint32_t mtu)
{
	const struct icmp_header header = {
		.type = ICMP_TYPE_UNREACHABLE,
		.code = code,
		.mtu = icmp_error_mtu(mtu),
	};
	uint8_t quote[ICMP_QUOTE_MAX];

	if (packet_allows_error(&frame->packet))
		icmp_error_emit(nat, frame->port, &nat->config.addr, &frame->packet.ip_source,
				&header, quote, packet_quote(frame, quote));
}

bool icmp_code_of_error(int error, uint8_t *ret_code)
{
	switch (error) {
	case ENETUNREACH:
	case ENETDOWN:
		*ret_code = ICMP_CODE_NET_UNREACHABLE;
		return true;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		*ret_code = ICMP_CODE_HOST_UNREACHABLE;
		return true;
	case EACCES:
	case EPERM:
		*ret_code = ICMP_CODE_ADMIN_PROHIBITED;
		return true;
	default:
		return false;
	}
}

void icmp_refuse_unsent(struct nat *nat, const struct frame *frame, int error, uint32_t mtu)
{
	uint8_t code;

	if (error == EAGAIN || error == ENOBUFS) {
		nat_drop(nat, DROP_SOCKET_FULL);
		return;
	}
	nat_drop(nat, DROP_SOCKET_ERROR);
	if (icmp_code_of_error(error, &code))
		icmp_refuse(nat, frame, code, 0);
	else if (error == EMSGSIZE && mtu > 0) /* RFC 1191 4 */
		icmp_refuse(nat, frame, ICMP_CODE_FRAGMENTATION_NEEDED, mtu);
}

struct ip_addr icmp_error_origin(const struct nat *nat, const struct ip_addr *origin,
				 const struct ip_addr *real, const struct ip_addr *seen)
{
	const struct ip_endpoint from = { *origin, 0 };

	if (ip_addr_equal(origin, real))
		return *seen;
	return policy_client_seen(nat, &from).addr;
}

void icmp_send_error(struct nat *nat, uint32_t port, const struct ip_addr *origin,
		     const struct ip_addr *guest, const struct ip_addr *remote, uint8_t protocol,
		     uint8_t type, uint8_t code, uint32_t mtu, const void *quote, size_t quote_size)
{
	uint8_t packet[ICMP_QUOTE_MAX];
	struct writer writer = writer_of(packet, sizeof(packet));
	const struct ipv4_header ip = {
		.total_size = (uint16_t)(IPV4_HEADER_SIZE + quote_size),
		.dont_fragment = true,
		.ttl = 1,
		.protocol = protocol,
		.source = *guest,
		.destination = *remote,
	};
	const struct icmp_header header = {
		.type = type,
		.code = code,
		.mtu = icmp_error_mtu(mtu),
	};

	ipv4_build(&writer, &ip);
	size_t left = writer_left(&writer);
	writer_bytes(&writer, quote, quote_size < left ? quote_size : left);
	if (writer_ok(&writer))
		icmp_error_emit(nat, port, origin, guest, &header, packet, writer.position);
}
