#include "vm/share.h"

#include <stdio.h>
#include <string.h>

bool share_transport_parse(const char *text, enum share_transport *ret_transport)
{
	static const struct {
		const char *name;
		enum share_transport transport;
	} names[] = { { "auto", SHARE_AUTO }, { "virtiofs", SHARE_VIRTIOFS }, { "9p", SHARE_9P } };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_transport = names[i].transport;
			return true;
		}
	}
	return false;
}

/* QEMU refuses to save a guest with either of both; to say so is ours. */
bool share_forbids_saving(const struct share *shares, size_t count)
{
	(void)shares;
	return count > 0;
}

bool share_needs_memory(const struct share *shares, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (shares[i].transport == SHARE_VIRTIOFS)
			return true;
	}
	return false;
}

const char *share_mount_command(const struct share *share, char buffer[SHARE_MOUNT_SIZE])
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *quote = share->tag[strspn(share->tag, plain)] ? "'" : "";
	const char *read_only = share->read_only ? "ro" : "";

	if (share->transport == SHARE_VIRTIOFS)
		snprintf(buffer, SHARE_MOUNT_SIZE, "mount -t virtiofs %s%s%s%s%s /mnt",
			 read_only[0] ? "-o ro " : "", quote, share->tag, quote, "");
	else
		snprintf(
			buffer, SHARE_MOUNT_SIZE,
			"mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288%s%s %s%s%s /mnt",
			read_only[0] ? "," : "", read_only, quote, share->tag, quote);
	return buffer;
}
