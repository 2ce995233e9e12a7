#include "control/microhttpd_library.h"

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/late_library.h"

static const char *const names[] = { "libmicrohttpd.so.12", NULL };

static bool find_all(void *handle, struct microhttpd_library *library)
{
	return late_library_find(handle, "MHD_start_daemon", &library->start_daemon) &&
	       late_library_find(handle, "MHD_stop_daemon", &library->stop_daemon) &&
	       late_library_find(handle, "MHD_create_response_from_buffer",
				 &library->create_response_from_buffer) &&
	       late_library_find(handle, "MHD_add_response_header",
				 &library->add_response_header) &&
	       late_library_find(handle, "MHD_queue_response", &library->queue_response) &&
	       late_library_find(handle, "MHD_destroy_response", &library->destroy_response) &&
	       late_library_find(handle, "MHD_lookup_connection_value",
				 &library->lookup_connection_value) &&
	       late_library_find(handle, "MHD_create_response_for_upgrade",
				 &library->create_response_for_upgrade) &&
	       late_library_find(handle, "MHD_upgrade_action", &library->upgrade_action);
}

int microhttpd_library_get(const struct microhttpd_library **ret_library, struct error *err)
{
	static struct microhttpd_library library;
	static bool loaded;

	if (!loaded) {
		void *handle = late_library_open(names);

		if (!handle || !find_all(handle, &library)) {
			error_set(err, "cannot load libmicrohttpd, which serves a VM's control "
				       "socket: install the package libmicrohttpd12");
			return -ENOENT;
		}
		loaded = true;
	}
	*ret_library = &library;
	return 0;
}
