#pragma once
/* Which questions the gateway answers by itself, whichever way they came, and which go to the host's
 * resolvers. */

#include "base/compiler.h"
#include "wire/dns.h"
#include "wire/writer.h"

struct gateway;

enum dns_answer {
	DNS_ANSWER_HERE,    /* the answer is in the writer */
	DNS_ANSWER_OUTSIDE, /* a resolver has to be asked */
	DNS_ANSWER_NONE,    /* the writer is too small for any; counted */
};

/* A query, as parsed. The writer must take 512 bytes. */
enum dns_answer dns_answer(struct gateway *gateway, const struct dns_message *query,
			   struct writer *writer) MUST_USE;
