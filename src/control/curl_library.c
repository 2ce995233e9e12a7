#include "control/curl_library.h"

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/late_library.h"

/* Debian's package libcurl3-gnutls, and what others call it. */
static const char *const curl_names[] = { "libcurl-gnutls.so.4", "libcurl.so.4", NULL };

static bool curl_find_all(void *handle, struct curl_library *library)
{
	typeof(curl_global_init) *global_init = NULL;

	return late_library_find(handle, "curl_global_init", &global_init) &&
	       late_library_find(handle, "curl_easy_init", &library->easy_init) &&
	       late_library_find(handle, "curl_easy_cleanup", &library->easy_cleanup) &&
	       late_library_find(handle, "curl_easy_setopt", &library->easy_setopt) &&
	       late_library_find(handle, "curl_easy_perform", &library->easy_perform) &&
	       late_library_find(handle, "curl_easy_getinfo", &library->easy_getinfo) &&
	       late_library_find(handle, "curl_easy_strerror", &library->easy_strerror) &&
	       global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int curl_library_get(const struct curl_library **ret_library, struct error *err)
{
	static struct curl_library library;
	static bool loaded;

	if (!loaded) {
		void *handle = late_library_open(curl_names);

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
