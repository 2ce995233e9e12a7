#include "vm/seed_documents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/seed_settings.h"

#define FOLDER "/seed/"

/* A text as YAML has it between double quotes (YAML 1.2 7.3.1): there is no control character in it. */
static void print_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

/*
 * The keys are here and not in the user data: cloud-init gives them to the image's user beside those
 * that the user data has, whatever that is, so nothing of the person's own text has to be changed.
 */
static void print_meta_data(FILE *out, const struct seed_settings *settings, const char *hostname)
{
	fprintf(out, "instance-id: %s\n", settings->instance_id);
	if (hostname) {
		fputs("local-hostname: ", out);
		print_quoted(out, hostname);
		fputc('\n', out);
	}
	if (settings->key_count > 0)
		fputs("public-keys:\n", out);
	for (size_t i = 0; i < settings->key_count; i++) {
		fputs("  - ", out);
		print_quoted(out, settings->keys[i]);
		fputc('\n', out);
	}
}

static int make(struct seed_document *document, const char *path,
		const struct seed_settings *settings, const char *hostname, const char *text)
{
	FILE *out = open_memstream(&document->text, &document->size);

	document->path = path;
	if (!out)
		return -ENOMEM;
	if (text)
		fputs(text, out);
	else
		print_meta_data(out, settings, hostname);
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

int seed_documents_build(const struct seed_settings *settings, const char *hostname,
			 struct seed_documents *ret_documents)
{
	struct seed_documents documents = { 0 };
	/* Without user data cloud-init takes the data source for broken: an empty configuration. */
	const char *user_data = settings->user_data ? settings->user_data : "#cloud-config\n{}\n";
	int r = make(&documents.items[0], FOLDER "meta-data", settings, hostname, NULL);

	if (r == 0)
		r = make(&documents.items[1], FOLDER "user-data", settings, hostname, user_data);
	if (r == 0)
		r = make(&documents.items[2], FOLDER "vendor-data", settings, hostname, "");
	if (r < 0)
		seed_documents_done(&documents);
	else
		*ret_documents = documents;
	return r;
}

void seed_documents_done(struct seed_documents *documents)
{
	for (size_t i = 0; i < SEED_DOCUMENT_COUNT; i++)
		free(documents->items[i].text);
	*documents = (struct seed_documents){ 0 };
}

/*
 * "nocloud" with dsmode=net: cloud-init 22.4 (Debian 12) leaves a network seed alone when it is called
 * nocloud without it, and versions from 24.1 on call the name nocloud-net deprecated.
 */
void seed_documents_serial(const struct ip_addr *gateway, char ret_serial[SEED_SERIAL_SIZE])
{
	char addr[IP_ADDR_TEXT_SIZE];

	snprintf(ret_serial, SEED_SERIAL_SIZE, "ds=nocloud;dsmode=net;s=http://%s" FOLDER,
		 ip_addr_format(gateway, addr));
}
