#include "vm/saved_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vm/saved_machine.h"
#include "vm/vm_directory.h"
#include "wire/reader.h"

#define NAME_NEW  VM_DIRECTORY_SAVED_STATE ".new"
#define NAME_USED VM_DIRECTORY_SAVED_STATE ".used"

/* The header: this, the length of the JSON text in 32 bits (most significant first), the text. */
static const char magic[] = "tartlet-suspend\n";
#define MAGIC_SIZE  (sizeof(magic) - 1)
#define HEADER_SIZE (MAGIC_SIZE + 4)

bool saved_state_parse(const void *data, size_t size, struct saved_machine *ret_machine)
{
	struct reader reader = reader_of(data, size);
	char begin[MAGIC_SIZE];

	reader_bytes(&reader, begin, sizeof(begin));
	uint32_t length = reader_u32(&reader);
	const uint8_t *text = reader_take(&reader, length);
	return text && memcmp(begin, magic, sizeof(begin)) == 0 &&
	       saved_machine_parse((const char *)text, length, ret_machine);
}

int saved_state_begin(int directory_fd, struct error *err)
{
	autoclose int fd = openat(directory_fd, NAME_NEW,
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && lseek(fd, (off_t)SAVED_STATE_DATA_OFFSET, SEEK_SET) >= 0)
		return fd_take(&fd);
	int r = -errno;
	error_set(err, "cannot make %s: %s", NAME_NEW, strerror(-r));
	return r;
}

static int write_header(int fd, const char *text)
{
	size_t length = strlen(text);
	char head[HEADER_SIZE];

	if (length > SAVED_STATE_DATA_OFFSET - HEADER_SIZE)
		return -EFBIG;
	memcpy(head, magic, MAGIC_SIZE);
	for (size_t i = 0; i < 4; i++)
		head[MAGIC_SIZE + i] = (char)(length >> (24 - 8 * i));
	ssize_t n = pwrite(fd, head, sizeof(head), 0);
	if (n == (ssize_t)sizeof(head))
		n = pwrite(fd, text, length, sizeof(head));
	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -ENOSPC;
}

int saved_state_commit(int directory_fd, int fd, const struct saved_machine *machine,
		       struct error *err)
{
	autofree char *text = saved_machine_format(machine);
	int r = text ? write_header(fd, text) : -ENOMEM;

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(directory_fd, NAME_NEW, directory_fd, VM_DIRECTORY_SAVED_STATE) < 0)
		r = -errno;
	if (r < 0) {
		error_set(err, "cannot write %s: %s", VM_DIRECTORY_SAVED_STATE, strerror(-r));
		return r;
	}
	(void)fsync(directory_fd); /* not every file system can */
	return 0;
}

static int read_header(int fd, struct saved_machine *ret_machine)
{
	autofree char *data = malloc(SAVED_STATE_DATA_OFFSET);
	if (!data)
		return -ENOMEM;
	size_t used = 0;
	while (used < SAVED_STATE_DATA_OFFSET) {
		ssize_t n = read(fd, data + used, SAVED_STATE_DATA_OFFSET - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EINVAL;
		used += (size_t)n;
	}
	return saved_state_parse(data, used, ret_machine) ? 0 : -EINVAL;
}

int saved_state_open(int directory_fd, int *ret_fd, struct saved_machine *ret_machine,
		     struct error *err)
{
	struct stat status = { 0 };
	autoclose int fd = openat(directory_fd, VM_DIRECTORY_SAVED_STATE,
				  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
	if (r == 0)
		r = S_ISREG(status.st_mode) ? read_header(fd, ret_machine) : -EINVAL;
	if (r == -EINVAL)
		error_set(err, "its saved state %s is damaged", VM_DIRECTORY_SAVED_STATE);
	else if (r < 0)
		error_set(err, "its saved state %s cannot be read: %s", VM_DIRECTORY_SAVED_STATE,
			  strerror(-r));
	if (r == 0)
		*ret_fd = fd_take(&fd);
	return r == -ENOENT ? -EIO : r;
}

static int move(int directory_fd, const char *from, const char *to)
{
	if (renameat(directory_fd, from, directory_fd, to) < 0)
		return -errno;
	(void)fsync(directory_fd);
	return 0;
}

int saved_state_set_aside(int directory_fd)
{
	return move(directory_fd, VM_DIRECTORY_SAVED_STATE, NAME_USED);
}

int saved_state_put_back(int directory_fd)
{
	return move(directory_fd, NAME_USED, VM_DIRECTORY_SAVED_STATE);
}

void saved_state_sweep(int directory_fd)
{
	(void)unlinkat(directory_fd, NAME_NEW, 0); /* mostly there is none */
	(void)unlinkat(directory_fd, NAME_USED, 0);
}

int saved_state_remove(int directory_fd, struct error *err)
{
	saved_state_sweep(directory_fd);
	if (unlinkat(directory_fd, VM_DIRECTORY_SAVED_STATE, 0) == 0 || errno == ENOENT)
		return 0;
	int r = -errno;
	error_set(err, "cannot remove %s: %s", VM_DIRECTORY_SAVED_STATE, strerror(-r));
	return r;
}
