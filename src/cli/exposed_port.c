#include "cli/exposed_port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "cli/forward_text.h"
#include "control/control_json.h"
#include "vm/run_state.h"
#include "vm/vm_directory.h"

int exposed_port_state(const struct vm_directory *directory, struct run_state *ret_state,
		       struct error *err)
{
	int r = run_state_read(directory->fd, ret_state, err);

	if (r == 0 && !ret_state->is_softnet) {
		run_state_done(ret_state);
		r = -ENOENT;
	}
	return r == -ESRCH ? -ENOENT : r;
}

bool exposed_port_find(const json_t *forwards, uint16_t port,
		       struct vmnet_port_forward *ret_forward)
{
	struct vmnet_port_forward forward;
	const json_t *item;
	bool found = false;
	size_t i;

	json_array_foreach(forwards, i, item)
	{
		if (!control_json_parse_forward(item, &forward, NULL) ||
		    forward.protocol != IPPROTO_TCP || forward.internal_port != port ||
		    (found && forward.external_family != AF_INET))
			continue;
		*ret_forward = forward;
		found = true;
		if (forward.external_family == AF_INET)
			break;
	}
	return found;
}

/* Where it listens, seen from this host: all addresses are loopback's, too. */
static socklen_t address_of(const struct vmnet_port_forward *forward,
			    struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (forward->external_family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(forward->external_port);
		v4->sin_addr = forward->external_address.v4;
		if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
			v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(forward->external_port);
	v6->sin6_addr = forward->external_address.v6;
	if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
		v6->sin6_addr = in6addr_loopback;
	return sizeof(*v6);
}

int exposed_port_connect(const struct run_state *state, uint16_t port, struct error *err)
{
	struct vmnet_port_forward forward;
	struct sockaddr_storage address;
	char text[FORWARD_TEXT_SIZE];

	if (!exposed_port_find(state->forwards, port, &forward)) {
		error_set(err,
			  "its network is softnet's, and no port of the host leads to its port %u: "
			  "`tartlet run --net-softnet-expose 0:%u' makes one",
			  (unsigned)port, (unsigned)port);
		return -ENOENT;
	}
	socklen_t size = address_of(&forward, &address);
	autoclose int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, size) < 0) {
		int r = -errno;
		error_set(err, "cannot connect by its exposed port (%s): %s",
			  forward_text_format(&forward, text), strerror(-r));
		return r;
	}
	return fd_take(&fd);
}
