/* A config.json of any bytes: what is taken lies within its limits and is written so that it is
 * read the same; what is refused gets a sentence. */

#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "vm/vm_config.h"

static void check_file_name(const char *name)
{
	FUZZ_CHECK(name[0] != '\0' && name[0] != '.' && !strchr(name, '/'));
}

static void check_limits(const struct vm_config *config)
{
	FUZZ_CHECK(config->cpu_count >= 1 && config->cpu_count <= VM_CONFIG_CPU_MOST);
	FUZZ_CHECK(config->memory_size >= VM_CONFIG_MEMORY_LEAST);
	FUZZ_CHECK(config->memory_size <= VM_CONFIG_MEMORY_MOST);
	FUZZ_CHECK(!mac_addr_is_multicast(&config->mac) && !mac_addr_is_zero(&config->mac));
	FUZZ_CHECK(config->disk_count <= VM_CONFIG_DISK_MOST);
	if (config->boot == VM_BOOT_KERNEL) {
		FUZZ_CHECK(strlen(config->cmdline) <= VM_CONFIG_CMDLINE_MOST);
		check_file_name(config->kernel);
		check_file_name(config->initrd);
	} else {
		FUZZ_CHECK(!config->kernel && !config->initrd && !config->cmdline);
	}
	for (size_t i = 0; i < config->disk_count; i++)
		check_file_name(config->disks[i].file);
}

static void check_again(const struct vm_config *config)
{
	char *text = vm_config_format(config);
	struct vm_config again;

	FUZZ_CHECK(text && vm_config_parse(text, strlen(text), &again, NULL) == 0);
	char *text_again = vm_config_format(&again);
	FUZZ_CHECK(text_again && strcmp(text, text_again) == 0);
	vm_config_done(&again);
	free(text_again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { .text = "" };
	struct vm_config config;

	if (vm_config_parse((const char *)data, size, &config, &err) < 0) {
		FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < ERROR_TEXT_SIZE);
		return 0;
	}
	FUZZ_CHECK(err.text[0] == '\0');
	check_limits(&config);
	check_again(&config);
	vm_config_done(&config);
	return 0;
}
