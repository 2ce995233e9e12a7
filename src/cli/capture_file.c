#include "cli/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

static int fail(const struct capture_file *file, struct error *err)
{
	int r = -errno;

	error_set(err, "cannot write %s: %s", file->path, strerror(-r));
	return r;
}

int capture_file_open(struct capture_file *file, const char *path, struct error *err)
{
	struct stat status;

	*file = (struct capture_file){ .fd = -1, .path = path };
	if (!path)
		return 0;
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
		file->fd = open(path, O_WRONLY | O_CLOEXEC);
		return file->fd < 0 ? fail(file, err) : 0;
	}
	int length = snprintf(file->beside, sizeof(file->beside), "%s.XXXXXX", path);
	if (length < 0 || (size_t)length >= sizeof(file->beside)) {
		file->beside[0] = '\0';
		errno = ENAMETOOLONG;
		return fail(file, err);
	}
	file->fd = mkostemp(file->beside, O_CLOEXEC); /* mode 0600: others' traffic is in it */
	if (file->fd < 0) {
		int r = fail(file, err);
		file->beside[0] = '\0';
		return r;
	}
	return 0;
}

int capture_file_keep(struct capture_file *file, struct error *err)
{
	if (file->beside[0] != '\0' && rename(file->beside, file->path) < 0)
		return fail(file, err);
	file->beside[0] = '\0';
	return 0;
}

void capture_file_close(struct capture_file *file)
{
	file->fd = fd_close(file->fd);
	if (file->beside[0] != '\0')
		(void)unlink(file->beside); /* it was empty, and has no name that anybody knows */
	file->beside[0] = '\0';
}
