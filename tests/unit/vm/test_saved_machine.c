#include "vm/saved_machine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "scratch.h"

/* The arguments of one run, as far as they matter. */
static json_t *make_arguments(void)
{
	char text[] = "qemu-system-x86_64 -name guest=a -machine q35 -accel tcg -netdev "
		      "stream,id=net0,addr.str=7 -device virtio-net-pci,netdev=net0 -serial "
		      "chardev:console0";
	char *argv[16] = { NULL };
	size_t count = 0;
	char *rest;

	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[count++] = word;
	return saved_machine_arguments(argv);
}

static struct saved_machine make(void)
{
	struct saved_machine machine = {
		.qemu = { 7, 2 },
		.accel = ACCEL_TCG,
		.attach = NET_ATTACH_STREAM,
		.cpu_count = 2,
		.memory_size = 256 << 20,
		.arguments = make_arguments(),
		.disk_count = 1,
		.disks[0] = { strdup("/data/\xc3\xa4.img"), DISK_FORMAT_RAW, 4096, false, 77 },
	};

	assert_true(mac_addr_parse("02:00:00:00:00:01", &machine.mac) &&
		    ip_prefix_parse("10.1.2.0/30", &machine.subnet) &&
		    ip_addr_parse("10.1.2.2", &machine.address));
	return machine;
}

static void test_arguments_the_guest_sees(void **state)
{
	static const char *const expected[] = {
		"-machine q35",
		"-accel tcg",
		"-device virtio-net-pci,netdev=net0",
		"-serial",
	};
	json_t *list = make_arguments();

	(void)state;
	assert_int_equal(json_array_size(list), 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(json_string_value(json_array_get(list, i)), expected[i]);
	json_decref(list);
}

static void test_format_and_parse(void **state)
{
	struct saved_machine machine = make();
	char *text = saved_machine_format(&machine);
	struct saved_machine parsed;
	struct error err = { .text = "" };

	(void)state;
	assert_true(saved_machine_parse(text, strlen(text), &parsed));
	assert_true(saved_machine_fits(&machine, &parsed, &err));
	assert_string_equal(err.text, "");
	assert_string_equal(parsed.disks[0].file, machine.disks[0].file);
	assert_int_equal(parsed.disks[0].modified_ns, 77);
	/* No text that was cut is taken. */
	for (size_t i = 0; i < strlen(text); i++)
		assert_false(saved_machine_parse(text, i, &parsed));
	saved_machine_done(&parsed);
	saved_machine_done(&machine);
	free(text);
}

/* What differs, and the sentence about it. */
struct change {
	void (*make)(struct saved_machine *machine);
	const char *sentence;
};

static void other_qemu(struct saved_machine *machine)
{
	machine->qemu = (struct qemu_version){ 10, 0 };
}

static void other_accel(struct saved_machine *machine)
{
	machine->accel = ACCEL_KVM;
}

static void other_attach(struct saved_machine *machine)
{
	machine->attach = NET_ATTACH_VHOST_USER;
}

static void more_cpus(struct saved_machine *machine)
{
	machine->cpu_count = 4;
}

static void more_memory(struct saved_machine *machine)
{
	machine->memory_size = 512 << 20;
}

static void other_mac(struct saved_machine *machine)
{
	machine->mac.octet[5] = 2;
}

static void other_subnet(struct saved_machine *machine)
{
	assert_true(ip_prefix_parse("10.1.3.0/30", &machine->subnet));
}

static void other_address(struct saved_machine *machine)
{
	assert_true(ip_addr_parse("10.1.2.3", &machine->address));
}

static void no_disk(struct saved_machine *machine)
{
	saved_machine_drop_disks(machine);
}

static void read_only(struct saved_machine *machine)
{
	machine->disks[0].read_only = true;
}

static void larger(struct saved_machine *machine)
{
	machine->disks[0].size = 8192;
}

static void written(struct saved_machine *machine)
{
	machine->disks[0].modified_ns++;
}

static void other_device(struct saved_machine *machine)
{
	assert_int_equal(json_array_set_new(machine->arguments, 2, json_string("-device sga")), 0);
}

static void no_console(struct saved_machine *machine)
{
	assert_int_equal(json_array_remove(machine->arguments, 3), 0);
}

static void test_differences(void **state)
{
	static const struct change changes[] = {
		{ other_qemu, "its QEMU was 7.2 when it was suspended, and is 10.0 now" },
		{ other_accel, "its accelerator was tcg when it was suspended, and is kvm now" },
		{ other_attach, "its network attachment was stream when it was suspended, and is "
				"vhost-user now" },
		{ more_cpus, "its number of CPUs was 2 when it was suspended, and is 4 now" },
		{ more_memory, "its memory in MiB was 256 when it was suspended, and is 512 now" },
		{ other_mac, "its MAC address was 02:00:00:00:00:01 when it was suspended, and is "
			     "02:00:00:00:00:02 now" },
		{ other_subnet, "its subnet was 10.1.2.0/30 when it was suspended, and is "
				"10.1.3.0/30 now" },
		{ other_address,
		  "its address was 10.1.2.2 when it was suspended, and is 10.1.2.3 now" },
		{ no_disk, "its number of disks was 1 when it was suspended, and is 0 now" },
		{ read_only,
		  "its disk 1 was /data/\xc3\xa4.img (raw, 4096 bytes) when it was "
		  "suspended, and is /data/\xc3\xa4.img (raw, 4096 bytes, read-only) now" },
		{ larger, "its disk 1 was /data/\xc3\xa4.img (raw, 4096 bytes) when it was "
			  "suspended, and is /data/\xc3\xa4.img (raw, 8192 bytes) now" },
		{ written,
		  "its disk 1, /data/\xc3\xa4.img, was written to since it was suspended" },
		{ other_device, "its machine was -device virtio-net-pci,netdev=net0 when it was "
				"suspended, and is -device sga now" },
		{ no_console, "its machine was -serial when it was suspended, and is without more "
			      "devices now" },
	};
	struct saved_machine then = make();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		struct saved_machine now = make();
		struct error err = { .text = "" };
		changes[i].make(&now);
		assert_false(saved_machine_fits(&then, &now, &err));
		assert_string_equal(err.text, changes[i].sentence);
		saved_machine_done(&now);
	}
	saved_machine_done(&then);
}

static void test_damaged(void **state)
{
	static const struct {
		const char *key;
		const char *value;
	} rows[] = {
		{ "version", "2" },
		{ "program", "\"qemu-system-arm\"" },
		{ "qemu", "[7]" },
		{ "qemu", "[7, 2, 1]" },
		{ "qemu", "[7, -2]" },
		{ "qemu", "[4294967303, 2]" },
		{ "accel", "\"auto\"" },
		{ "attach", "\"auto\"" },
		{ "attach", "7" },
		{ "cpuCount", "0" },
		{ "cpuCount", "4294967298" },
		{ "memorySize", "-1" },
		{ "macAddress", "\"02:00\"" },
		{ "subnet", "\"10.0.0.0/33\"" },
		{ "address", "\"\"" },
		{ "disks", "{}" },
		{ "disks", "[[]]" },
		{ "disks", "[{\"file\": \"a\", \"format\": \"vdi\", \"size\": 1, \"readOnly\": "
			   "false, \"modified\": 0}]" },
		{ "disks", "[{\"file\": \"a\", \"format\": \"raw\", \"size\": -1, \"readOnly\": "
			   "false, \"modified\": 0}]" },
		{ "arguments", "[7]" },
		{ "arguments", "{}" },
		{ "more", "1" },
	};
	struct saved_machine machine = make();
	char *good = saved_machine_format(&machine);
	struct saved_machine parsed;

	(void)state;
	saved_machine_done(&machine);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		json_t *root = json_loads(good, 0, NULL);
		json_object_set_new(root, rows[i].key,
				    json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		char *text = json_dumps(root, 0);
		assert_false(saved_machine_parse(text, strlen(text), &parsed));
		free(text);
		json_decref(root);
	}
	free(good);
}

static void test_looks_at_disks(void **state)
{
	const struct scratch *scratch = *state;
	struct saved_machine machine = { 0 };
	struct qemu_disk disk = { .path = "disk.img", .options.read_only = true };
	struct error err;
	char sectors[1025] = "";

	memset(sectors, 'x', sizeof(sectors) - 1);
	scratch_write(scratch->fd, "disk.img", sectors);
	assert_int_equal(saved_machine_add_disk(&machine, scratch->fd, &disk, true, &err), 0);
	assert_int_equal(saved_machine_add_disk(&machine, scratch->fd, &disk, false, &err), 0);
	assert_int_equal(machine.disk_count, 2);
	assert_int_equal(machine.disks[0].size, 1024);
	assert_true(machine.disks[0].read_only);
	assert_int_equal(machine.disks[0].modified_ns, 0);
	assert_true(machine.disks[1].modified_ns > 0);
	disk.path = "gone.img";
	assert_int_equal(saved_machine_add_disk(&machine, scratch->fd, &disk, true, &err), -ENOENT);
	assert_non_null(strstr(err.text, "gone.img"));
	assert_int_equal(machine.disk_count, 2);
	saved_machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments_the_guest_sees),
		cmocka_unit_test(test_format_and_parse),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test_setup_teardown(test_looks_at_disks, scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
