#pragma once
/*
 * libmicrohttpd, loaded when a VM's control socket is opened and not before: it links GnuTLS, which with all
 * that it links is two megabytes of a process. `tartlet netns` has no control socket.
 */

#include <microhttpd.h>

#include "base/compiler.h"

struct error;

struct microhttpd_library {
	typeof(MHD_start_daemon) *start_daemon;
	typeof(MHD_stop_daemon) *stop_daemon;
	typeof(MHD_create_response_from_buffer) *create_response_from_buffer;
	typeof(MHD_add_response_header) *add_response_header;
	typeof(MHD_queue_response) *queue_response;
	typeof(MHD_destroy_response) *destroy_response;
	typeof(MHD_lookup_connection_value) *lookup_connection_value;
	typeof(MHD_create_response_for_upgrade) *create_response_for_upgrade;
	typeof(MHD_upgrade_action) *upgrade_action;
};

/* Loads it for the rest of the process; a second call gives the same. 0, or -ENOENT with a sentence.
 * Not to be called by two threads at once. */
int microhttpd_library_get(const struct microhttpd_library **ret_library,
			   struct error *err) MUST_USE;
