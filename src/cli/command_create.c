#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/held_signals.h"
#include "cli/command.h"
#include "cli/machine_options.h"
#include "cli/named_vm.h"
#include "cli/seed_options.h"
#include "vm/files.h"
#include "vm/firmware.h"
#include "vm/seed_settings.h"
#include "vm/vm_config.h"

#define CPU_DEFAULT	2
#define MEMORY_DEFAULT	(UINT64_C(1024) << 20)
#define CMDLINE_DEFAULT "console=ttyS0"
#define DISK_DEFAULT	(50 * MACHINE_OPTIONS_GB) /* as in Tart; sparse */

struct create_options {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline; /* NULL = not given */
	bool backing;
	bool linux_empty;
	bool force;
	struct machine_options machine;
	struct seed_options seed;
};

enum {
	KEY_KERNEL = 256,
	KEY_INITRD,
	KEY_CMDLINE,
	KEY_FROM_DISK,
	KEY_BACKING,
	KEY_LINUX,
	KEY_DISK_FORMAT,
	KEY_FORCE,
};

static const struct argp_option options_table[] = {
	{ .name = "kernel", .key = KEY_KERNEL, .arg = "FILE", .doc = "Linux kernel (copied)" },
	{ .name = "initrd", .key = KEY_INITRD, .arg = "FILE", .doc = "initial RAM disk (copied)" },
	{ .name = "cmdline",
	  .key = KEY_CMDLINE,
	  .arg = "TEXT",
	  .doc = "kernel command line (default: console=ttyS0)" },
	{ .name = "from-disk",
	  .key = KEY_FROM_DISK,
	  .arg = "IMAGE",
	  .doc = "disk image, raw or qcow2 (copied); without --kernel it is booted by UEFI" },
	MACHINE_OPTION_DISK("the same as --from-disk"),
	{ .name = "backing",
	  .key = KEY_BACKING,
	  .doc = "do not copy the image: keep what the VM writes in a layer over it" },
	{ .name = "linux", .key = KEY_LINUX, .doc = "an empty disk, booted by UEFI" },
	MACHINE_OPTION_DISK_SIZE(
		"size of the disk in units of 10^9 bytes: an empty one (default with "
		"--linux: 50), or IMAGE grown to it"),
	{ .name = "disk-format",
	  .key = KEY_DISK_FORMAT,
	  .arg = "raw",
	  .doc = "for scripts written for Tart: an empty disk is raw" },
	MACHINE_OPTION_CPU("virtual CPUs (default: 2)"),
	MACHINE_OPTION_MEMORY("memory in MiB (default: 1024)"),
	{ .name = "force", .key = KEY_FORCE, .doc = "replace a VM of that name, unless it runs" },
	{ 0 },
};

static void check_complete(struct argp_state *state, struct create_options *options)
{
	if (!options->kernel && !options->initrd && !options->machine.disk && !options->linux_empty)
		argp_error(state, "please specify --from-disk IMAGE, --linux, or --kernel FILE and "
				  "--initrd FILE");
	if (options->linux_empty && (options->kernel || options->initrd || options->machine.disk))
		argp_error(state, "--linux makes an empty disk: --kernel, --initrd, --disk and "
				  "--from-disk do not go with it");
	if (options->kernel && !options->initrd)
		argp_error(state, "--initrd FILE is missing");
	if (options->initrd && !options->kernel)
		argp_error(state, "--kernel FILE is missing");
	if (options->cmdline && !options->kernel)
		argp_error(state, "--cmdline is for the kernel of --kernel");
	if (options->backing && !options->machine.disk)
		argp_error(state, "--backing is for the image of --from-disk");
	if (options->linux_empty && options->machine.disk_size == 0)
		options->machine.disk_size = DISK_DEFAULT;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct create_options *options = state->input;
	struct error err;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->seed;
		return 0;
	case KEY_KERNEL:
		options->kernel = command_parse_file(state, "--kernel", argument);
		return 0;
	case KEY_INITRD:
		options->initrd = command_parse_file(state, "--initrd", argument);
		return 0;
	case KEY_CMDLINE:
		if (!vm_config_cmdline_check(argument, &err))
			argp_error(state, "%s", err.text);
		options->cmdline = argument;
		return 0;
	case KEY_FROM_DISK:
		options->machine.disk = command_parse_file(state, "--from-disk", argument);
		return 0;
	case KEY_BACKING:
		options->backing = true;
		return 0;
	case KEY_LINUX:
		options->linux_empty = true;
		return 0;
	case KEY_FORCE:
		options->force = true;
		return 0;
	case KEY_DISK_FORMAT:
		if (strcmp(argument, "raw") != 0)
			argp_error(
				state,
				"invalid value \"%s\" for --disk-format: an empty disk is raw, an image "
				"stays what it is",
				argument);
		return 0;
	case ARGP_KEY_END:
		(void)named_vm_parse_only(key, argument, state, &options->name);
		check_complete(state, options);
		return 0;
	default:
		if (machine_options_parse(key, argument, state, &options->machine) == 0)
			return 0;
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
	int r = to_fd < 0 ? -errno : files_copy(from_fd, to_fd, NULL);
	if (r < 0)
		error_set(err, "cannot copy %s: %s", path, strerror(-r));
	return r;
}

static int make_boot(int directory_fd, const struct create_options *options,
		     const struct vm_config *config, struct error *err)
{
	if (config->boot == VM_BOOT_UEFI)
		return firmware_make_variables(directory_fd, err);
	int r = copy_into(directory_fd, config->kernel, options->kernel, err);
	if (r == 0)
		r = copy_into(directory_fd, config->initrd, options->initrd, err);
	return r;
}

static int fill(int directory_fd, const struct create_options *options, struct seed_settings *seed,
		struct error *err)
{
	char kernel[] = "kernel";
	char initrd[] = "initrd";
	char disk[] = "disk.img";
	const struct machine_options *machine = &options->machine;
	bool has_disk = machine->disk || machine->disk_size > 0;
	autofree char *cmdline = strdup(options->cmdline ? options->cmdline : CMDLINE_DEFAULT);
	if (!cmdline) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	struct vm_config config = {
		.cpu_count = machine->cpu_count,
		.memory_size = machine->memory_size,
		.mac = vm_config_random_mac(),
		.display = VM_DISPLAY_DEFAULT,
		.boot = options->kernel ? VM_BOOT_KERNEL : VM_BOOT_UEFI,
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = cmdline,
		.disks = { { .file = disk } },
		.disk_count = has_disk ? 1 : 0,
	};
	int r = make_boot(directory_fd, options, &config, err);
	if (r == 0 && has_disk)
		r = machine_options_make_disk(machine, config.boot, options->backing, directory_fd,
					      disk, &config.disks[0].format, err);
	if (r == 0 && seed_options_given(&options->seed))
		r = seed_settings_save(directory_fd, seed, err);
	if (r == 0)
		r = vm_config_save(directory_fd, &config, err);
	return r;
}

static int make(const struct vm_home *home, const struct create_options *options,
		struct seed_settings *seed, struct error *err)
{
	struct vm_draft draft = { .fd = -1 };

	int r = vm_draft_begin(home, &draft, err);
	if (r < 0)
		return r;
	r = fill(draft.fd, options, seed, err);
	if (r == 0)
		r = named_vm_publish(home, &draft, options->name, options->force, err);
	vm_draft_end(home, &draft);
	return r;
}

static int create(const struct vm_home *home, const struct create_options *options,
		  struct error *err)
{
	struct seed_settings seed = { 0 };
	struct held_signals held;
	int r = seed_options_read(&options->seed, &seed, err);

	if (r == 0)
		r = named_vm_check_new(home, options->name, options->force, err);
	if (r == 0) {
		held_signals_begin(&held);
		r = make(home, options, &seed, err);
		held_signals_end(&held);
	}
	seed_settings_done(&seed);
	return r;
}

int command_create(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &seed_options_argp },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.children = children,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Makes the VM NAME. Kernel, initrd and disk are copied into it.\v"
		       "Examples:\n"
		       "  tartlet create debian --from-disk debian-12-generic-amd64.qcow2 \\\n"
		       "    --ssh-key ~/.ssh/id_ed25519.pub\n"
		       "  tartlet create ci-4 --from-disk base.qcow2 --backing --disk-size 20\n"
		       "  tartlet create empty --linux --disk-size 20\n"
		       "  tartlet create debian --kernel vmlinuz --initrd initrd.img\n"
		       "  tartlet create ci-3 --kernel vmlinuz --initrd initrd.img \\\n"
		       "    --disk root.img --disk-size 20 --cpu 4 --memory 4096 \\\n"
		       "    --cmdline 'root=/dev/vda console=ttyS0'",
	};
	struct create_options options = {
		.machine = { .cpu_count = CPU_DEFAULT, .memory_size = MEMORY_DEFAULT },
	};
	struct vm_home home;
	struct error err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	int code = command_open_home(&home);
	if (code != COMMAND_OK)
		return code;
	int r = create(&home, &options, &err);
	if (r < 0)
		code = command_fail(r == -EBUSY ? COMMAND_VM_STATE : COMMAND_FAILED, &err);
	vm_home_close(&home);
	return code;
}
