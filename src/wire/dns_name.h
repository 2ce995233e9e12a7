#pragma once
/* Domain names: on the wire with compression (RFC 1035 4.1.4), and as text. */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/reader.h"

#define DNS_NAME_MAX	   255	/* on the wire, with the root's zero (RFC 1035 2.3.4) */
#define DNS_NAME_TEXT_SIZE 1024 /* every byte as \ddd, and the terminator */

/*
 * Reads the name at the reader's position, which must read the message from its first byte (pointers
 * count from there). False: cut short, longer than 255 bytes, an unknown label type, or a pointer
 * that does not point before the part of the name it stands in (so there are no loops).
 */
bool dns_name_read(struct reader *message, uint8_t ret_name[DNS_NAME_MAX],
		   uint8_t *ret_size) MUST_USE;
/* Goes behind the name without following pointers. */
bool dns_name_skip(struct reader *message) MUST_USE;

/* Lower case, labels joined by dots, without the last dot; "" = the root. Bytes outside a-z 0-9 - _
 * are written \ddd. name is an uncompressed wire form as dns_name_read() gives it. */
void dns_name_to_text(const uint8_t *name, uint8_t size, char ret_text[DNS_NAME_TEXT_SIZE]);
/* Wire form of a text name (labels of 1..63 bytes, an optional last dot; \ddd is understood). */
bool dns_name_from_text(const char *text, uint8_t ret_name[DNS_NAME_MAX],
			uint8_t *ret_size) MUST_USE;
