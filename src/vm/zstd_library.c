#include "vm/zstd_library.h"

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/late_library.h"

static const char *const names[] = { "libzstd.so.1", NULL };

static bool find_all(void *handle, struct zstd_library *library)
{
	return late_library_find(handle, "ZSTD_createCCtx", &library->create) &&
	       late_library_find(handle, "ZSTD_freeCCtx", &library->free) &&
	       late_library_find(handle, "ZSTD_CCtx_setParameter", &library->set_parameter) &&
	       late_library_find(handle, "ZSTD_compressStream2", &library->compress) &&
	       late_library_find(handle, "ZSTD_isError", &library->is_error);
}

int zstd_library_get(const struct zstd_library **ret_library, struct error *err)
{
	static struct zstd_library library;
	static bool loaded;

	if (!loaded) {
		void *handle = late_library_open(names);

		if (!handle || !find_all(handle, &library)) {
			error_set(err,
				  "cannot load libzstd, which compresses archives: install the "
				  "package libzstd1");
			return -ENOENT;
		}
		loaded = true;
	}
	*ret_library = &library;
	return 0;
}
