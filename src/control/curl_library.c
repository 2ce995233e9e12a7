#include "control/curl_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* Debian's package libcurl3-gnutls, and what others call it. */
static const char *const curl_names[] = { "libcurl-gnutls.so.4", "libcurl.so.4" };

static void *curl_open(void)
{
	void *handle = NULL;

	for (size_t i = 0; i < ARRAY_COUNT(curl_names) && !handle; i++)
		handle = dlopen(curl_names[i], RTLD_NOW | RTLD_LOCAL);
	return handle;
}

/* A function pointer is no object pointer in C; POSIX says that they are of one size (dlsym). */
static bool curl_find(void *handle, const char *name, void *ret_function)
{
	void *address = dlsym(handle, name);

	if (!address)
		return false;
	memcpy(ret_function, &address, sizeof(address));
	return true;
}

static bool curl_find_all(void *handle, struct curl_library *library)
{
	typeof(curl_global_init) *global_init = NULL;

	return curl_find(handle, "curl_global_init", &global_init) &&
	       curl_find(handle, "curl_easy_init", &library->easy_init) &&
	       curl_find(handle, "curl_easy_cleanup", &library->easy_cleanup) &&
	       curl_find(handle, "curl_easy_setopt", &library->easy_setopt) &&
	       curl_find(handle, "curl_easy_perform", &library->easy_perform) &&
	       curl_find(handle, "curl_easy_getinfo", &library->easy_getinfo) &&
	       curl_find(handle, "curl_easy_strerror", &library->easy_strerror) &&
	       global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int curl_library_get(const struct curl_library **ret_library, struct error *err)
{
	static struct curl_library library;
	static bool loaded;

	if (!loaded) {
		void *handle = curl_open();

		if (!handle || !curl_find_all(handle, &library)) {
			error_set(err, "cannot load libcurl, which talks to running VMs: install "
				       "the package libcurl3-gnutls");
			return -ENOENT;
		}
		loaded = true;
	}
	*ret_library = &library;
	return 0;
}
