#pragma once
/* Where records are kept when a caller does not say. */

#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"

/* $XDG_STATE_HOME/vmnet, else ~/.local/state/vmnet. Negative errno when neither is set. */
int paths_state_directory(char *buffer, size_t size, struct error *err) MUST_USE;
/* $XDG_RUNTIME_DIR/vmnet, else /tmp/vmnet-UID. */
int paths_runtime_directory(char *buffer, size_t size, struct error *err) MUST_USE;
