#pragma once
/*
 * The process that reads on behalf of an engine which may open nothing: the answering end. It does what the
 * questions of informant_message.h are, and nothing else: an engine that is in a guest's hands learns what stands in two
 * files that everybody may read, and which private networks are in use.
 */

#include "base/compiler.h"
#include "base/error.h"

struct informant_paths {
	const char *resolv_conf;
	const char *hosts;
	const char *runtime_directory;
};

/*
 * Answers until the other end is closed, then removes what the engine's registry handle has left. 0; -EPROTO when
 * what came is no question; the errors of registry_open(), with a sentence. The descriptor stays the caller's.
 */
int informant_server_run(int fd, const struct informant_paths *paths, struct error *err) MUST_USE;
