/*
 * Runs every file of a folder through a fuzz target, as a unit test does it: without libFuzzer, by
 * any compiler. A folder that is missing or empty fails, for then nothing was tested.
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX (1U << 20)

static uint8_t input[INPUT_MAX];

/* The file's size, or -1 with words on stderr. */
static long read_file(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size_t size = fread(input, 1, sizeof(input), file);
	bool whole = !ferror(file) && size < sizeof(input);
	fclose(file);
	if (!whole) {
		fprintf(stderr, "%s: cannot be read, or 1 MiB or more\n", path);
		return -1;
	}
	return (long)size;
}

static int run_file(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	long size = read_file(path);
	if (size < 0)
		return -1;
	/* Of the exact size, so that AddressSanitizer sees a byte too many. */
	uint8_t *exact = malloc(size > 0 ? (size_t)size : 1);
	if (!exact)
		return -1;
	memcpy(exact, input, (size_t)size);
	printf("%s: %ld bytes\n", name, size);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(exact, (size_t)size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	int count = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	DIR *folder = opendir(argv[1]);
	if (!folder) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
		if (entry->d_name[0] == '.')
			continue;
		if (run_file(argv[1], entry->d_name) < 0) {
			closedir(folder);
			return 1;
		}
		count++;
	}
	closedir(folder);
	if (count == 0) {
		fprintf(stderr, "%s: no inputs\n", argv[1]);
		return 1;
	}
	printf("%d inputs\n", count);
	return 0;
}
