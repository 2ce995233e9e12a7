#include "vm/vm_config.h"

#include <errno.h>

#include "base/error.h"
#include "scratch.h"

#define GOOD                                                                                       \
	"{\"version\":1,\"os\":\"linux\",\"arch\":\"amd64\",\"cpuCount\":2,"                       \
	"\"memorySize\":268435456,\"macAddress\":\"02:00:00:00:00:01\",\"kernel\":\"kernel\","     \
	"\"initrd\":\"initrd\",\"cmdline\":\"console=ttyS0\","                                     \
	"\"disks\":[{\"file\":\"disk.img\",\"format\":\"raw\"}]}"

/* GOOD with one piece replaced by another. */
static char *changed(const char *piece, const char *other)
{
	static char text[2048];
	const char *found = strstr(GOOD, piece);

	assert_non_null(found);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(found - GOOD), GOOD, other,
		 found + strlen(piece));
	return text;
}

static void test_parse(void **state)
{
	struct vm_config config;
	struct error err = { .text = "" };

	(void)state;
	assert_int_equal(vm_config_parse(GOOD, strlen(GOOD), &config, &err), 0);
	assert_int_equal(config.cpu_count, 2);
	assert_int_equal(config.memory_size, 256 << 20);
	assert_int_equal(config.mac.octet[0], 2);
	assert_int_equal(config.mac.octet[5], 1);
	assert_string_equal(config.kernel, "kernel");
	assert_string_equal(config.initrd, "initrd");
	assert_string_equal(config.cmdline, "console=ttyS0");
	assert_int_equal(config.boot, VM_BOOT_KERNEL);
	assert_int_equal(config.disk_count, 1);
	assert_int_equal(config.disks[0].format, DISK_FORMAT_RAW);
	assert_string_equal(config.disks[0].file, "disk.img");
	vm_config_done(&config);
}

/* A file that lacks what cannot be written would be no VM any more. */
static void test_no_text(void **state)
{
	static char cmdline[] = "console=\xff";
	struct vm_config config;

	(void)state;
	const char *text = changed("console=ttyS0", "x");
	assert_int_equal(vm_config_parse(text, strlen(text), &config, NULL), 0);
	char *before = config.cmdline;
	config.cmdline = cmdline;
	assert_null(vm_config_format(&config));
	config.cmdline = before;
	vm_config_done(&config);
}

static void test_round_trip(void **state)
{
	struct vm_config config;
	struct vm_config again;

	(void)state;
	const char *text = changed("console=ttyS0", "a=\\\"b c\\\" \\u00e4 \\\\");
	assert_int_equal(vm_config_parse(text, strlen(text), &config, NULL), 0);
	char *printed = vm_config_format(&config);
	assert_non_null(strstr(printed, "\n  \"cpuCount\": 2,\n")); /* for people */
	assert_int_equal(printed[strlen(printed) - 1], '\n');
	assert_int_equal(vm_config_parse(printed, strlen(printed), &again, NULL), 0);
	assert_string_equal(again.cmdline, "a=\"b c\" \xc3\xa4 \\");
	char *twice = vm_config_format(&again);
	assert_string_equal(printed, twice);
	free(twice);
	free(printed);
	vm_config_done(&again);
	vm_config_done(&config);
}

#define KERNEL "\"kernel\":\"kernel\",\"initrd\":\"initrd\",\"cmdline\":\"console=ttyS0\""

/* With firmware there is no kernel; the disk keeps its format. */
static void test_firmware(void **state)
{
	const struct scratch *scratch = *state;
	struct vm_config config;
	struct error err;
	char text[1024];

	snprintf(text, sizeof(text), "%s", changed(KERNEL, "\"firmware\":\"uefi\""));
	memcpy(strstr(text, "\"raw\"}]}"), "\"qcow2\"}]}", sizeof("\"qcow2\"}]}"));
	assert_int_equal(vm_config_parse(text, strlen(text), &config, &err), 0);
	assert_int_equal(config.boot, VM_BOOT_UEFI);
	assert_null(config.kernel);
	assert_int_equal(config.disks[0].format, DISK_FORMAT_QCOW2);
	scratch_write(scratch->fd, "disk.img", "d");
	assert_int_equal(vm_config_save(scratch->fd, &config, &err), 0);
	vm_config_done(&config);
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), -ENOENT);
	assert_string_equal(err.text, "VM is missing files for a supported layout: nvram.bin");
	scratch_write(scratch->fd, "nvram.bin", "n");
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), 0);
	assert_int_equal(config.boot, VM_BOOT_UEFI);
	assert_int_equal(config.disks[0].format, DISK_FORMAT_QCOW2);
	vm_config_done(&config);
}

static void test_refused(void **state)
{
	static const struct {
		const char *piece;
		const char *other;
		const char *reason;
	} rows[] = {
		{ "\"version\":1", "\"version\":2", "\"version\" is 2" },
		{ "\"version\":1,", "", "\"version\" is missing" },
		{ "\"version\":1", "\"version\":\"1\"", "\"version\" should be a whole number" },
		{ "\"version\":1", "\"version\":1,\"x\":0", "does not know" },
		{ "\"version\":1", "\"version\":1,\"version\":1", "line 1" },
		{ "linux", "darwin", "\"os\" is \"darwin\"" },
		{ "amd64", "arm64", "\"arch\" is \"arm64\"" },
		{ "\"cpuCount\":2", "\"cpuCount\":0", "\"cpuCount\" is 0" },
		{ "\"cpuCount\":2", "\"cpuCount\":256", "\"cpuCount\" is 256" },
		{ "\"cpuCount\":2", "\"cpuCount\":-1", "\"cpuCount\" is -1" },
		{ "\"cpuCount\":2", "\"cpuCount\":2.0", "should be a whole number" },
		{ "268435456", "268435457", "whole MiB" },
		{ "268435456", "1048576", "\"memorySize\" is 1048576" },
		{ "268435456", "99999999999999999999", "line 1" },
		{ "02:00:00:00:00:01", "03:00:00:00:00:01", "invalid MAC" },
		{ "02:00:00:00:00:01", "00:00:00:00:00:00", "invalid MAC" },
		{ "02:00:00:00:00:01", "02:00:00:00:00", "invalid MAC" },
		{ "\"kernel\":\"kernel\"", "\"kernel\":\"../kernel\"", "in the VM's directory" },
		{ "\"kernel\":\"kernel\"", "\"kernel\":\"\"", "in the VM's directory" },
		{ "\"kernel\":\"kernel\"", "\"kernel\":\"a\\u0000b\"", "line 1" },
		{ "\"initrd\":\"initrd\"", "\"initrd\":\"/etc/passwd\"", "in the VM's directory" },
		{ "console=ttyS0", "a\\nb", "control character at byte 2" },
		{ "raw", "vmdk", "disk 1: \"format\" is \"vmdk\"" },
		{ "disk.img", "..", "disk 1: \"file\" should name" },
		{ "\"raw\"}", "\"raw\"},3", "disk 2: \"file\" is missing" },
		{ "\"format\":\"raw\"", "\"format\":\"raw\",\"x\":1", "does not know" },
		{ "[{\"file\":\"disk.img\",\"format\":\"raw\"}]", "{}", "should be a list" },
		{ "\"version\":1", "\"version\":1,\"firmware\":\"bios\"",
		  "\"firmware\" is \"bios\", this version knows \"uefi\"" },
		{ "\"version\":1", "\"version\":1,\"firmware\":\"uefi\"", "does not know" },
		{ GOOD, "[]", "not a JSON object" },
		{ GOOD, "", "line 1" },
		{ GOOD, "{", "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vm_config config;
		struct error err = { .text = "" };
		const char *text = changed(rows[i].piece, rows[i].other);
		assert_int_equal(vm_config_parse(text, strlen(text), &config, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].reason));
	}
}

static void test_too_many_disks(void **state)
{
	char disks[1024] = "";
	struct vm_config config;
	struct error err;

	(void)state;
	for (int i = 0; i <= VM_CONFIG_DISK_MOST; i++)
		strcat(disks, i ? ",{\"file\":\"d\",\"format\":\"raw\"}"
				: "{\"file\":\"d\",\"format\":\"raw\"}");
	const char *text = changed("{\"file\":\"disk.img\",\"format\":\"raw\"}", disks);
	assert_int_equal(vm_config_parse(text, strlen(text), &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 8"));
}

static void test_load_and_save(void **state)
{
	const struct scratch *scratch = *state;
	struct vm_config config;
	struct error err;

	assert_int_equal(vm_config_load(scratch->fd, &config, &err), -ENOENT);
	scratch_write(scratch->fd, "config.json", GOOD);
	scratch_write(scratch->fd, "kernel", "k");
	scratch_write(scratch->fd, "initrd", "i");
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), -ENOENT);
	assert_string_equal(err.text, "VM is missing files for a supported layout: disk.img");
	scratch_write(scratch->fd, "disk.img", "d");
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), 0);
	config.mac.octet[5] = 0x42;
	assert_int_equal(vm_config_save(scratch->fd, &config, &err), 0);
	vm_config_done(&config);
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), 0);
	assert_int_equal(config.mac.octet[5], 0x42);
	vm_config_done(&config);
	scratch_write(scratch->fd, "config.json", "{");
	assert_int_equal(vm_config_load(scratch->fd, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "config.json: line 1"));
}

static void test_random_mac(void **state)
{
	struct mac_addr first = vm_config_random_mac();
	bool differs = false;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct mac_addr mac = vm_config_random_mac();
		assert_int_equal(mac.octet[0] & 3, 2);
		differs = differs || !mac_addr_equal(&mac, &first);
	}
	assert_true(differs);
}

static void test_cmdline_length(void **state)
{
	char text[VM_CONFIG_CMDLINE_MOST + 2];
	struct error err;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[VM_CONFIG_CMDLINE_MOST] = 0;
	assert_true(vm_config_cmdline_check(text, &err));
	text[VM_CONFIG_CMDLINE_MOST] = 'x';
	text[VM_CONFIG_CMDLINE_MOST + 1] = 0;
	assert_false(vm_config_cmdline_check(text, &err));
	assert_true(vm_config_cmdline_check("", &err));
	assert_true(vm_config_cmdline_check("a=\xc3\xa4", &err));
	assert_false(vm_config_cmdline_check("a=\xc3", &err));
	assert_string_equal(err.text, "kernel command line is not UTF-8");
}

static void test_display(void **state)
{
	static const char *const bad[] = { "",		 "x",	       "1024",	 "1024x",
					   "x768",	 "1024x768dp", "63x768", "1024x16385",
					   "1024x768x2", " 1024x768",  "px" };
	struct vm_display display;

	(void)state;
	assert_true(vm_display_parse("1920x1080", &display));
	assert_int_equal(display.width, 1920);
	assert_int_equal(display.height, 1080);
	assert_true(vm_display_parse("64x16384pt", &display));
	assert_int_equal(display.height, 16384);
	assert_true(vm_display_parse("640x480px", &display));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(vm_display_parse(bad[i], &display));
	assert_int_equal(display.width, 640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test_setup_teardown(test_firmware, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_disks),
		cmocka_unit_test_setup_teardown(test_load_and_save, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_random_mac),
		cmocka_unit_test(test_cmdline_length),
		cmocka_unit_test(test_display),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
