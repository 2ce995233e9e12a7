/* A hosts file of any bytes, in memory: every name that was kept is found, and nothing that is no
 * name was kept. The first line is also a name to look for. */

#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/hosts_file.h"

#define NAME_MOST 253
#define ADDRS	  4

static void check_entry(struct hosts_file *hosts, size_t i)
{
	const struct hosts_file_entry *entry = &hosts->entries[i];
	struct ip_addr addrs[ADDRS];
	size_t length = strlen(entry->name);
	bool known;

	FUZZ_CHECK(length > 0 && length <= NAME_MOST);
	for (size_t at = 0; at < length; at++)
		FUZZ_CHECK(entry->name[at] > ' ' && entry->name[at] < 127 &&
			   (entry->name[at] < 'A' || entry->name[at] > 'Z'));
	if (i > 0)
		FUZZ_CHECK(strcmp(hosts->entries[i - 1].name, entry->name) <= 0);
	size_t count =
		hosts_file_lookup(hosts, 0, entry->name, entry->addr.family, addrs, ADDRS, &known);
	FUZZ_CHECK(known && count > 0 && count <= ADDRS);
	for (size_t at = 0; at < count; at++)
		FUZZ_CHECK(addrs[at].family == entry->addr.family);
}

static void check_first_line(struct hosts_file *hosts, const uint8_t *data, size_t size)
{
	char name[NAME_MOST + 1];
	struct ip_addr addrs[ADDRS];
	size_t length = 0;
	bool known;

	while (length < size && length < NAME_MOST && data[length] != '\n' && data[length]) {
		name[length] = (char)data[length];
		length++;
	}
	name[length] = '\0';
	size_t count = hosts_file_lookup(hosts, 0, name, IP_FAMILY_V6, addrs, ADDRS, &known);
	FUZZ_CHECK(count == 0 || known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hosts_file hosts;
	char path[64];
	int fd = memfd_create("hosts", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_CHECK(hosts_file_init(&hosts, path) == 0);
	check_first_line(&hosts, data, size);
	FUZZ_CHECK(hosts.count <= HOSTS_FILE_MAX);
	for (size_t i = 0; i < hosts.count; i++)
		check_entry(&hosts, i);
	hosts_file_done(&hosts);
	(void)close(fd);
	return 0;
}
