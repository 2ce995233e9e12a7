#pragma once
/*
 * The seed as cloud-init fetches it (its data source NoCloud): three documents, and the text in the
 * machine's SMBIOS that says where they are. Pure functions.
 */

#include <stddef.h>

#include "base/addr.h"
#include "base/compiler.h"

struct seed_settings;

#define SEED_DOCUMENT_COUNT 3
#define SEED_SERIAL_SIZE    128

struct seed_document {
	const char *path; /* in the URL */
	char *text;
	size_t size;
};

struct seed_documents {
	struct seed_document items[SEED_DOCUMENT_COUNT];
};

/* hostname: NULL = none is told. 0 or -ENOMEM. One seed_documents_done(). */
int seed_documents_build(const struct seed_settings *settings, const char *hostname,
			 struct seed_documents *ret_documents) MUST_USE;
void seed_documents_done(struct seed_documents *documents);

/* The serial number that leads there, by the gateway's address. */
void seed_documents_serial(const struct ip_addr *gateway, char ret_serial[SEED_SERIAL_SIZE]);
