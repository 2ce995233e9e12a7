/* What a network needs of the kernel is what its rooms need. The others have no system calls. */

#include "attach/system_calls.h"
#include "base/compiler.h"
#include "capture/system_calls.h"
#include "host/system_calls.h"
#include "loop/system_calls.h"
#include "nat/system_calls.h"
#include "network/system_calls.h"
#include "registry/system_calls.h"
#include "vmnet/vmnet.h"

static const struct {
	const char *room;
	const struct system_call_list *list;
} rooms[] = {
	{ "base", &base_system_calls },	      { "loop", &loop_system_calls },
	{ "host", &host_system_calls },	      { "registry", &registry_system_calls },
	{ "attach", &attach_system_calls },   { "nat", &nat_system_calls },
	{ "capture", &capture_system_calls }, { "network", &network_system_calls },
};

_Static_assert(SYSTEM_CALL_CONDITIONS == VMNET_SYSTEM_CALL_CONDITIONS,
	       "as many as the public ones");

void vmnet_visit_system_calls(void (*visit)(void *context, const struct vmnet_system_call *call),
			      void *context)
{
	for (size_t i = 0; i < ARRAY_COUNT(rooms); i++) {
		for (size_t k = 0; k < rooms[i].list->count; k++) {
			const struct system_call *from = &rooms[i].list->calls[k];
			struct vmnet_system_call call = { .name = from->name,
							  .room = rooms[i].room,
							  .why = from->why };
			for (size_t c = 0; c < SYSTEM_CALL_CONDITIONS; c++) {
				call.conditions[c].argument = from->conditions[c].argument;
				call.conditions[c].mask = from->conditions[c].mask;
				call.conditions[c].value = from->conditions[c].value;
			}
			visit(context, &call);
		}
	}
}
