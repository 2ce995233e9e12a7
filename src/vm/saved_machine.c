#include "vm/saved_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

#define SAVED_VERSION  1
#define DISK_TEXT_SIZE 384

void saved_machine_drop_disks(struct saved_machine *machine)
{
	for (size_t i = 0; i < machine->disk_count; i++)
		free(machine->disks[i].file);
	machine->disk_count = 0;
}

void saved_machine_done(struct saved_machine *machine)
{
	saved_machine_drop_disks(machine);
	json_decref(machine->arguments);
	machine->arguments = NULL;
}

/* Disks are compared by what they are, not by how QEMU opens them; the network's and the monitor's
 * descriptors have other numbers each time; names are for people. */
static bool is_visible(const char *option)
{
	static const char *const visible[] = { "-machine", "-accel",  "-cpu",	 "-smp",
					       "-m",	   "-object", "-device", "-serial" };

	for (size_t i = 0; i < ARRAY_COUNT(visible); i++) {
		if (strcmp(option, visible[i]) == 0)
			return true;
	}
	return false;
}

json_t *saved_machine_arguments(char *const *argv)
{
	json_t *list = json_array();
	int r = list ? 0 : -1;

	for (size_t i = 0; r == 0 && argv[i]; i++) {
		if (!is_visible(argv[i]))
			continue;
		/* Where the console goes to is seen outside alone. */
		bool alone = !argv[i + 1] || strcmp(argv[i], "-serial") == 0;
		r = json_array_append_new(list,
					  alone ? json_string(argv[i])
						: json_sprintf("%s %s", argv[i], argv[i + 1]));
	}
	if (r < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

int saved_machine_add_disk(struct saved_machine *machine, int directory_fd,
			   const struct qemu_disk *disk, bool own, struct error *err)
{
	struct saved_disk saved = { .format = disk->format, .read_only = disk->options.read_only };
	struct disk_image image;
	struct stat status = { 0 };

	int r = disk_image_look(directory_fd, disk->path, &image);
	if (r == 0 && fstatat(directory_fd, disk->path, &status, 0) < 0)
		r = -errno;
	if (r < 0) {
		error_set(err, "cannot look at the disk %s: %s", disk->path, strerror(-r));
		return r;
	}
	saved.size = image.size;
	if (!own && S_ISREG(status.st_mode))
		saved.modified_ns =
			(int64_t)status.st_mtim.tv_sec * (int64_t)NS_PER_S + status.st_mtim.tv_nsec;
	saved.file = strdup(disk->path);
	if (!saved.file) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	machine->disks[machine->disk_count++] = saved;
	return 0;
}

/* True where both texts are the same. */
static bool same(struct error *err, const char *what, const char *then, const char *now)
{
	if (strcmp(then, now) == 0)
		return true;
	error_set(err, "its %s was %s when it was suspended, and is %s now", what, then, now);
	return false;
}

static bool same_number(struct error *err, const char *what, uint64_t then, uint64_t now)
{
	char then_text[24];
	char now_text[24];

	snprintf(then_text, sizeof(then_text), "%" PRIu64, then);
	snprintf(now_text, sizeof(now_text), "%" PRIu64, now);
	return same(err, what, then_text, now_text);
}

static bool same_qemu(const struct saved_machine *then, const struct saved_machine *now,
		      struct error *err)
{
	char then_text[32];
	char now_text[32];

	snprintf(then_text, sizeof(then_text), "%u.%u", then->qemu.major, then->qemu.minor);
	snprintf(now_text, sizeof(now_text), "%u.%u", now->qemu.major, now->qemu.minor);
	return same(err, "QEMU", then_text, now_text);
}

static bool same_addresses(const struct saved_machine *then, const struct saved_machine *now,
			   struct error *err)
{
	char macs[2][MAC_ADDR_TEXT_SIZE];
	char subnets[2][IP_PREFIX_TEXT_SIZE];
	char addresses[2][IP_ADDR_TEXT_SIZE];

	return same(err, "MAC address", mac_addr_format(&then->mac, macs[0]),
		    mac_addr_format(&now->mac, macs[1])) &&
	       same(err, "subnet", ip_prefix_format(&then->subnet, subnets[0]),
		    ip_prefix_format(&now->subnet, subnets[1])) &&
	       same(err, "address", ip_addr_format(&then->address, addresses[0]),
		    ip_addr_format(&now->address, addresses[1]));
}

static const char *describe_disk(const struct saved_disk *disk, char buffer[DISK_TEXT_SIZE])
{
	snprintf(buffer, DISK_TEXT_SIZE, "%.*s (%s, %" PRIu64 " bytes%s)", DISK_TEXT_SIZE / 2,
		 disk->file, disk_format_name(disk->format), disk->size,
		 disk->read_only ? ", read-only" : "");
	return buffer;
}

static bool same_disk(const struct saved_disk *then, const struct saved_disk *now, size_t number,
		      struct error *err)
{
	char texts[2][DISK_TEXT_SIZE];
	char what[32];

	snprintf(what, sizeof(what), "disk %zu", number);
	if (strcmp(then->file, now->file) != 0 || then->format != now->format ||
	    then->size != now->size || then->read_only != now->read_only) {
		error_set(err, "its %s was %s when it was suspended, and is %s now", what,
			  describe_disk(then, texts[0]), describe_disk(now, texts[1]));
		return false;
	}
	if (then->modified_ns == now->modified_ns)
		return true;
	error_set(err, "its %s, %s, was written to since it was suspended", what, then->file);
	return false;
}

static bool same_disks(const struct saved_machine *then, const struct saved_machine *now,
		       struct error *err)
{
	if (!same_number(err, "number of disks", then->disk_count, now->disk_count))
		return false;
	for (size_t i = 0; i < then->disk_count; i++) {
		if (!same_disk(&then->disks[i], &now->disks[i], i + 1, err))
			return false;
	}
	return true;
}

/* Whatever has no sentence of its own. */
static bool same_arguments(const json_t *then, const json_t *now, struct error *err)
{
	for (size_t i = 0; i < json_array_size(then) || i < json_array_size(now); i++) {
		const char *then_text = json_string_value(json_array_get(then, i));
		const char *now_text = json_string_value(json_array_get(now, i));
		if (!same(err, "machine", then_text ? then_text : "without more devices",
			  now_text ? now_text : "without more devices"))
			return false;
	}
	return true;
}

bool saved_machine_fits(const struct saved_machine *then, const struct saved_machine *now,
			struct error *err)
{
	return same_qemu(then, now, err) &&
	       same(err, "accelerator", accel_name(then->accel), accel_name(now->accel)) &&
	       same(err, "network attachment", net_attach_name(then->attach),
		    net_attach_name(now->attach)) &&
	       same_number(err, "number of CPUs", then->cpu_count, now->cpu_count) &&
	       same_number(err, "memory in MiB", then->memory_size >> 20, now->memory_size >> 20) &&
	       same_addresses(then, now, err) && same_disks(then, now, err) &&
	       same_arguments(then->arguments, now->arguments, err);
}

static json_t *disks_to_json(const struct saved_machine *machine)
{
	json_t *list = json_array();

	for (size_t i = 0; i < machine->disk_count; i++) {
		const struct saved_disk *disk = &machine->disks[i];
		json_array_append_new(list, json_pack("{ss ss sI sb sI}", "file", disk->file,
						      "format", disk_format_name(disk->format),
						      "size", (json_int_t)disk->size, "readOnly",
						      (int)disk->read_only, "modified",
						      (json_int_t)disk->modified_ns));
	}
	return list;
}

char *saved_machine_format(const struct saved_machine *machine)
{
	char mac[MAC_ADDR_TEXT_SIZE];
	char subnet[IP_PREFIX_TEXT_SIZE];
	char address[IP_ADDR_TEXT_SIZE];

	/* "O" keeps the caller's reference, "o" takes it. */
	json_t *root = json_pack(
		"{si ss s[ii] ss ss sI sI ss ss ss so sO}", "version", SAVED_VERSION, "program",
		QEMU_PROGRAM, "qemu", (int)machine->qemu.major, (int)machine->qemu.minor, "accel",
		accel_name(machine->accel), "attach", net_attach_name(machine->attach), "cpuCount",
		(json_int_t)machine->cpu_count, "memorySize", (json_int_t)machine->memory_size,
		"macAddress", mac_addr_format(&machine->mac, mac), "subnet",
		ip_prefix_format(&machine->subnet, subnet), "address",
		ip_addr_format(&machine->address, address), "disks", disks_to_json(machine),
		"arguments", machine->arguments);
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	return text;
}

static bool parse_disk(json_t *value, struct saved_machine *machine)
{
	struct saved_disk *disk = &machine->disks[machine->disk_count];
	const char *file;
	const char *format;
	json_int_t size;
	json_int_t modified_ns;
	int read_only;

	if (json_unpack(value, "{ss ss sI sb sI !}", "file", &file, "format", &format, "size",
			&size, "readOnly", &read_only, "modified", &modified_ns) < 0 ||
	    size < 0 || !disk_format_parse(format, &disk->format))
		return false;
	disk->size = (uint64_t)size;
	disk->read_only = read_only;
	disk->modified_ns = modified_ns;
	disk->file = strdup(file);
	machine->disk_count += disk->file != NULL;
	return disk->file != NULL;
}

static bool parse_lists(const json_t *disks, json_t *arguments, struct saved_machine *machine)
{
	json_t *value;
	size_t i;

	if (!json_is_array(disks) || json_array_size(disks) > SAVED_DISK_MOST ||
	    !json_is_array(arguments))
		return false;
	json_array_foreach(disks, i, value)
	{
		if (!parse_disk(value, machine))
			return false;
	}
	json_array_foreach(arguments, i, value)
	{
		if (!json_is_string(value))
			return false;
	}
	machine->arguments = json_incref(arguments);
	return true;
}

static bool from_json(json_t *root, struct saved_machine *machine)
{
	const char *program;
	const char *accel;
	const char *attach;
	const char *mac;
	const char *subnet;
	const char *address;
	json_t *disks;
	json_t *arguments;
	json_int_t version;
	json_int_t major;
	json_int_t minor;
	json_int_t cpu_count;
	json_int_t memory_size;

	if (json_unpack(root, "{sI ss s[II!] ss ss sI sI ss ss ss so so !}", "version", &version,
			"program", &program, "qemu", &major, &minor, "accel", &accel, "attach",
			&attach, "cpuCount", &cpu_count, "memorySize", &memory_size, "macAddress",
			&mac, "subnet", &subnet, "address", &address, "disks", &disks, "arguments",
			&arguments) < 0 ||
	    version != SAVED_VERSION || strcmp(program, QEMU_PROGRAM) != 0 || major < 0 ||
	    major > UINT16_MAX || minor < 0 || minor > UINT16_MAX || cpu_count < 1 ||
	    cpu_count > VM_CONFIG_CPU_MOST || memory_size < 0 ||
	    !accel_parse(accel, &machine->accel) || machine->accel == ACCEL_AUTO ||
	    !net_attach_parse(attach, &machine->attach) || machine->attach == NET_ATTACH_AUTO ||
	    !mac_addr_parse(mac, &machine->mac) || !ip_prefix_parse(subnet, &machine->subnet) ||
	    !ip_addr_parse(address, &machine->address))
		return false;
	machine->qemu = (struct qemu_version){ (unsigned)major, (unsigned)minor };
	machine->cpu_count = (unsigned)cpu_count;
	machine->memory_size = (uint64_t)memory_size;
	return parse_lists(disks, arguments, machine);
}

bool saved_machine_parse(const char *text, size_t size, struct saved_machine *ret_machine)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	struct saved_machine machine = { 0 };
	bool good = root && from_json(root, &machine);

	json_decref(root);
	if (good)
		*ret_machine = machine;
	else
		saved_machine_done(&machine);
	return good;
}
