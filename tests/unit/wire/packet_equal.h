#pragma once
/* Field by field: a struct's padding is nobody's. */

#include "wire/packet_dissect.h"
#include "wire_test.h"

static inline void assert_packet_equal(const struct packet *a, const struct packet *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_true(mac_addr_equal(&a->mac_destination, &b->mac_destination));
	assert_true(mac_addr_equal(&a->mac_source, &b->mac_source));
	assert_int_equal(a->ether_type, b->ether_type);
	assert_true(ip_addr_equal(&a->ip_source, &b->ip_source));
	assert_true(ip_addr_equal(&a->ip_destination, &b->ip_destination));
	assert_int_equal(a->ip_protocol, b->ip_protocol);
	assert_int_equal(a->ip_ttl, b->ip_ttl);
	assert_int_equal(a->ip_tos, b->ip_tos);
	assert_int_equal(a->ip_dont_fragment, b->ip_dont_fragment);
	assert_int_equal(a->ip_has_options, b->ip_has_options);
	assert_int_equal(a->ip_is_fragment, b->ip_is_fragment);
	assert_int_equal(a->ip_more_fragments, b->ip_more_fragments);
	assert_int_equal(a->ip_fragment_offset, b->ip_fragment_offset);
	assert_int_equal(a->ip_id, b->ip_id);
	assert_int_equal(a->l3_offset, b->l3_offset);
	assert_int_equal(a->ip_total_size, b->ip_total_size);
	assert_int_equal(a->has_l4, b->has_l4);
	assert_int_equal(a->l4_offset, b->l4_offset);
	assert_int_equal(a->payload_offset, b->payload_offset);
	assert_int_equal(a->port_source, b->port_source);
	assert_int_equal(a->port_destination, b->port_destination);
	assert_int_equal(a->icmp_type, b->icmp_type);
	assert_int_equal(a->icmp_code, b->icmp_code);
}
