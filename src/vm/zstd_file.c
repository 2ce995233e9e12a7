#include "vm/zstd_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "vm/zstd_library.h"

#define BUFFER_SIZE  ((size_t)1 << 18)
#define THREADS_MOST 8

struct zstd_file {
	const struct zstd_library *library;
	ZSTD_CCtx *context;
	int fd;
	char buffer[BUFFER_SIZE];
};

static int write_out(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* *ret_left: 0 when nothing is left inside. */
static int turn(struct zstd_file *file, ZSTD_inBuffer *input, ZSTD_EndDirective directive,
		size_t *ret_left)
{
	ZSTD_outBuffer output = { .dst = file->buffer, .size = sizeof(file->buffer) };
	size_t left = file->library->compress(file->context, &output, input, directive);

	if (file->library->is_error(left) != 0)
		return -ENOMEM; /* nothing else can fail */
	*ret_left = left;
	return write_out(file->fd, file->buffer, output.pos);
}

int zstd_file_write(struct zstd_file *file, const void *data, size_t size)
{
	ZSTD_inBuffer input = { .src = data, .size = size };
	size_t left;
	int r = 0;

	while (r == 0 && input.pos < input.size)
		r = turn(file, &input, ZSTD_e_continue, &left);
	return r;
}

int zstd_file_finish(struct zstd_file *file)
{
	ZSTD_inBuffer input = { 0 };
	size_t left = 1;
	int r = 0;

	while (r == 0 && left > 0)
		r = turn(file, &input, ZSTD_e_end, &left);
	return r;
}

static int thread_count(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count > THREADS_MOST ? THREADS_MOST : (int)count;
}

int zstd_file_new(int fd, struct zstd_file **ret_file, struct error *err)
{
	const struct zstd_library *library;

	int r = zstd_library_get(&library, err);
	if (r < 0)
		return r;
	struct zstd_file *file = malloc(sizeof(*file));
	ZSTD_CCtx *context = file ? library->create() : NULL;
	if (!context ||
	    library->is_error(library->set_parameter(context, ZSTD_c_checksumFlag, 1)) != 0) {
		error_set(err, "out of memory");
		library->free(context);
		free(file);
		return -ENOMEM;
	}
	/* A library without threads says no, and does it with one. */
	(void)library->set_parameter(context, ZSTD_c_nbWorkers, thread_count());
	file->library = library;
	file->context = context;
	file->fd = fd;
	*ret_file = file;
	return 0;
}

void zstd_file_free(struct zstd_file *file)
{
	if (!file)
		return;
	(void)file->library->free(file->context);
	free(file);
}
