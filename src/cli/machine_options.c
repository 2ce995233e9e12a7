#include "cli/machine_options.h"

#include "cli/command.h"
#include "cli/progress.h"
#include "vm/disk_make.h"

#define DISK_GB_MOST 65536

error_t machine_options_parse(int key, const char *argument, struct argp_state *state,
			      struct machine_options *options)
{
	switch (key) {
	case MACHINE_KEY_CPU:
		options->cpu_count = (unsigned)command_parse_number(state, "--cpu", argument, 1,
								    VM_CONFIG_CPU_MOST);
		return 0;
	case MACHINE_KEY_MEMORY:
		options->memory_size = (uint64_t)command_parse_number(state, "--memory", argument,
								      VM_CONFIG_MEMORY_LEAST >> 20,
								      VM_CONFIG_MEMORY_MOST >> 20)
				       << 20;
		return 0;
	case MACHINE_KEY_DISK:
		options->disk = command_parse_file(state, "--disk", argument);
		return 0;
	case MACHINE_KEY_DISK_SIZE:
		options->disk_size =
			command_parse_number(state, "--disk-size", argument, 1, DISK_GB_MOST) *
			MACHINE_OPTIONS_GB;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

bool machine_options_given(const struct machine_options *options)
{
	return options->cpu_count > 0 || options->memory_size > 0 || options->disk_size > 0 ||
	       options->disk;
}

int machine_options_make_disk(const struct machine_options *options, enum vm_boot boot,
			      bool backing, int directory_fd, const char *file,
			      enum disk_format *ret_format, struct error *err)
{
	struct progress progress;
	const struct disk_plan plan = {
		.image = options->disk,
		.backing = backing,
		.must_boot = boot == VM_BOOT_UEFI,
		.size = options->disk_size,
		.progress = &progress.files,
	};

	progress_init(&progress, "copying the disk");
	int r = disk_make(directory_fd, file, &plan, ret_format, err);
	progress_done(&progress);
	return r;
}
