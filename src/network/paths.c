#include "network/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int paths_join(char *buffer, size_t size, const char *directory, const char *name,
		      struct error *err)
{
	int length = snprintf(buffer, size, "%s/%s", directory, name);

	if (length >= 0 && (size_t)length < size)
		return 0;
	error_set(err, "the path %.80s... is too long", directory);
	return -ENAMETOOLONG;
}

/* XDG Base Directory Specification: a relative path is to be ignored. */
static const char *paths_environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

int paths_state_directory(char *buffer, size_t size, struct error *err)
{
	const char *directory = paths_environment("XDG_STATE_HOME");

	if (directory)
		return paths_join(buffer, size, directory, "vmnet", err);
	directory = paths_environment("HOME");
	if (directory)
		return paths_join(buffer, size, directory, ".local/state/vmnet", err);
	error_set(err, "neither XDG_STATE_HOME nor HOME is set: give a state directory");
	return -ENOENT;
}

/* The specification wants it to be the user's own: under `su` it may be somebody else's, in whose
 * folder ours must not appear. */
static bool paths_is_own(const char *directory)
{
	struct stat status;

	return stat(directory, &status) == 0 && status.st_uid == geteuid();
}

int paths_runtime_directory(char *buffer, size_t size, struct error *err)
{
	const char *directory = paths_environment("XDG_RUNTIME_DIR");
	char name[32];

	if (directory && paths_is_own(directory))
		return paths_join(buffer, size, directory, "vmnet", err);
	(void)snprintf(name, sizeof(name), "vmnet-%u", (unsigned)geteuid());
	return paths_join(buffer, size, "/tmp", name, err);
}
