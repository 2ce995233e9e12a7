/* "ROOM NAME" for each system call of a network and of softnet: what a trace of it may have. */

#include <stdio.h>

#include "sidecar/system_calls.h"
#include "vmnet/vmnet.h"

static void print(void *context, const struct vmnet_system_call *call)
{
	(void)context;
	printf("%s %s\n", call->room, call->name);
}

int main(void)
{
	vmnet_visit_system_calls(print, NULL);
	for (size_t i = 0; i < sidecar_system_calls.count; i++)
		printf("sidecar %s\n", sidecar_system_calls.calls[i].name);
	return 0;
}
