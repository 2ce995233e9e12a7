#include "vm/qemu_args.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "vm/accel_argument.h"
#include "vm/cpu_model.h"
#include "vm/vm_config.h"
#include "vm/vm_label.h"

struct builder {
	struct qemu_args args;
	bool failed;
};

static void add(struct builder *builder, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct builder *builder, const char *format, ...)
{
	va_list arguments;
	char *text;

	if (builder->failed)
		return;
	assert(builder->args.count < QEMU_ARGS_COUNT);
	va_start(arguments, format);
	builder->failed = vasprintf(&text, format, arguments) < 0;
	va_end(arguments);
	if (!builder->failed)
		builder->args.argv[builder->args.count++] = text;
}

/* In QEMU's option lists a comma inside a value is written twice. The caller frees. */
static char *escape_commas(const char *value)
{
	char *escaped = malloc(2 * strlen(value) + 1);
	char *to = escaped;

	if (!escaped)
		return NULL;
	for (; *value; value++) {
		if (*value == ',')
			*to++ = ',';
		*to++ = *value;
	}
	*to = 0;
	return escaped;
}

static void add_name(struct builder *builder, const char *label)
{
	char safe[VM_LABEL_SAFE_SIZE];

	if (!label)
		return;
	autofree char *guest = escape_commas(label);
	if (!guest) {
		builder->failed = true;
		return;
	}
	vm_label_safe(label, safe);
	add(builder, "-name");
	add(builder, "guest=%s,process=%s,debug-threads=on", guest, safe);
}

static void add_machine(struct builder *builder, const struct qemu_launch *launch)
{
	add(builder, "-nodefaults");
	add(builder, "-no-user-config");
	/* Not -daemonize (it dies of SIGSYS under this filter), and never exec: migration. */
	add(builder, "-sandbox");
	/* A window's toolkit starts programs of the desktop, and dies where it may not. Who has the
	 * desktop can start programs there anyway. */
	add(builder, "on,obsolete=deny,elevateprivileges=deny,spawn=%s,resourcecontrol=deny",
	    launch->display.window == DISPLAY_WINDOW_ON ? "allow" : "deny");
	/* The machine's own keyboard and mouse are one device. */
	const char *ps2 =
		launch->display.no_keyboard || launch->display.no_pointer ? ",i8042=off" : "";
	add(builder, "-machine");
	if (launch->net.attach == NET_ATTACH_VHOST_USER ||
	    share_needs_memory(launch->shares, launch->share_count)) {
		/* Memory that others map too; sealed by default, so that it cannot shrink. */
		add(builder, "q35%s,memory-backend=mem0", ps2);
		add(builder, "-object");
		add(builder, "memory-backend-memfd,id=mem0,size=%" PRIu64 "M,share=on",
		    launch->config->memory_size >> 20);
	} else {
		add(builder, "q35%s", ps2);
	}
	add(builder, "-accel");
	add(builder, "%s", accel_argument_of(launch->accel, &launch->qemu));
	add(builder, "-cpu");
	add(builder, "%s", cpu_model_of(launch->accel, launch->nested, &launch->qemu));
	add(builder, "-smp");
	add(builder, "%u", launch->config->cpu_count);
	add(builder, "-m");
	add(builder, "%" PRIu64 "M", launch->config->memory_size >> 20);
}

/* The tablet's position is absolute: the pointer need not be caught. */
static void add_display(struct builder *builder, const struct display *display,
			const struct vm_display *screen)
{
	bool window = display->window == DISPLAY_WINDOW_ON;

	add(builder, "-display");
	if (window)
		add(builder, "gtk%s", display->capture_system_keys ? ",grab-on-hover=on" : "");
	else
		add(builder, "none");
	if (display->vnc) {
		add(builder, "-vnc");
		add(builder, "127.0.0.1:0,to=999,password=on");
	}
	if (!window && !display->vnc)
		return;
	add(builder, "-device");
	add(builder, "virtio-vga,xres=%u,yres=%u", screen->width, screen->height);
	add(builder, "-device");
	add(builder, "qemu-xhci");
	if (!display->no_keyboard) {
		add(builder, "-device");
		add(builder, "usb-kbd");
	}
	if (!display->no_pointer) {
		add(builder, "-device");
		add(builder, "usb-tablet");
	}
}

/* What the guest reads of its machine (SMBIOS 7.2, System Information). */
static void add_system(struct builder *builder, const char *serial)
{
	if (!serial)
		return;
	autofree char *escaped = escape_commas(serial);
	if (!escaped) {
		builder->failed = true;
		return;
	}
	add(builder, "-smbios");
	add(builder, "type=1,serial=%s", escaped);
}

static void add_kernel(struct builder *builder, const struct vm_config *config)
{
	add(builder, "-kernel");
	add(builder, "%s", config->kernel);
	add(builder, "-initrd");
	add(builder, "%s", config->initrd);
	if (config->cmdline[0]) {
		add(builder, "-append");
		add(builder, "%s", config->cmdline);
	}
}

/* Two flash chips: the code, which all VMs share, and the VM's own variables. */
static void add_firmware(struct builder *builder, const char *code)
{
	add(builder, "-drive");
	add(builder, "if=pflash,unit=0,format=raw,readonly=on,file=%s", code);
	add(builder, "-drive");
	add(builder, "if=pflash,unit=1,format=raw,file=./%s", VM_NVRAM_NAME);
}

static void add_boot(struct builder *builder, const struct qemu_launch *launch)
{
	if (launch->config->boot == VM_BOOT_UEFI)
		add_firmware(builder, launch->firmware);
	else
		add_kernel(builder, launch->config);
}

/* The file's name comes last, so that what is before it can be read. */
static void add_disk(struct builder *builder, const struct qemu_disk *disk, size_t number,
		     bool firmware_boots)
{
	const struct disk_options *options = &disk->options;

	autofree char *file = escape_commas(disk->path);
	if (!file) {
		builder->failed = true;
		return;
	}
	add(builder, "-drive");
	/* "./": a name with a colon would be taken for a protocol. */
	add(builder, "if=none,id=disk%zu,format=%s,discard=unmap%s%s%s,file=%s%s", number,
	    disk_format_name(disk->format), options->read_only ? ",readonly=on" : "",
	    options->caching == DISK_CACHING_UNCACHED ? ",cache.direct=on" : "",
	    options->sync == DISK_SYNC_NONE ? ",cache.no-flush=on" : "", file[0] == '/' ? "" : "./",
	    file);
	add(builder, "-device");
	/* Without an order of its own the firmware would also try the network, which takes long. */
	if (firmware_boots)
		add(builder, "virtio-blk-pci,drive=disk%zu,bootindex=%zu", number, number);
	else
		add(builder, "virtio-blk-pci,drive=disk%zu", number);
}

static void add_disks(struct builder *builder, const struct qemu_launch *launch)
{
	const struct vm_config *config = launch->config;
	bool firmware_boots = config->boot == VM_BOOT_UEFI;

	for (size_t i = 0; i < config->disk_count; i++) {
		struct qemu_disk disk = { config->disks[i].file, config->disks[i].format, { 0 } };
		if (i == 0)
			disk.options = launch->root_disk;
		add_disk(builder, &disk, i, firmware_boots);
	}
	for (size_t i = 0; i < launch->disk_count; i++)
		add_disk(builder, &launch->disks[i], config->disk_count + i, firmware_boots);
}

static void add_network(struct builder *builder, const struct qemu_launch *launch)
{
	char mac[MAC_ADDR_TEXT_SIZE];

	mac_addr_format(&launch->config->mac, mac);
	if (launch->net.attach == NET_ATTACH_VHOST_USER) {
		add(builder, "-chardev");
		add(builder, "socket,id=net0-control,path=%s", launch->net_path);
		add(builder, "-netdev");
		add(builder, "vhost-user,id=net0,chardev=net0-control");
	} else {
		add(builder, "-netdev");
		add(builder, "stream,id=net0,server=off,addr.type=fd,addr.str=%d", launch->net_fd);
	}
	add(builder, "-device");
	/* No option ROM: the kernel is given directly, nothing boots from the network. */
	if (launch->net.attach == NET_ATTACH_VHOST_USER)
		add(builder,
		    "virtio-net-pci,netdev=net0,mac=%s,romfile=,rx_queue_size=1024,"
		    "tx_queue_size=1024%s",
		    mac, launch->net.no_msix ? ",vectors=0" : "");
	else
		add(builder, "virtio-net-pci,netdev=net0,mac=%s,romfile=", mac);
}

/* The name is the one by which qemu-guest-agent knows its port. */
static void add_agent(struct builder *builder, const char *path)
{
	add(builder, "-chardev");
	add(builder, "socket,id=agent0,path=%s,server=on,wait=off", path);
	add(builder, "-device");
	add(builder, "virtio-serial-pci");
	add(builder, "-device");
	add(builder, "virtserialport,chardev=agent0,name=org.qemu.guest_agent.0");
}

static void add_devices(struct builder *builder, const struct qemu_launch *launch)
{
	add(builder, "-device");
	add(builder, "virtio-rng-pci");
	add(builder, "-device");
	add(builder, "virtio-balloon-pci");
	add(builder, "-chardev");
	add(builder, "socket,id=qmp0,fd=%d", launch->qmp_fd);
	add(builder, "-mon");
	add(builder, "chardev=qmp0,mode=control");
}

static void add_share(struct builder *builder, const struct share *share, size_t number,
		      bool no_msix)
{
	autofree char *path = escape_commas(share->path);
	autofree char *tag = escape_commas(share->tag);

	if (!path || !tag) {
		builder->failed = true;
		return;
	}
	if (share->transport == SHARE_VIRTIOFS) {
		/* What is to be read only is so on the other side of the socket. */
		add(builder, "-chardev");
		add(builder, "socket,id=dir%zu-control,path=%s", number, share->socket_name);
		add(builder, "-device");
		add(builder, "vhost-user-fs-pci,chardev=dir%zu-control%s,tag=%s", number,
		    no_msix ? ",vectors=0" : "", tag);
		return;
	}
	add(builder, "-fsdev");
	/* none: files are QEMU's user's, whoever makes them. */
	add(builder, "local,id=dir%zu,security_model=none,multidevs=remap%s,path=%s", number,
	    share->read_only ? ",readonly=on" : "", path);
	add(builder, "-device");
	add(builder, "virtio-9p-pci,fsdev=dir%zu,mount_tag=%s", number, tag);
}

static void add_serial(struct builder *builder, const struct serial_port *serial)
{
	if (serial->kind == SERIAL_NONE)
		return;
	if (serial->kind != SERIAL_STDIO) {
		add(builder, "-add-fd");
		add(builder, "fd=%d,set=1", serial->fd);
	}
	add(builder, "-chardev");
	switch (serial->kind) {
	case SERIAL_NONE:
		break;
	case SERIAL_STDIO:
		/* signal=off: Ctrl-C goes to the guest. mux: Ctrl-A X ends QEMU. */
		add(builder, "stdio,id=console0,mux=on,signal=off");
		break;
	case SERIAL_TERMINAL:
		add(builder, "serial,id=console0,path=/dev/fdset/1");
		break;
	case SERIAL_OUTPUT:
		add(builder, "file,id=console0,path=/dev/fdset/1,append=on");
		break;
	}
	add(builder, "-serial");
	add(builder, "chardev:console0");
}

int qemu_args_build(const struct qemu_launch *launch, struct qemu_args *ret_args)
{
	struct builder builder = { 0 };

	assert(launch->disk_count <= QEMU_DISK_MOST && launch->share_count <= SHARE_MOST);
	assert(launch->display.window != DISPLAY_WINDOW_AUTO);
	assert(launch->accel != ACCEL_AUTO && launch->net.attach != NET_ATTACH_AUTO);
	add(&builder, "%s", QEMU_PROGRAM);
	add_name(&builder, launch->label);
	add_machine(&builder, launch);
	add_system(&builder, launch->system_serial);
	add_boot(&builder, launch);
	add_disks(&builder, launch);
	add_network(&builder, launch);
	add_agent(&builder, launch->agent_path);
	add_devices(&builder, launch);
	for (size_t i = 0; i < launch->share_count; i++)
		add_share(&builder, &launch->shares[i], i, launch->shares_have_no_msix);
	add_display(&builder, &launch->display, &launch->config->display);
	add_serial(&builder, &launch->serial);
	if (launch->incoming) {
		add(&builder, "-incoming");
		add(&builder, "defer");
	}
	if (builder.failed) {
		qemu_args_done(&builder.args);
		return -ENOMEM;
	}
	*ret_args = builder.args;
	return 0;
}

void qemu_args_done(struct qemu_args *args)
{
	for (size_t i = 0; i < args->count; i++)
		free(args->argv[i]);
	*args = (struct qemu_args){ 0 };
}
