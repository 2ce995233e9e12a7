#include "control/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "control/control_server.h"
#include "control/curl_library.h"

#define ANSWER_MOST    ((size_t)64 << 20)
#define REQUEST_WAIT_S 30L

struct answer {
	char *data;
	size_t size;
};

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
	struct answer *answer = context;
	size_t more = size * count; /* curl: size is always 1 */

	if (answer->size + more > ANSWER_MOST)
		return 0;
	char *grown = realloc(answer->data, answer->size + more + 1);
	if (!grown)
		return 0;
	memcpy(grown + answer->size, data, more);
	answer->data = grown;
	answer->size += more;
	return more;
}

static int transfer(const struct curl_library *library, CURL *curl, long *ret_status,
		    struct error *err)
{
	CURLcode code = library->easy_perform(curl);
	if (code == CURLE_COULDNT_CONNECT) {
		error_set(err, "the VM's control socket does not answer");
		return -ECONNREFUSED;
	}
	if (code != CURLE_OK) {
		error_set(err, "the VM's control socket: %s", library->easy_strerror(code));
		return -EPROTO;
	}
	library->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	return 0;
}

static int understand(const struct answer *answer, long status, json_t **ret_answer,
		      struct error *err)
{
	json_t *root = json_loadb(answer->data ? answer->data : "", answer->size,
				  JSON_REJECT_DUPLICATES, NULL);
	if (status >= 200 && status < 300 && root) {
		*ret_answer = root;
		return 0;
	}
	const char *text = json_string_value(json_object_get(root, "error"));
	int r = text ? -EREMOTEIO : -EPROTO;
	if (text)
		error_set(err, "%s", text);
	else
		error_set(err, "the VM's control socket answers HTTP status %ld without JSON",
			  status);
	json_decref(root);
	return r;
}

int control_client_request(int directory_fd, const char *method, const char *path,
			   const json_t *body, json_t **ret_answer, struct error *err)
{
	char socket_path[64];
	char url[512];
	struct answer answer = { 0 };
	long status = 0;

	snprintf(socket_path, sizeof(socket_path), "/proc/self/fd/%d/%s", directory_fd,
		 CONTROL_SOCKET_NAME);
	snprintf(url, sizeof(url), "http://localhost%s", path);
	autofree char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	const struct curl_library *library;
	int r = curl_library_get(&library, err);
	if (r < 0)
		return r;
	CURL *curl = library->easy_init();
	if (!curl || (body && !text)) {
		library->easy_cleanup(curl);
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	library->easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	library->easy_setopt(curl, CURLOPT_URL, url);
	library->easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	library->easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* http_proxy may be set */
	library->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	library->easy_setopt(curl, CURLOPT_TIMEOUT, REQUEST_WAIT_S);
	library->easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	library->easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	if (text)
		library->easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	r = transfer(library, curl, &status, err);
	library->easy_cleanup(curl);
	if (r == 0)
		r = understand(&answer, status, ret_answer, err);
	free(answer.data);
	return r;
}
