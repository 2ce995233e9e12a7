#pragma once
/* A TAP interface in the network namespace of the calling process. */

#include "base/compiler.h"

struct error;

/* May an interface have this name? 0, or -EINVAL with a sentence. */
int tap_device_check_name(const char *name, struct error *err) MUST_USE;

/*
 * Makes the interface, with virtio-net headers; it goes when the last descriptor of it is closed. 0
 * with *ret_fd, which the caller closes, or negative errno with a sentence: no /dev/net/tun, no
 * right, the name is taken.
 */
int tap_device_open(const char *name, int *ret_fd, struct error *err) MUST_USE;
