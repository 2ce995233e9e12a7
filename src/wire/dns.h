#pragma once
/* DNS messages (RFC 1035, EDNS RFC 6891), as much as a forwarder with a few local names needs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/dns_name.h"
#include "wire/writer.h"

#define DNS_PORT	     53
#define DNS_HEADER_SIZE	     12
#define DNS_NAME_MAX	     255  /* on the wire, with the root's zero (RFC 1035 2.3.4) */
#define DNS_UDP_SIZE_DEFAULT 512  /* without EDNS (RFC 1035 4.2.1) */
#define DNS_UDP_SIZE_OURS    1232 /* what our OPT records announce: fits every path */

#define DNS_TYPE_A     1
#define DNS_TYPE_CNAME 5
#define DNS_TYPE_SOA   6
#define DNS_TYPE_PTR   12
#define DNS_TYPE_AAAA  28
#define DNS_TYPE_OPT   41
#define DNS_TYPE_ANY   255
#define DNS_CLASS_IN   1

#define DNS_RCODE_NOERROR  0
#define DNS_RCODE_FORMERR  1
#define DNS_RCODE_SERVFAIL 2
#define DNS_RCODE_NXDOMAIN 3
#define DNS_RCODE_NOTIMP   4
#define DNS_RCODE_REFUSED  5

struct dns_question {
	uint8_t name[DNS_NAME_MAX]; /* uncompressed wire form, letters as they were sent */
	uint8_t name_size;
	uint16_t type;
	uint16_t class;
	/* As dns_name_to_text() writes it: lower case, "" = the root; no label can fake a dot. */
	char text[DNS_NAME_TEXT_SIZE];
};

struct dns_message {
	uint16_t id;
	bool response;
	uint8_t opcode;
	bool authoritative;
	bool truncated;
	bool recursion_desired;
	bool recursion_available;
	bool checking_disabled;
	uint8_t rcode; /* the low 4 bits */
	uint16_t question_count;
	uint16_t answer_count;
	uint16_t authority_count;
	uint16_t additional_count;
	struct dns_question question; /* the first one; empty where question_count is 0 */
	bool has_edns;
	uint16_t edns_udp_size; /* at least 512 (RFC 6891 6.2.3) */
	uint8_t edns_version;
	bool edns_do;
	/* Where the OPT record is, from its owner name on; 0 and 0 without. */
	size_t edns_offset;
	size_t edns_size;
};

/*
 * Reads header, first question and the OPT record. False: shorter than 12 bytes, a name that is
 * malformed, longer than 255 bytes or has pointers that do not point backwards, a record that is
 * cut short (but a truncated response may end anywhere behind its question), two OPT records.
 */
bool dns_parse(const void *bytes, size_t size, struct dns_message *ret_message) MUST_USE;

/* Same name (letters of either case, RFC 4343), type and class: does the response fit the query? */
bool dns_question_equal(const struct dns_question *a, const struct dns_question *b);

/* "4.1.18.172.in-addr.arpa" or the ip6.arpa form as an address (the question of a PTR query). */
bool dns_reverse_to_addr(const char *text, struct ip_addr *ret_addr) MUST_USE;

/* Overwrites the id of a message of at least 12 bytes. */
void dns_set_id(void *bytes, uint16_t id);

/*
 * Answers to `query` (as parsed; its question must be there except for dns_build_status). They
 * carry the query's id, question, opcode, RD and CD, and an OPT record where the query has one.
 * False: no room (or more addresses than fit); what the writer holds is then worthless.
 *
 * Addresses: those that fit the question's type (A, AAAA, ANY) become answers; none = an empty
 * NOERROR. Status: no records, DNS_RCODE_... Pointer: one PTR record to the text name.
 */
bool dns_build_addresses(struct writer *writer, const struct dns_message *query,
			 const struct ip_addr *addrs, size_t count, uint32_t ttl_s) MUST_USE;
bool dns_build_pointer(struct writer *writer, const struct dns_message *query, const char *name,
		       uint32_t ttl_s) MUST_USE;
bool dns_build_status(struct writer *writer, const struct dns_message *query,
		      uint8_t rcode) MUST_USE;
/*
 * The short form of a reply that is too long for the asker's UDP size: its header with TC set, its
 * question and its OPT record (RFC 2181 9). `reply` is what dns_parse() made of `bytes`.
 */
bool dns_build_truncated(struct writer *writer, const struct dns_message *reply, const void *bytes,
			 size_t size) MUST_USE;
