#include "vm/seed_documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/seed_settings.h"

static void check(const struct seed_documents *documents, size_t number, const char *path,
		  const char *text)
{
	assert_string_equal(documents->items[number].path, path);
	assert_string_equal(documents->items[number].text, text);
	assert_int_equal(documents->items[number].size, strlen(text));
}

static void test_all(void **state)
{
	static char id[] = "iid-1", first[] = "ssh-ed25519 AAAA me",
		    second[] = "ssh-rsa AAAA a \"b\" \\c", data[] = "#!/bin/sh\necho\n";
	const struct seed_settings settings = {
		.instance_id = id,
		.user_data = data,
		.keys = { first, second },
		.key_count = 2,
	};
	struct seed_documents documents;

	(void)state;
	assert_int_equal(seed_documents_build(&settings, "123", &documents), 0);
	check(&documents, 0, "/seed/meta-data",
	      "instance-id: iid-1\n"
	      "local-hostname: \"123\"\n"
	      "public-keys:\n"
	      "  - \"ssh-ed25519 AAAA me\"\n"
	      "  - \"ssh-rsa AAAA a \\\"b\\\" \\\\c\"\n");
	check(&documents, 1, "/seed/user-data", "#!/bin/sh\necho\n");
	check(&documents, 2, "/seed/vendor-data", "");
	seed_documents_done(&documents);
}

static void test_little(void **state)
{
	static char id[] = "iid-1";
	const struct seed_settings settings = { .instance_id = id };
	struct seed_documents documents;

	(void)state;
	assert_int_equal(seed_documents_build(&settings, NULL, &documents), 0);
	check(&documents, 0, "/seed/meta-data", "instance-id: iid-1\n");
	check(&documents, 1, "/seed/user-data", "#cloud-config\n{}\n");
	seed_documents_done(&documents);
}

static void test_serial(void **state)
{
	const struct ip_addr gateway = ip_addr_from_v4(0xc0a8fffd);
	char serial[SEED_SERIAL_SIZE];

	(void)state;
	seed_documents_serial(&gateway, serial);
	assert_string_equal(serial, "ds=nocloud;dsmode=net;s=http://192.168.255.253/seed/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_serial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
