#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "vm/files.h"
#include "vm/vm_config.h"

#define CPU_DEFAULT	2
#define MEMORY_DEFAULT	1024 /* MiB */
#define CMDLINE_DEFAULT "console=ttyS0"
#define DISK_GB_MOST	65536
#define GB		UINT64_C(1000000000) /* as in Tart; whole sectors of 512 bytes */

struct create_options {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *disk;
	unsigned long disk_gb; /* 0 = not given */
	unsigned cpu_count;
	unsigned long memory_mb;
};

enum {
	KEY_KERNEL = 256,
	KEY_INITRD,
	KEY_CMDLINE,
	KEY_DISK,
	KEY_DISK_SIZE,
	KEY_CPU,
	KEY_MEMORY,
};

static const struct argp_option options_table[] = {
	{ .name = "kernel", .key = KEY_KERNEL, .arg = "FILE", .doc = "Linux kernel (copied)" },
	{ .name = "initrd", .key = KEY_INITRD, .arg = "FILE", .doc = "initial RAM disk (copied)" },
	{ .name = "cmdline",
	  .key = KEY_CMDLINE,
	  .arg = "TEXT",
	  .doc = "kernel command line (default: console=ttyS0)" },
	{ .name = "disk", .key = KEY_DISK, .arg = "FILE", .doc = "raw disk image (copied)" },
	{ .name = "disk-size",
	  .key = KEY_DISK_SIZE,
	  .arg = "GB",
	  .doc = "size of the disk in units of 10^9 bytes: an empty one, or FILE grown to it" },
	{ .name = "cpu", .key = KEY_CPU, .arg = "N", .doc = "virtual CPUs (default: 2)" },
	{ .name = "memory",
	  .key = KEY_MEMORY,
	  .arg = "MB",
	  .doc = "memory in MiB (default: 1024)" },
	{ 0 },
};

static void check_complete(struct argp_state *state, const struct create_options *options)
{
	if (!options->kernel)
		argp_error(state, "--kernel FILE is missing");
	if (!options->initrd)
		argp_error(state, "--initrd FILE is missing");
}

static const char *parse_path(struct argp_state *state, const char *option, const char *argument)
{
	if (!argument[0])
		argp_error(state, "%s needs the name of a file", option);
	return argument;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct create_options *options = state->input;
	struct error err;

	switch (key) {
	case KEY_KERNEL:
		options->kernel = parse_path(state, "--kernel", argument);
		return 0;
	case KEY_INITRD:
		options->initrd = parse_path(state, "--initrd", argument);
		return 0;
	case KEY_CMDLINE:
		if (!vm_config_cmdline_check(argument, &err))
			argp_error(state, "%s", err.text);
		options->cmdline = argument;
		return 0;
	case KEY_DISK:
		options->disk = parse_path(state, "--disk", argument);
		return 0;
	case KEY_DISK_SIZE:
		options->disk_gb =
			command_parse_number(state, "--disk-size", argument, 1, DISK_GB_MOST);
		return 0;
	case KEY_CPU:
		options->cpu_count = (unsigned)command_parse_number(state, "--cpu", argument, 1,
								    VM_CONFIG_CPU_MOST);
		return 0;
	case KEY_MEMORY:
		options->memory_mb = command_parse_number(state, "--memory", argument,
							  VM_CONFIG_MEMORY_LEAST >> 20,
							  VM_CONFIG_MEMORY_MOST >> 20);
		return 0;
	case ARGP_KEY_END:
		(void)named_vm_parse_only(key, argument, state, &options->name);
		check_complete(state, options);
		return 0;
	default:
		return named_vm_parse_only(key, argument, state, &options->name);
	}
}

static int open_source(const char *path, struct error *err)
{
	struct stat status = {};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
	if (r < 0) {
		error_set(err, "cannot read %s: %s", path, strerror(-r));
	} else if (!S_ISREG(status.st_mode) || status.st_size == 0) {
		error_set(err, "%s is not a regular file with content", path);
		r = -EINVAL;
	}
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return fd;
}

static int copy_into(int directory_fd, const char *name, const char *path, struct error *err)
{
	autoclose int from_fd = open_source(path, err);
	if (from_fd < 0)
		return from_fd;
	autoclose int to_fd =
		openat(directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = to_fd < 0 ? -errno : files_copy(from_fd, to_fd);
	if (r < 0)
		error_set(err, "cannot copy %s: %s", path, strerror(-r));
	return r;
}

/* A raw image has no mark of its own; one of QEMU's other formats has. */
static int check_raw(const char *path, struct error *err)
{
	static const char qcow_magic[] = { 'Q', 'F', 'I', (char)0xfb };
	char start[sizeof(qcow_magic)];
	autoclose int fd = open_source(path, err);
	if (fd < 0)
		return fd;
	if (pread(fd, start, sizeof(start), 0) == (ssize_t)sizeof(start) &&
	    memcmp(start, qcow_magic, sizeof(start)) == 0) {
		error_set(err, "%s is a qcow2 image: convert it with qemu-img convert -O raw",
			  path);
		return -EINVAL;
	}
	return 0;
}

static int make_disk(int directory_fd, const struct create_options *options, struct error *err)
{
	struct stat status = {};
	uint64_t size = options->disk_gb * GB;

	if (options->disk) {
		int r = check_raw(options->disk, err);
		if (r == 0)
			r = copy_into(directory_fd, "disk.img", options->disk, err);
		if (r < 0 || size == 0)
			return r;
	}
	autoclose int fd = openat(directory_fd, "disk.img", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
	if (r == 0 && (uint64_t)status.st_size > size) {
		error_set(err,
			  "new disk size of %llu bytes should be larger than the current disk "
			  "size of %llu bytes",
			  (unsigned long long)size, (unsigned long long)status.st_size);
		return -EINVAL;
	}
	if (r == 0 && ftruncate(fd, (off_t)size) < 0)
		r = -errno;
	if (r < 0)
		error_set(err, "cannot make the disk: %s", strerror(-r));
	return r;
}

static int fill(int directory_fd, const struct create_options *options, struct error *err)
{
	char kernel[] = "kernel";
	char initrd[] = "initrd";
	char disk[] = "disk.img";
	bool has_disk = options->disk || options->disk_gb > 0;
	autofree char *cmdline = strdup(options->cmdline);
	if (!cmdline) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	struct vm_config config = {
		.cpu_count = options->cpu_count,
		.memory_size = (uint64_t)options->memory_mb << 20,
		.mac = vm_config_random_mac(),
		.kernel = kernel,
		.initrd = initrd,
		.disks = { disk },
		.disk_count = has_disk ? 1 : 0,
		.cmdline = cmdline,
	};
	int r = copy_into(directory_fd, kernel, options->kernel, err);
	if (r == 0)
		r = copy_into(directory_fd, initrd, options->initrd, err);
	if (r == 0 && has_disk)
		r = make_disk(directory_fd, options, err);
	if (r == 0)
		r = vm_config_save(directory_fd, &config, err);
	return r;
}

static int create(const struct vm_home *home, const struct create_options *options,
		  struct error *err)
{
	struct vm_draft draft;

	/* Before the copies, which may take long; publishing decides. */
	if (faccessat(home->vms_fd, options->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		error_set(err, "VM \"%s\" already exists", options->name);
		return -EEXIST;
	}
	int r = vm_draft_begin(home, &draft, err);
	if (r < 0)
		return r;
	r = fill(draft.fd, options, err);
	if (r == 0)
		r = vm_draft_publish(home, &draft, options->name, err);
	vm_draft_end(home, &draft);
	return r;
}

int command_create(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Makes the VM NAME. Kernel, initrd and disk are copied into it.\v"
		       "Examples:\n"
		       "  tartlet create debian --kernel vmlinuz --initrd initrd.img\n"
		       "  tartlet create ci-3 --kernel vmlinuz --initrd initrd.img \\\n"
		       "    --disk root.img --disk-size 20 --cpu 4 --memory 4096 \\\n"
		       "    --cmdline 'root=/dev/vda console=ttyS0'",
	};
	struct create_options options = {
		.cmdline = CMDLINE_DEFAULT,
		.cpu_count = CPU_DEFAULT,
		.memory_mb = MEMORY_DEFAULT,
	};
	struct vm_home home;
	struct error err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	if (create(&home, &options, &err) < 0)
		code = command_fail(COMMAND_FAILED, &err);
	vm_home_close(&home);
	return code;
}
