#include "vm/vm_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/random.h"
#include "base/text.h"
#include "base/utf8.h"
#include "vm/files.h"

#define CONFIG_MOST ((size_t)64 * 1024)

void vm_config_done(struct vm_config *config)
{
	free(config->kernel);
	free(config->initrd);
	free(config->cmdline);
	for (size_t i = 0; i < config->disk_count; i++)
		free(config->disks[i].file);
	*config = (struct vm_config){ 0 };
}

bool vm_config_cmdline_check(const char *cmdline, struct error *err)
{
	size_t length = strlen(cmdline);

	if (length > VM_CONFIG_CMDLINE_MOST) {
		error_set(err, "kernel command line is too long: %zu bytes, at most %d are allowed",
			  length, VM_CONFIG_CMDLINE_MOST);
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)cmdline[i];
		if (byte < 0x20 || byte == 0x7f) {
			error_set(err, "kernel command line has a control character at byte %zu",
				  i + 1);
			return false;
		}
	}
	if (!utf8_is_valid(cmdline)) {
		error_set(err, "kernel command line is not UTF-8");
		return false;
	}
	return true;
}

/* The reader of one JSON object: each key is asked for once, then nothing may be left over. */
struct fields {
	json_t *object;
	size_t known;
	struct error *err;
	bool failed;
};

static json_t *take(struct fields *fields, const char *key, json_type type, const char *type_name)
{
	json_t *value = json_object_get(fields->object, key);

	if (fields->failed)
		return NULL;
	if (!value || json_typeof(value) != type) {
		error_set(fields->err, value ? "\"%s\" should be %s" : "\"%s\" is missing (%s)",
			  key, type_name);
		fields->failed = true;
		return NULL;
	}
	fields->known++;
	return value;
}

static uint64_t take_number(struct fields *fields, const char *key, uint64_t least, uint64_t most)
{
	json_t *value = take(fields, key, JSON_INTEGER, "a whole number");
	if (!value)
		return 0;
	json_int_t number = json_integer_value(value);
	if (number < 0 || (uint64_t)number < least || (uint64_t)number > most) {
		error_set(fields->err, "\"%s\" is %lld, should be %llu to %llu", key,
			  (long long)number, (unsigned long long)least, (unsigned long long)most);
		fields->failed = true;
		return 0;
	}
	return (uint64_t)number;
}

/* Borrowed; NULL after a failure. */
static const char *take_text(struct fields *fields, const char *key)
{
	json_t *value = take(fields, key, JSON_STRING, "a text");
	if (!value)
		return NULL;
	if (strlen(json_string_value(value)) != json_string_length(value)) {
		error_set(fields->err, "\"%s\" contains a zero byte", key);
		fields->failed = true;
		return NULL;
	}
	return json_string_value(value);
}

static void require_text(struct fields *fields, const char *key, const char *wanted)
{
	const char *text = take_text(fields, key);

	if (text && strcmp(text, wanted) != 0) {
		error_set(fields->err, "\"%s\" is \"%s\", this version knows \"%s\"", key, text,
			  wanted);
		fields->failed = true;
	}
}

static void keep(struct fields *fields, const char *text, char **ret_copy)
{
	if (fields->failed || !text)
		return;
	*ret_copy = strdup(text);
	if (!*ret_copy) {
		error_set(fields->err, "out of memory");
		fields->failed = true;
	}
}

/* The name of a file in the VM's directory. */
static void take_file(struct fields *fields, const char *key, char **ret_name)
{
	const char *name = take_text(fields, key);

	if (name && (!name[0] || name[0] == '.' || strchr(name, '/'))) {
		error_set(fields->err, "\"%s\" should name a file in the VM's directory", key);
		fields->failed = true;
	}
	keep(fields, name, ret_name);
}

static void finish(struct fields *fields)
{
	if (!fields->failed && json_object_size(fields->object) != fields->known) {
		error_set(fields->err, "it has a key that version %d does not know",
			  VM_CONFIG_VERSION);
		fields->failed = true;
	}
}

static void take_format(struct fields *fields, enum disk_format *ret_format)
{
	const char *name = take_text(fields, "format");

	if (name && !disk_format_parse(name, ret_format)) {
		error_set(fields->err, "\"format\" is \"%s\", this version knows raw and qcow2",
			  name);
		fields->failed = true;
	}
}

static void take_disks(struct fields *fields, struct vm_config *config)
{
	json_t *disks = take(fields, "disks", JSON_ARRAY, "a list");
	size_t i;
	json_t *disk;

	if (disks && json_array_size(disks) > VM_CONFIG_DISK_MOST) {
		error_set(fields->err, "\"disks\" has more than %d entries", VM_CONFIG_DISK_MOST);
		fields->failed = true;
	}
	if (fields->failed)
		return;
	json_array_foreach(disks, i, disk)
	{
		struct fields inner = { .object = disk, .err = fields->err };
		struct vm_config_disk *taken = &config->disks[config->disk_count];
		take_file(&inner, "file", &taken->file);
		if (taken->file)
			config->disk_count++;
		take_format(&inner, &taken->format);
		finish(&inner);
		if (inner.failed) {
			error_prefix(fields->err, "disk %zu", i + 1);
			fields->failed = true;
			return;
		}
	}
}

/* Without that key it is the default. */
static void take_display(struct fields *fields, struct vm_config *config)
{
	config->display = VM_DISPLAY_DEFAULT;
	if (!json_object_get(fields->object, "display"))
		return;
	struct fields inner = {
		.object = take(fields, "display", JSON_OBJECT, "an object"),
		.err = fields->err,
		.failed = fields->failed,
	};
	config->display.width =
		(unsigned)take_number(&inner, "width", VM_DISPLAY_LEAST, VM_DISPLAY_MOST);
	config->display.height =
		(unsigned)take_number(&inner, "height", VM_DISPLAY_LEAST, VM_DISPLAY_MOST);
	finish(&inner);
	if (inner.failed && !fields->failed)
		error_prefix(fields->err, "display");
	fields->failed = inner.failed;
}

/* A config.json from before there was firmware has no such key. */
static void take_boot(struct fields *fields, struct vm_config *config)
{
	config->boot = VM_BOOT_KERNEL;
	if (json_object_get(fields->object, "firmware")) {
		require_text(fields, "firmware", "uefi");
		config->boot = VM_BOOT_UEFI;
		return;
	}
	take_file(fields, "kernel", &config->kernel);
	take_file(fields, "initrd", &config->initrd);
	const char *cmdline = take_text(fields, "cmdline");
	if (cmdline && !vm_config_cmdline_check(cmdline, fields->err))
		fields->failed = true;
	keep(fields, cmdline, &config->cmdline);
}

static void take_all(struct fields *fields, struct vm_config *config)
{
	(void)take_number(fields, "version", VM_CONFIG_VERSION, VM_CONFIG_VERSION);
	require_text(fields, "os", "linux");
	require_text(fields, "arch", "amd64");
	config->cpu_count = (unsigned)take_number(fields, "cpuCount", 1, VM_CONFIG_CPU_MOST);
	config->memory_size =
		take_number(fields, "memorySize", VM_CONFIG_MEMORY_LEAST, VM_CONFIG_MEMORY_MOST);
	if (!fields->failed && config->memory_size % (1U << 20) != 0) {
		error_set(fields->err, "\"memorySize\" should be whole MiB (1048576 bytes)");
		fields->failed = true;
	}
	const char *mac = take_text(fields, "macAddress");
	if (mac && (!mac_addr_parse(mac, &config->mac) || mac_addr_is_multicast(&config->mac) ||
		    mac_addr_is_zero(&config->mac))) {
		error_set(fields->err, "\"macAddress\": invalid MAC address \"%s\"", mac);
		fields->failed = true;
	}
	take_display(fields, config);
	take_boot(fields, config);
	take_disks(fields, config);
	finish(fields);
}

int vm_config_parse(const char *text, size_t size, struct vm_config *ret_config, struct error *err)
{
	json_error_t json_error;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &json_error);
	if (!root) {
		error_set(err, "line %d: %s", json_error.line, json_error.text);
		return -EINVAL;
	}
	struct vm_config config = { 0 };
	struct fields fields = { .object = root, .err = err };
	if (json_is_object(root)) {
		take_all(&fields, &config);
	} else {
		error_set(err, "not a JSON object");
		fields.failed = true;
	}
	json_decref(root);
	if (fields.failed) {
		vm_config_done(&config);
		return -EINVAL;
	}
	*ret_config = config;
	return 0;
}

/* Takes the value over. False: there is none, for want of memory or since its text is no UTF-8. */
static bool put(json_t *root, const char *key, json_t *value)
{
	return json_object_set_new(root, key, value) == 0;
}

static bool format_boot(json_t *root, const struct vm_config *config)
{
	if (config->boot == VM_BOOT_UEFI)
		return put(root, "firmware", json_string("uefi"));
	return put(root, "kernel", json_string(config->kernel)) &&
	       put(root, "initrd", json_string(config->initrd)) &&
	       put(root, "cmdline", json_string(config->cmdline));
}

static bool format_display(json_t *root, const struct vm_display *display)
{
	const struct vm_display usual = VM_DISPLAY_DEFAULT;

	if (display->width == 0 ||
	    (display->width == usual.width && display->height == usual.height))
		return true;
	return put(
		root, "display",
		json_pack("{sisi}", "width", (int)display->width, "height", (int)display->height));
}

static bool format_disks(json_t *root, const struct vm_config *config)
{
	json_t *disks = json_array();
	bool good = put(root, "disks", disks);

	for (size_t i = 0; good && i < config->disk_count; i++)
		good = json_array_append_new(
			       disks, json_pack("{ssss}", "file", config->disks[i].file, "format",
						disk_format_name(config->disks[i].format))) == 0;
	return good;
}

char *vm_config_format(const struct vm_config *config)
{
	char mac[MAC_ADDR_TEXT_SIZE];
	char *text = NULL;
	json_t *root =
		json_pack("{sissss}", "version", VM_CONFIG_VERSION, "os", "linux", "arch", "amd64");

	/* All of it or nothing: a file that lacks a key would be no VM any more. */
	bool good = put(root, "cpuCount", json_integer((json_int_t)config->cpu_count)) &&
		    put(root, "memorySize", json_integer((json_int_t)config->memory_size)) &&
		    put(root, "macAddress", json_string(mac_addr_format(&config->mac, mac))) &&
		    format_display(root, &config->display) && format_boot(root, config) &&
		    format_disks(root, config);
	char *body = good ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	if (body && asprintf(&text, "%s\n", body) < 0)
		text = NULL;
	free(body);
	return text;
}

static int check_files(int directory_fd, const struct vm_config *config, struct error *err)
{
	const char *names[2 + VM_CONFIG_DISK_MOST];
	size_t count = 0;

	if (config->boot == VM_BOOT_UEFI) {
		names[count++] = VM_NVRAM_NAME;
	} else {
		names[count++] = config->kernel;
		names[count++] = config->initrd;
	}
	for (size_t i = 0; i < config->disk_count; i++)
		names[count++] = config->disks[i].file;
	for (size_t i = 0; i < count; i++) {
		struct stat status;
		if (fstatat(directory_fd, names[i], &status, 0) < 0) {
			int r = -errno;
			error_set(err, "VM is missing files for a supported layout: %s", names[i]);
			return r;
		}
	}
	return 0;
}

int vm_config_load(int directory_fd, struct vm_config *ret_config, struct error *err)
{
	autofree char *text = NULL;
	size_t size;
	struct vm_config config;

	int r = files_read(directory_fd, "config.json", CONFIG_MOST, &text, &size);
	if (r < 0) {
		error_set(err, "cannot read config.json: %s", strerror(-r));
		return r;
	}
	r = vm_config_parse(text, size, &config, err);
	if (r < 0) {
		error_prefix(err, "config.json");
		return r;
	}
	r = check_files(directory_fd, &config, err);
	if (r < 0) {
		vm_config_done(&config);
		return r;
	}
	*ret_config = config;
	return 0;
}

int vm_config_save(int directory_fd, const struct vm_config *config, struct error *err)
{
	autofree char *text = vm_config_format(config);
	int r = text ? files_write_atomic(directory_fd, "config.json", text, strlen(text))
		     : -ENOMEM;

	if (r < 0)
		error_set(err, "cannot write config.json: %s", strerror(-r));
	return r;
}

static bool parse_side(struct text_view view, unsigned *ret_side)
{
	uint64_t side;

	if (!text_parse_u64(view, VM_DISPLAY_MOST, &side) || side < VM_DISPLAY_LEAST)
		return false;
	*ret_side = (unsigned)side;
	return true;
}

bool vm_display_parse(const char *text, struct vm_display *ret_display)
{
	struct vm_display display;
	struct text_view view = text_view_of(text);
	struct text_view width;
	struct text_view height;

	if (view.length > 2 && (memcmp(view.start + view.length - 2, "px", 2) == 0 ||
				memcmp(view.start + view.length - 2, "pt", 2) == 0))
		view.length -= 2;
	if (!text_view_cut(view, 'x', &width, &height) || !parse_side(width, &display.width) ||
	    !parse_side(height, &display.height))
		return false;
	*ret_display = display;
	return true;
}

struct mac_addr vm_config_random_mac(void)
{
	struct mac_addr mac;

	random_system.fill(&random_system, mac.octet, sizeof(mac.octet));
	/* IEEE 802: bit 0 of the first octet is the group bit, bit 1 says locally administered. */
	mac.octet[0] = (uint8_t)((mac.octet[0] & 0xfc) | 0x02);
	return mac;
}
