#pragma once
/* softnet from its options to its end. */

#include "base/compiler.h"
#include "sidecar/softnet_options.h"

/* Takes over the signals of the process: to be called before it has other threads. The exit code; a failure has been
 * said. */
int softnet_run(const struct softnet_options *options) MUST_USE;
