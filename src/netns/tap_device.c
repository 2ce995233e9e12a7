#include "netns/tap_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/fd.h"

#define TUN_PATH "/dev/net/tun"

/* '/' and ':' the kernel refuses itself, '%' it would fill in, and a name of blanks or bytes that
 * cannot be printed nobody can type. */
static bool is_name_character(char character)
{
	return character > ' ' && character <= '~' && !strchr("/:%", character);
}

int tap_device_check_name(const char *name, struct error *err)
{
	/* The last two are directories of net.ipv4.conf that mean no interface. */
	static const char *const reserved[] = { ".", "..", "all", "default" };
	size_t length = strlen(name);
	bool valid = length > 0 && length < IFNAMSIZ;

	for (size_t i = 0; i < length && valid; i++)
		valid = is_name_character(name[i]);
	if (!valid) {
		error_set(err,
			  "invalid interface name \"%.64s\": expected 1 to %d printable characters "
			  "without blanks, \"/\", \":\" and \"%%\"",
			  name, IFNAMSIZ - 1);
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_COUNT(reserved); i++) {
		if (strcmp(name, reserved[i]) != 0)
			continue;
		error_set(err, "invalid interface name \"%s\": the kernel keeps it for itself",
			  name);
		return -EINVAL;
	}
	return 0;
}

static int fail_to_open(struct error *err)
{
	int r = -errno;

	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		error_set(err, TUN_PATH " is missing: the kernel's module tun makes it");
	else if (r == -EACCES || r == -EPERM)
		error_set(err, "no right to open " TUN_PATH ": it is usually open to every user "
			       "(mode 0666)");
	else
		error_set(err, "cannot open " TUN_PATH ": %s", strerror(-r));
	return r;
}

static int fail_to_make(const char *name, struct error *err)
{
	int r = -errno;

	if (r == -EBUSY)
		error_set(err, "there is an interface %s already: give another name (--ifname)",
			  name);
	else if (r == -ENOTTY)
		error_set(err, TUN_PATH " is not the device that makes interfaces");
	else if (r == -EPERM)
		error_set(err, "no right to make the interface %s in its network namespace", name);
	else
		error_set(err, "cannot make the interface %s: %s", name, strerror(-r));
	return r;
}

int tap_device_open(const char *name, int *ret_fd, struct error *err)
{
	/* EXCL: what is there already, also a TAP that somebody left, is not ours to take. */
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						      IFF_TUN_EXCL) };

	int r = tap_device_check_name(name, err);
	if (r < 0)
		return r;
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail_to_open(err);
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		r = fail_to_make(name, err);
		fd_close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
