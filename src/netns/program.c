#include "netns/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

/* Where execvp() looks when PATH is not set. */
#define PATH_DEFAULT "/bin:/usr/bin"

static int check_file(const char *path)
{
	struct stat status;

	/* Also where a folder of PATH is not for this user: what is in it is not there. */
	if (stat(path, &status) < 0)
		return -ENOENT;
	return S_ISREG(status.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

/* An empty piece of PATH is the working directory. */
static int check_in(struct text_view directory, const char *name)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%.*s%s%s", (int)directory.length,
			      directory.start, directory.length > 0 ? "/" : "", name);

	return length < 0 || (size_t)length >= sizeof(path) ? -ENOENT : check_file(path);
}

static int check_everywhere(const char *name)
{
	const char *path = getenv("PATH");
	struct text_view rest = text_view_of(path ? path : PATH_DEFAULT);
	struct text_view directory;
	bool more = true;
	int found = -ENOENT;

	while (more) {
		more = text_view_cut(rest, ':', &directory, &rest);
		int r = check_in(directory, name);
		if (r == 0)
			return 0;
		if (r == -EACCES)
			found = r;
	}
	return found;
}

int program_check(const char *name, struct error *err)
{
	int r = -ENOENT;

	if (strchr(name, '/'))
		r = check_file(name);
	else if (name[0] != '\0')
		r = check_everywhere(name);
	if (r == 0)
		return 0;
	error_set(err, "cannot run \"%.200s\": %s", name,
		  r == -EACCES ? "it is not a program, or not for this user" : "no such program");
	return r;
}
