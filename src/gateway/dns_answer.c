#include "gateway/dns_answer.h"

#include "gateway/gateway_internal.h"

static enum dns_answer answer_status(struct gateway *gateway, const struct dns_message *query,
				     struct writer *writer, uint8_t rcode)
{
	if (dns_build_status(writer, query, rcode))
		return DNS_ANSWER_HERE;
	gateway_drop(gateway, DROP_BAD_DNS);
	return DNS_ANSWER_NONE;
}

enum dns_answer dns_answer(struct gateway *gateway, const struct dns_message *query,
			   struct writer *writer)
{
	const struct writer start = *writer;

	if (query->opcode != 0)
		return answer_status(gateway, query, writer, DNS_RCODE_NOTIMP);
	if (query->question_count != 1)
		return answer_status(gateway, query, writer, DNS_RCODE_FORMERR);
	if (dns_zone_answer(&gateway->zone, query, writer))
		return DNS_ANSWER_HERE;
	*writer = start;
	if (!gateway->config.local_names_only)
		return DNS_ANSWER_OUTSIDE;
	gateway_drop(gateway, DROP_DNS_OUTSIDE);
	return answer_status(gateway, query, writer, DNS_RCODE_REFUSED);
}
