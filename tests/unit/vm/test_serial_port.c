#include "vm/serial_port.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"
#include "scratch.h"

static char path[512];

static const char *in_scratch(const struct scratch *scratch, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
	return path;
}

static void test_terminal(void **state)
{
	struct serial_port port = { 0 };
	char name[64], buffer[8];
	int ours, theirs;
	struct termios raw;

	(void)state;
	assert_int_equal(openpty(&ours, &theirs, name, NULL, NULL), 0);
	assert_int_equal(tcgetattr(theirs, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(theirs, TCSANOW, &raw), 0);
	assert_int_equal(serial_port_open(name, &port, NULL), 0);
	assert_int_equal(port.kind, SERIAL_TERMINAL);
	assert_int_equal(fcntl(port.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_true(fcntl(port.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(port.fd, "up", 2), 2);
	assert_int_equal(read(ours, buffer, sizeof(buffer)), 2);
	assert_int_equal(write(ours, "down", 4), 4);
	assert_int_equal(read(port.fd, buffer, sizeof(buffer)), 4);
	fd_close(port.fd);
	fd_close(ours);
	fd_close(theirs);
}

/* What was there stays; one that was not there is the owner's alone. */
static void test_file(void **state)
{
	const struct scratch *scratch = *state;
	struct serial_port port = { 0 };
	struct stat status;
	char buffer[16];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(serial_port_open(in_scratch(scratch, "log"), &port, NULL), 0);
		assert_int_equal(port.kind, SERIAL_OUTPUT);
		assert_int_equal(fcntl(port.fd, F_GETFL) & O_ACCMODE, O_WRONLY);
		assert_int_equal(write(port.fd, "boot", 4), 4);
		fd_close(port.fd);
	}
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	autoclose int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, buffer, sizeof(buffer)), 8);
	assert_int_equal(serial_port_open("/dev/null", &port, NULL), 0);
	assert_int_equal(port.kind, SERIAL_OUTPUT);
	fd_close(port.fd);
}

static void test_pipe(void **state)
{
	const struct scratch *scratch = *state;
	struct serial_port port = { 0 };
	struct error err;

	assert_int_equal(mkfifo(in_scratch(scratch, "pipe"), 0600), 0);
	assert_int_equal(serial_port_open(path, &port, &err), -ENXIO);
	assert_non_null(strstr(err.text, "/pipe: nobody reads from it"));
	autoclose int fd = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(serial_port_open(path, &port, &err), 0);
	assert_int_equal(port.kind, SERIAL_OUTPUT);
	fd_close(port.fd);
}

static void test_refused(void **state)
{
	const struct scratch *scratch = *state;
	struct serial_port port = { .kind = SERIAL_NONE, .fd = -7 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error err;

	assert_int_equal(serial_port_open(scratch->path, &port, &err), -EISDIR);
	assert_non_null(strstr(err.text, "it is a directory"));
	assert_int_equal(serial_port_open(in_scratch(scratch, "no/file"), &port, &err), -ENOENT);
	assert_non_null(strstr(err.text, "No such file"));
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.64s/socket", scratch->path);
	in_scratch(scratch, "socket");
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(serial_port_open(path, &port, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no terminal, character device, pipe or file"));
	assert_int_equal(port.fd, -7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal),
		cmocka_unit_test_setup_teardown(test_file, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_pipe, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refused, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
