#include "vm/agent_network.h"

#include <errno.h>

#include "base/clock.h"
#include "base/error.h"
#include "vm/agent_answer.h"
#include "vm/agent_client.h"

/* Thousands of interfaces. */
#define ANSWER_MOST ((size_t)4 << 20)

int agent_network_address(int directory_fd, const struct mac_addr *mac, uint64_t deadline_ns,
			  struct ip_addr *ret_address, struct error *err)
{
	struct agent_client client;
	json_t *value = NULL;

	uint64_t now_ns = clock_now(&clock_boottime);
	int r = agent_client_open(directory_fd, deadline_ns,
				  deadline_ns > now_ns ? deadline_ns - now_ns : 0, &client, err);
	if (r < 0)
		return r;
	r = agent_client_ask(&client, "guest-network-get-interfaces", NULL, ANSWER_MOST,
			     deadline_ns, &value, err);
	agent_client_close(&client);
	if (r == 0 && !agent_answer_address(value, mac, ret_address)) {
		error_set(err, "the agent knows no IPv4 address of the VM's interface");
		r = -ENOENT;
	}
	json_decref(value);
	return r;
}
