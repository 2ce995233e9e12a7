#include "vm/net_attach.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/qemu_version.h"

/*
 * What was tried, newest first; the first row whose version is not above QEMU's and whose
 * accelerator is QEMU's counts. docs/decisions/0009 has how it was found out.
 *
 * Under TCG, QEMU 7.2 ends by SIGSEGV when the guest's driver enables MSI-X on a vhost-user device:
 * it sets up KVM's irqfds without KVM. Without MSI-X it never gets there. 10.0 does not do that; the
 * versions between were not tried, and lose only a little by the same.
 */
static const struct {
	struct qemu_version since;
	enum accel accel;
	struct net_attach_choice choice;
} tried[] = {
	{ { 10, 0 }, ACCEL_TCG, { NET_ATTACH_VHOST_USER, false } },
	{ { 7, 2 }, ACCEL_TCG, { NET_ATTACH_VHOST_USER, true } },
	{ { 7, 2 }, ACCEL_KVM, { NET_ATTACH_VHOST_USER, false } },
};

bool net_attach_parse(const char *text, enum net_attach *ret_attach)
{
	static const struct {
		const char *name;
		enum net_attach attach;
	} names[] = {
		{ "auto", NET_ATTACH_AUTO },
		{ "vhost-user", NET_ATTACH_VHOST_USER },
		{ "stream", NET_ATTACH_STREAM },
	};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_attach = names[i].attach;
			return true;
		}
	}
	return false;
}

const char *net_attach_name(enum net_attach attach)
{
	switch (attach) {
	case NET_ATTACH_AUTO:
		return "auto";
	case NET_ATTACH_VHOST_USER:
		return "vhost-user";
	case NET_ATTACH_STREAM:
		return "stream";
	}
	return "auto";
}

struct net_attach_choice net_attach_choose(enum net_attach wanted,
					   const struct qemu_version *version, enum accel accel)
{
	struct net_attach_choice choice = { .attach = NET_ATTACH_STREAM };

	if (wanted == NET_ATTACH_STREAM)
		return choice;
	for (size_t i = 0; i < ARRAY_COUNT(tried); i++) {
		if (tried[i].accel == accel && !qemu_version_is_before(version, &tried[i].since)) {
			choice = tried[i].choice;
			break;
		}
	}
	if (wanted == NET_ATTACH_VHOST_USER)
		choice.attach = NET_ATTACH_VHOST_USER;
	return choice;
}

static int listen_at(int directory_fd, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* By the descriptor: a home of any depth fits into the 108 bytes of a unix address. */
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
			      directory_fd, name);

	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	/* The directory is 0700, so nobody else gets at it before this. */
	if (fchmodat(directory_fd, name, 0600, 0) < 0 || listen(fd, 1) < 0)
		return -errno;
	int result = fd;
	fd = -1;
	return result;
}

int net_attach_listen(int directory_fd, const char *name, int *ret_fd, struct error *err)
{
	int fd = listen_at(directory_fd, name);

	if (fd < 0) {
		error_set(err, "cannot make the socket %s: %s", name, strerror(-fd));
		return fd;
	}
	*ret_fd = fd;
	return 0;
}
