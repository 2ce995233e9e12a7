#include "vm/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_mount_command(void **state)
{
	static const struct {
		struct share share;
		const char *command;
	} rows[] = {
		{ { .tag = "src", .transport = SHARE_VIRTIOFS }, "mount -t virtiofs src /mnt" },
		{ { .tag = "src", .transport = SHARE_VIRTIOFS, .read_only = true },
		  "mount -t virtiofs -o ro src /mnt" },
		{ { .tag = "a $b", .transport = SHARE_VIRTIOFS }, "mount -t virtiofs 'a $b' /mnt" },
		{ { .tag = "com.apple.virtio-fs.automount", .transport = SHARE_9P },
		  "mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 "
		  "com.apple.virtio-fs.automount /mnt" },
		{ { .tag = "a b", .transport = SHARE_9P, .read_only = true },
		  "mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,ro 'a b' /mnt" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char buffer[SHARE_MOUNT_SIZE];
		assert_string_equal(share_mount_command(&rows[i].share, buffer), rows[i].command);
	}
}

static void test_transports(void **state)
{
	static const struct share shares[] = { { .transport = SHARE_9P },
					       { .transport = SHARE_VIRTIOFS } };
	enum share_transport transport;

	(void)state;
	assert_true(share_transport_parse("auto", &transport) && transport == SHARE_AUTO);
	assert_true(share_transport_parse("virtiofs", &transport) && transport == SHARE_VIRTIOFS);
	assert_true(share_transport_parse("9p", &transport) && transport == SHARE_9P);
	assert_false(share_transport_parse("", &transport));
	assert_false(share_transport_parse("9P", &transport));
	assert_false(share_needs_memory(shares, 0));
	assert_false(share_needs_memory(shares, 1));
	assert_true(share_needs_memory(shares, 2));
	assert_false(share_forbids_saving(shares, 0));
	assert_true(share_forbids_saving(shares, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_command),
		cmocka_unit_test(test_transports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
