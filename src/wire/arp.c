#include "wire/arp.h"

#include <assert.h>

#include "wire/ether.h"

#define HARDWARE_ETHERNET 1
#define HARDWARE_SIZE	  6
#define PROTOCOL_SIZE	  4

static void read_party(struct reader *reader, struct mac_addr *ret_mac, struct ip_addr *ret_ip)
{
	reader_bytes(reader, ret_mac->octet, sizeof(ret_mac->octet));
	*ret_ip = ip_addr_from_v4(reader_u32(reader));
}

bool arp_parse(struct reader *reader, struct arp_message *ret_message)
{
	struct arp_message message;
	uint16_t hardware = reader_u16(reader);
	uint16_t protocol = reader_u16(reader);
	uint8_t hardware_size = reader_u8(reader);
	uint8_t protocol_size = reader_u8(reader);

	message.operation = reader_u16(reader);
	read_party(reader, &message.sender_mac, &message.sender_ip);
	read_party(reader, &message.target_mac, &message.target_ip);
	if (!reader_ok(reader))
		return false;
	if (hardware != HARDWARE_ETHERNET || protocol != ETHER_TYPE_IPV4 ||
	    hardware_size != HARDWARE_SIZE || protocol_size != PROTOCOL_SIZE)
		return false;
	if (message.operation != ARP_OPERATION_REQUEST && message.operation != ARP_OPERATION_REPLY)
		return false;
	*ret_message = message;
	return true;
}

static void write_party(struct writer *writer, const struct mac_addr *mac, const struct ip_addr *ip)
{
	writer_bytes(writer, mac->octet, sizeof(mac->octet));
	writer_u32(writer, ip_addr_to_v4(ip));
}

void arp_build(struct writer *writer, const struct arp_message *message)
{
	assert(ip_addr_is_v4(&message->sender_ip) && ip_addr_is_v4(&message->target_ip));
	writer_u16(writer, HARDWARE_ETHERNET);
	writer_u16(writer, ETHER_TYPE_IPV4);
	writer_u8(writer, HARDWARE_SIZE);
	writer_u8(writer, PROTOCOL_SIZE);
	writer_u16(writer, message->operation);
	write_party(writer, &message->sender_mac, &message->sender_ip);
	write_party(writer, &message->target_mac, &message->target_ip);
}
