#include "base/late_library.h"

#include <dlfcn.h>
#include <string.h>

void *late_library_open(const char *const *names)
{
	void *handle = NULL;

	for (; *names && !handle; names++)
		handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
	return handle;
}

/* A function pointer is no object pointer in C; POSIX says that they are of one size (dlsym). */
bool late_library_find(void *handle, const char *name, void *ret_function)
{
	void *address = dlsym(handle, name);

	if (!address)
		return false;
	memcpy(ret_function, &address, sizeof(address));
	return true;
}
