#include "vm/net_attach.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "scratch.h"
#include "vm/qemu_version.h"

static void test_parse(void **state)
{
	static const char *const bad[] = { "", "vhost", "Stream", "stream ", "tap" };
	enum net_attach attach = NET_ATTACH_AUTO;

	(void)state;
	assert_true(net_attach_parse("vhost-user", &attach));
	assert_int_equal(attach, NET_ATTACH_VHOST_USER);
	assert_true(net_attach_parse("stream", &attach));
	assert_int_equal(attach, NET_ATTACH_STREAM);
	assert_true(net_attach_parse("auto", &attach));
	assert_int_equal(attach, NET_ATTACH_AUTO);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(net_attach_parse(bad[i], &attach));
}

static void test_choose(void **state)
{
	static const struct {
		enum net_attach wanted;
		struct qemu_version version;
		enum accel accel;
		enum net_attach attach;
		bool no_msix;
	} rows[] = {
		/* MSI-X under TCG ends QEMU 7.2 */
		{ NET_ATTACH_AUTO, { 7, 2 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, true },
		{ NET_ATTACH_AUTO, { 8, 0 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, true },
		{ NET_ATTACH_AUTO, { 9, 2 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, true },
		{ NET_ATTACH_AUTO, { 10, 0 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, false },
		{ NET_ATTACH_AUTO, { 11, 1 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, false },
		{ NET_ATTACH_AUTO, { 7, 2 }, ACCEL_KVM, NET_ATTACH_VHOST_USER, false },
		{ NET_ATTACH_AUTO, { 10, 0 }, ACCEL_KVM, NET_ATTACH_VHOST_USER, false },
		/* nobody tried */
		{ NET_ATTACH_AUTO, { 7, 1 }, ACCEL_KVM, NET_ATTACH_STREAM, false },
		{ NET_ATTACH_AUTO, { 6, 9 }, ACCEL_TCG, NET_ATTACH_STREAM, false },
		{ NET_ATTACH_STREAM, { 10, 0 }, ACCEL_KVM, NET_ATTACH_STREAM, false },
		{ NET_ATTACH_STREAM, { 7, 2 }, ACCEL_TCG, NET_ATTACH_STREAM, false },
		{ NET_ATTACH_VHOST_USER, { 7, 2 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, true },
		{ NET_ATTACH_VHOST_USER, { 10, 0 }, ACCEL_TCG, NET_ATTACH_VHOST_USER, false },
		{ NET_ATTACH_VHOST_USER, { 6, 0 }, ACCEL_KVM, NET_ATTACH_VHOST_USER, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct net_attach_choice choice =
			net_attach_choose(rows[i].wanted, &rows[i].version, rows[i].accel);

		if (choice.attach != rows[i].attach || choice.no_msix != rows[i].no_msix)
			fail_msg("row %zu", i);
	}
}

static void test_listen(void **state)
{
	const struct scratch *scratch = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error err = { .text = "" };
	struct stat status;
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/net.sock", scratch->path);
	for (unsigned round = 0; round < 2; round++) { /* the first one is left behind */
		assert_int_equal(net_attach_listen(scratch->fd, "net.sock", &fd, &err), 0);
		assert_int_equal(fstatat(scratch->fd, "net.sock", &status, 0), 0);
		assert_int_equal(status.st_mode & 0777, 0600);
		int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
		int server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(server >= 0);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		close(client);
		close(server);
		close(fd);
	}
}

static void test_listen_fails(void **state)
{
	const struct scratch *scratch = *state;
	struct error err = { .text = "" };
	char name[120];
	int fd;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(net_attach_listen(scratch->fd, name, &fd, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "cannot make the socket"));
	assert_int_equal(mkdirat(scratch->fd, "net.sock", 0700), 0);
	assert_true(net_attach_listen(scratch->fd, "net.sock", &fd, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_choose),
		cmocka_unit_test_setup_teardown(test_listen, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_listen_fails, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
