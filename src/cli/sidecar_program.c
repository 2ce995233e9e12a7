#include "cli/sidecar_program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

#define NAME "softnet"

static bool is_program(const char *path, int length)
{
	struct stat file;

	return length > 0 && length < PATH_MAX && path[0] == '/' && access(path, X_OK) == 0 &&
	       stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

static bool is_beside(const char *own_path, char ret_path[PATH_MAX])
{
	static const char *const places[] = { "../libexec/tartlet", "../sidecar" };
	const char *slash = own_path ? strrchr(own_path, '/') : NULL;

	for (size_t i = 0; slash && i < ARRAY_COUNT(places); i++) {
		int length = snprintf(ret_path, PATH_MAX, "%.*s/%s/" NAME, (int)(slash - own_path),
				      own_path, places[i]);
		if (is_program(ret_path, length))
			return true;
	}
	return false;
}

static bool is_in(const char *folders, char ret_path[PATH_MAX])
{
	struct text_view rest = text_view_of(folders);
	struct text_view folder;
	bool more = folders[0] != '\0';

	while (more) {
		more = text_view_cut(rest, ':', &folder, &rest);
		int length = snprintf(ret_path, PATH_MAX, "%.*s/" NAME, (int)folder.length,
				      folder.start);
		if (is_program(ret_path, length))
			return true;
	}
	return false;
}

int sidecar_program_find(const char *own_path, const char *search_path, char ret_path[PATH_MAX],
			 struct error *err)
{
	if (is_beside(own_path, ret_path) || (search_path && is_in(search_path, ret_path)))
		return 0;
	error_set(err, NAME
		  " is found neither beside tartlet (libexec/tartlet) nor in PATH: it is part of "
		  "Tartlet, and --net-softnet needs it");
	return -ENOENT;
}
