#include "vm/qemu_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/vm_config.h"

static struct vm_config small_config(void)
{
	static char kernel[] = "kernel", initrd[] = "initrd", cmdline[] = "console=ttyS0 quiet";

	return (struct vm_config){
		.cpu_count = 2,
		.memory_size = 256 << 20,
		.display = VM_DISPLAY_DEFAULT,
		.mac = { { 0x02, 0, 0, 0xaa, 0xbb, 0x01 } },
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = cmdline,
	};
}

static void check(const struct qemu_launch *launch, const char *const *expected)
{
	struct qemu_args args;
	size_t count = 0;

	assert_int_equal(qemu_args_build(launch, &args), 0);
	for (; expected[count] && args.argv[count]; count++)
		assert_string_equal(args.argv[count], expected[count]);
	assert_null(expected[count]);
	assert_null(args.argv[count]);
	assert_int_equal(args.count, count);
	qemu_args_done(&args);
}

#define MACHINE                                                                                    \
	"-nodefaults", "-no-user-config", "-sandbox",                                              \
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",         \
		"-machine", "q35"

#define AGENT                                                                                      \
	"-chardev", "socket,id=agent0,path=agent.sock,server=on,wait=off", "-device",              \
		"virtio-serial-pci", "-device",                                                    \
		"virtserialport,chardev=agent0,name=org.qemu.guest_agent.0"

static void test_tcg(void **state)
{
	static const char *const expected[] = {
		"qemu-system-x86_64",
		"-name",
		"guest=ci-3,process=ci-3,debug-threads=on",
		MACHINE,
		"-accel",
		"tcg,thread=single",
		"-cpu",
		"max,erms=off,fsrm=off",
		"-smp",
		"2",
		"-m",
		"256M",
		"-kernel",
		"kernel",
		"-initrd",
		"initrd",
		"-append",
		"console=ttyS0 quiet",
		"-netdev",
		"stream,id=net0,server=off,addr.type=fd,addr.str=11",
		"-device",
		"virtio-net-pci,netdev=net0,mac=02:00:00:aa:bb:01,romfile=",
		AGENT,
		"-device",
		"virtio-rng-pci",
		"-device",
		"virtio-balloon-pci",
		"-chardev",
		"socket,id=qmp0,fd=12",
		"-mon",
		"chardev=qmp0,mode=control",
		"-display",
		"none",
		NULL,
	};
	struct vm_config config = small_config();
	const struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.label = "ci-3",
		.qemu = { 7, 2 },
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_STREAM,
		.net_fd = 11,
		.qmp_fd = 12,
		.agent_path = "agent.sock",
	};

	(void)state;
	check(&launch, expected);
}

static void test_kvm_with_disks_and_console(void **state)
{
	static const char *const expected[] = {
		"qemu-system-x86_64",
		MACHINE,
		"-accel",
		"kvm",
		"-cpu",
		"host,vmx=off,svm=off",
		"-smp",
		"8",
		"-m",
		"4096M",
		"-kernel",
		"kernel",
		"-initrd",
		"initrd",
		"-drive",
		"if=none,id=disk0,format=raw,discard=unmap,file=./disk.img",
		"-device",
		"virtio-blk-pci,drive=disk0",
		"-drive",
		"if=none,id=disk1,format=raw,discard=unmap,file=./nbd:a,,b=c",
		"-device",
		"virtio-blk-pci,drive=disk1",
		"-netdev",
		"stream,id=net0,server=off,addr.type=fd,addr.str=3",
		"-device",
		"virtio-net-pci,netdev=net0,mac=02:00:00:aa:bb:01,romfile=",
		AGENT,
		"-device",
		"virtio-rng-pci",
		"-device",
		"virtio-balloon-pci",
		"-chardev",
		"socket,id=qmp0,fd=4",
		"-mon",
		"chardev=qmp0,mode=control",
		"-display",
		"none",
		"-chardev",
		"stdio,id=console0,mux=on,signal=off",
		"-serial",
		"chardev:console0",
		NULL,
	};
	static char first[] = "disk.img", second[] = "nbd:a,b=c", no_cmdline[] = "";
	struct vm_config config = small_config();
	const struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_KVM,
		.serial.kind = SERIAL_STDIO,
		.net.attach = NET_ATTACH_STREAM,
		.net_fd = 3,
		.qmp_fd = 4,
		.agent_path = "agent.sock",
	};

	(void)state;
	config.cpu_count = 8;
	config.memory_size = UINT64_C(4) << 30;
	config.cmdline = no_cmdline;
	config.disks[0].file = first;
	config.disks[1].file = second;
	config.disk_count = 2;
	check(&launch, expected);
}

static const char *argument_after(const struct qemu_args *args, const char *option, size_t nth)
{
	for (size_t i = 0; i + 1 < args->count; i++) {
		if (strcmp(args->argv[i], option) == 0 && nth-- == 0)
			return args->argv[i + 1];
	}
	fail_msg("no %s", option);
	return NULL;
}

/* The guest's memory is a memfd of its size, shared; the queues are long. */
static void test_vhost_user(void **state)
{
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_VHOST_USER,
		.net_fd = -1,
		.net_path = "net.sock",
		.qmp_fd = 4,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	for (unsigned no_msix = 0; no_msix < 2; no_msix++) {
		launch.net.no_msix = no_msix != 0;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		assert_string_equal(argument_after(&args, "-machine", 0),
				    "q35,memory-backend=mem0");
		assert_string_equal(argument_after(&args, "-object", 0),
				    "memory-backend-memfd,id=mem0,size=256M,share=on");
		assert_string_equal(argument_after(&args, "-m", 0), "256M");
		assert_string_equal(argument_after(&args, "-chardev", 0),
				    "socket,id=net0-control,path=net.sock");
		assert_string_equal(argument_after(&args, "-netdev", 0),
				    "vhost-user,id=net0,chardev=net0-control");
		assert_string_equal(argument_after(&args, "-device", 0),
				    no_msix ? "virtio-net-pci,netdev=net0,mac=02:00:00:aa:bb:01,"
					      "romfile=,rx_queue_size=1024,tx_queue_size=1024,"
					      "vectors=0"
					    : "virtio-net-pci,netdev=net0,mac=02:00:00:aa:bb:01,"
					      "romfile=,rx_queue_size=1024,tx_queue_size=1024");
		qemu_args_done(&args);
	}
}

/* A label must not bring an option of its own. */
static void test_incoming(void **state)
{
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_STREAM,
		.display.window = DISPLAY_WINDOW_OFF,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	for (unsigned incoming = 0; incoming < 2; incoming++) {
		launch.incoming = incoming != 0;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		if (incoming)
			assert_string_equal(argument_after(&args, "-incoming", 0), "defer");
		for (size_t i = 0; i < args.count; i++)
			assert_true(incoming || strcmp(args.argv[i], "-incoming") != 0);
		qemu_args_done(&args);
	}
}

static void test_label_with_commas(void **state)
{
	struct vm_config config = small_config();
	const struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.label = "a,process=x b\xc3\xa4",
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	assert_int_equal(qemu_args_build(&launch, &args), 0);
	assert_string_equal(args.argv[1], "-name");
	assert_string_equal(args.argv[2], "guest=a,,process=x b\xc3\xa4,process=a-process-x-b-,"
					  "debug-threads=on");
	qemu_args_done(&args);
}

/* A VM with firmware, and one option of a disk after the other. */
static void test_firmware_and_disks(void **state)
{
	static const struct {
		struct disk_options options;
		const char *drive;
	} rows[] = {
		{ { 0 }, "if=none,id=disk0,format=qcow2,discard=unmap,file=./disk.img" },
		{ { .read_only = true },
		  "if=none,id=disk0,format=qcow2,discard=unmap,readonly=on,file=./disk.img" },
		{ { .sync = DISK_SYNC_FSYNC },
		  "if=none,id=disk0,format=qcow2,discard=unmap,file=./disk.img" },
		{ { .sync = DISK_SYNC_NONE },
		  "if=none,id=disk0,format=qcow2,discard=unmap,cache.no-flush=on,file=./disk.img" },
		{ { .caching = DISK_CACHING_CACHED },
		  "if=none,id=disk0,format=qcow2,discard=unmap,file=./disk.img" },
		{ { .caching = DISK_CACHING_UNCACHED },
		  "if=none,id=disk0,format=qcow2,discard=unmap,cache.direct=on,file=./disk.img" },
	};
	static const struct qemu_disk extra = { "/dev/a,b", DISK_FORMAT_RAW, { true, 0, 0 } };
	static char root[] = "disk.img";
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_TCG,
		.firmware = "/usr/share/OVMF/CODE.fd",
		.disks = &extra,
		.disk_count = 1,
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	config.boot = VM_BOOT_UEFI;
	config.kernel = config.initrd = config.cmdline = NULL;
	config.disks[0] = (struct vm_config_disk){ root, DISK_FORMAT_QCOW2 };
	config.disk_count = 1;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		launch.root_disk = rows[i].options;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		for (size_t k = 0; k < args.count; k++)
			assert_string_not_equal(args.argv[k], "-kernel");
		assert_string_equal(argument_after(&args, "-drive", 0),
				    "if=pflash,unit=0,format=raw,readonly=on,"
				    "file=/usr/share/OVMF/CODE.fd");
		assert_string_equal(argument_after(&args, "-drive", 1),
				    "if=pflash,unit=1,format=raw,file=./nvram.bin");
		assert_string_equal(argument_after(&args, "-drive", 2), rows[i].drive);
		assert_string_equal(argument_after(&args, "-device", 0),
				    "virtio-blk-pci,drive=disk0,bootindex=0");
		assert_string_equal(argument_after(&args, "-drive", 3),
				    "if=none,id=disk1,format=raw,discard=unmap,readonly=on,"
				    "file=/dev/a,,b");
		assert_string_equal(argument_after(&args, "-device", 1),
				    "virtio-blk-pci,drive=disk1,bootindex=1");
		qemu_args_done(&args);
	}
}

/* The serial port on a descriptor that QEMU inherits. */
/* What the guest finds in /sys/class/dmi/id/product_serial; a comma would begin another option. */
static void test_system_serial(void **state)
{
	struct vm_config config = small_config();
	const struct qemu_launch launch = {
		.config = &config,
		.accel = ACCEL_TCG,
		.display.window = DISPLAY_WINDOW_OFF,
		.system_serial = "ds=nocloud;s=http://10.0.0.1/a,sku=b/",
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;
	size_t found = 0;

	(void)state;
	assert_int_equal(qemu_args_build(&launch, &args), 0);
	for (size_t i = 0; i + 1 < args.count; i++) {
		if (strcmp(args.argv[i], "-smbios") != 0)
			continue;
		assert_string_equal(args.argv[i + 1],
				    "type=1,serial=ds=nocloud;s=http://10.0.0.1/a,,sku=b/");
		found++;
	}
	assert_int_equal(found, 1);
	qemu_args_done(&args);
}

static void test_serial_path(void **state)
{
	static const struct {
		enum serial_kind kind;
		const char *chardev;
	} rows[] = {
		{ SERIAL_TERMINAL, "serial,id=console0,path=/dev/fdset/1" },
		{ SERIAL_OUTPUT, "file,id=console0,path=/dev/fdset/1,append=on" },
	};
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_TCG,
		.serial.fd = 9,
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		launch.serial.kind = rows[i].kind;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		assert_string_equal(argument_after(&args, "-add-fd", 0), "fd=9,set=1");
		assert_string_equal(argument_after(&args, "-chardev", 2), rows[i].chardev);
		assert_string_equal(argument_after(&args, "-serial", 0), "chardev:console0");
		qemu_args_done(&args);
	}
}

/* Only what is asked for; without window and VNC there is no graphics card. */
static void test_displays(void **state)
{
	enum {
		OFF = DISPLAY_WINDOW_OFF,
		ON = DISPLAY_WINDOW_ON
	};
	static const struct {
		struct display display;
		const char *machine;
		const char *rest; /* from -display on */
	} rows[] = {
		{ { .window = DISPLAY_WINDOW_OFF }, "q35", "-display none" },
		{ { .window = DISPLAY_WINDOW_OFF, .capture_system_keys = true },
		  "q35",
		  "-display none" },
		{ { .window = DISPLAY_WINDOW_OFF, .no_keyboard = true },
		  "q35,i8042=off",
		  "-display none" },
		{ { .window = DISPLAY_WINDOW_ON },
		  "q35",
		  "-display gtk -device virtio-vga,xres=1024,yres=768 -device qemu-xhci -device usb-kbd -device "
		  "usb-tablet" },
		{ { .window = DISPLAY_WINDOW_ON, .capture_system_keys = true, .no_pointer = true },
		  "q35,i8042=off",
		  "-display gtk,grab-on-hover=on -device virtio-vga,xres=1024,yres=768 -device qemu-xhci -device "
		  "usb-kbd" },
		{ { .window = DISPLAY_WINDOW_OFF, .vnc = true, .no_keyboard = true },
		  "q35,i8042=off",
		  "-display none -vnc 127.0.0.1:0,to=999,password=on -device virtio-vga,xres=1024,yres=768 -device "
		  "qemu-xhci -device usb-tablet" },
		{ { .window = DISPLAY_WINDOW_ON,
		    .vnc = true,
		    .no_keyboard = true,
		    .no_pointer = true },
		  "q35,i8042=off",
		  "-display gtk -vnc 127.0.0.1:0,to=999,password=on -device virtio-vga,xres=1024,yres=768 -device "
		  "qemu-xhci" },
	};
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char rest[512] = "";
		bool found = false;
		launch.display = rows[i].display;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		assert_string_equal(argument_after(&args, "-machine", 0), rows[i].machine);
		assert_non_null(strstr(argument_after(&args, "-sandbox", 0),
				       rows[i].display.window == DISPLAY_WINDOW_ON
					       ? ",spawn=allow,"
					       : ",spawn=deny,"));
		for (size_t k = 0; k < args.count; k++) {
			found = found || strcmp(args.argv[k], "-display") == 0;
			if (found && rest[0])
				strcat(rest, " ");
			if (found)
				strcat(rest, args.argv[k]);
		}
		assert_string_equal(rest, rows[i].rest);
		qemu_args_done(&args);
	}
}

static void test_nested(void **state)
{
	struct vm_config config = small_config();
	const struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_KVM,
		.nested = true,
		.net.attach = NET_ATTACH_STREAM,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	assert_int_equal(qemu_args_build(&launch, &args), 0);
	assert_string_equal(argument_after(&args, "-cpu", 0), "host");
	qemu_args_done(&args);
}

/* By virtiofs the guest's memory is shared, also where the network does without. */
static void test_shares(void **state)
{
	struct share shares[] = {
		{ .path = "/a,b", .tag = "x,y z", .socket_name = "dir0.sock" },
		{ .path = "/c", .tag = "c", .read_only = true, .socket_name = "dir1.sock" },
	};
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.display.window = DISPLAY_WINDOW_OFF,
		.accel = ACCEL_TCG,
		.net.attach = NET_ATTACH_STREAM,
		.shares = shares,
		.share_count = 2,
		.agent_path = "agent.sock",
	};
	struct qemu_args args;

	(void)state;
	shares[0].transport = shares[1].transport = SHARE_9P;
	assert_int_equal(qemu_args_build(&launch, &args), 0);
	assert_string_equal(argument_after(&args, "-machine", 0), "q35");
	assert_string_equal(argument_after(&args, "-fsdev", 0),
			    "local,id=dir0,security_model=none,multidevs=remap,path=/a,,b");
	assert_string_equal(
		argument_after(&args, "-fsdev", 1),
		"local,id=dir1,security_model=none,multidevs=remap,readonly=on,path=/c");
	assert_string_equal(argument_after(&args, "-device", 5),
			    "virtio-9p-pci,fsdev=dir0,mount_tag=x,,y z");
	assert_string_equal(argument_after(&args, "-device", 6),
			    "virtio-9p-pci,fsdev=dir1,mount_tag=c");
	qemu_args_done(&args);
	shares[0].transport = shares[1].transport = SHARE_VIRTIOFS;
	for (unsigned no_msix = 0; no_msix < 2; no_msix++) {
		launch.shares_have_no_msix = no_msix != 0;
		assert_int_equal(qemu_args_build(&launch, &args), 0);
		assert_string_equal(argument_after(&args, "-machine", 0),
				    "q35,memory-backend=mem0");
		assert_string_equal(argument_after(&args, "-object", 0),
				    "memory-backend-memfd,id=mem0,size=256M,share=on");
		assert_string_equal(argument_after(&args, "-chardev", 2),
				    "socket,id=dir0-control,path=dir0.sock");
		assert_string_equal(argument_after(&args, "-chardev", 3),
				    "socket,id=dir1-control,path=dir1.sock");
		assert_string_equal(
			argument_after(&args, "-device", 5),
			no_msix ? "vhost-user-fs-pci,chardev=dir0-control,vectors=0,tag=x,,y z"
				: "vhost-user-fs-pci,chardev=dir0-control,tag=x,,y z");
		qemu_args_done(&args);
	}
}

static void test_the_most_of_all_fits(void **state)
{
	struct vm_config config = small_config();
	struct qemu_launch launch = {
		.config = &config,
		.display = { .window = DISPLAY_WINDOW_ON, .vnc = true },
		.label = "x",
		.accel = ACCEL_KVM,
		.serial.kind = SERIAL_STDIO,
		.net.attach = NET_ATTACH_VHOST_USER,
		.net_path = "net.sock",
		.agent_path = "agent.sock",
	};
	static struct qemu_disk disks[QEMU_DISK_MOST];
	static char disk[] = "d";
	struct qemu_args args;

	(void)state;
	for (; config.disk_count < VM_CONFIG_DISK_MOST; config.disk_count++)
		config.disks[config.disk_count].file = disk;
	for (; launch.disk_count < QEMU_DISK_MOST; launch.disk_count++)
		disks[launch.disk_count] = (struct qemu_disk){ .path = "/d" };
	launch.disks = disks;
	static struct share shares[SHARE_MOST];
	for (; launch.share_count < SHARE_MOST; launch.share_count++)
		shares[launch.share_count] = (struct share){ "/s", "t", true, SHARE_VIRTIOFS, "s" };
	launch.shares = shares;
	assert_int_equal(qemu_args_build(&launch, &args), 0);
	assert_true(args.count < QEMU_ARGS_COUNT);
	qemu_args_done(&args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcg),
		cmocka_unit_test(test_kvm_with_disks_and_console),
		cmocka_unit_test(test_vhost_user),
		cmocka_unit_test(test_incoming),
		cmocka_unit_test(test_label_with_commas),
		cmocka_unit_test(test_firmware_and_disks),
		cmocka_unit_test(test_system_serial),
		cmocka_unit_test(test_serial_path),
		cmocka_unit_test(test_displays),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_the_most_of_all_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
