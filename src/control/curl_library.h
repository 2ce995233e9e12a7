#pragma once
/*
 * libcurl, loaded when somebody talks to a running VM and not before: with what it links it is twenty
 * libraries and a megabyte of private memory, which the process that runs a network has no use for.
 */

#include <curl/curl.h>

#include "base/compiler.h"

struct error;

struct curl_library {
	typeof(curl_easy_init) *easy_init;
	typeof(curl_easy_cleanup) *easy_cleanup;
	typeof(curl_easy_setopt) *easy_setopt;
	typeof(curl_easy_perform) *easy_perform;
	typeof(curl_easy_getinfo) *easy_getinfo;
	typeof(curl_easy_strerror) *easy_strerror;
};

/* Loads it for the rest of the process; a second call gives the same. 0, or -ENOENT with a sentence.
 * Not to be called by two threads at once. */
int curl_library_get(const struct curl_library **ret_library, struct error *err) MUST_USE;
