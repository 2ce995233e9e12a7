#pragma once
/*
 * What cloud-init in the guest is told at its first boot: seed.json of a VM's directory, one file, so
 * that it is replaced whole. A VM without it has no seed. It goes with a clone and into an archive as
 * it is, but for the instance: that is the clone's own.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct error;

#define SEED_FILE_NAME	    "seed.json"
#define SEED_USER_DATA_MOST ((size_t)512 * 1024) /* bytes */
#define SEED_KEYS_MOST	    64
#define SEED_KEYS_SIZE_MOST ((size_t)128 * 1024) /* bytes, all of them */
/* Of the file, in bytes: JSON may write a byte as six. */
#define SEED_FILE_MOST (6 * (SEED_USER_DATA_MOST + SEED_KEYS_SIZE_MOST) + 4096)

struct seed_settings {
	char *instance_id; /* NULL: one is made when it is saved */
	char *hostname;	   /* NULL: as the VM's name has it */
	char *user_data;   /* NULL: none; UTF-8 */
	char *keys[SEED_KEYS_MOST];
	size_t key_count;
	size_t keys_size;
};

void seed_settings_done(struct seed_settings *settings);

/* Each judges its input: 0, or -EINVAL (-ENOMEM) with a sentence that does not name the source. */
int seed_settings_set_hostname(struct seed_settings *settings, const char *hostname,
			       struct error *err) MUST_USE;
/* In place of what was there. `text` is terminated behind its `size` bytes. */
int seed_settings_set_user_data(struct seed_settings *settings, const char *text, size_t size,
				struct error *err) MUST_USE;
/* Beside those that are there; one that is there already counts once. */
int seed_settings_add_keys(struct seed_settings *settings, const char *text, size_t size,
			   struct error *err) MUST_USE;

/*
 * What `given` has takes the place of what was there (all keys, if it has any); `given` is empty then. To
 * cloud-init the VM is another instance, since it heeds nothing new for one that it knows.
 */
void seed_settings_change(struct seed_settings *settings, struct seed_settings *given);

/* RFC 1123 2.1: letters, digits and hyphens, no hyphen at either end, at most 63. With a sentence. */
bool seed_hostname_check(const char *hostname, struct error *err) MUST_USE;

/* Strictly, as config.json is read. 0 or negative errno with a sentence. */
int seed_settings_parse(const char *text, size_t size, struct seed_settings *ret_settings,
			struct error *err) MUST_USE;
/* NULL without memory. The caller frees. */
char *seed_settings_format(const struct seed_settings *settings);

/* -ENOENT without a sentence: the VM has none. */
int seed_settings_load(int directory_fd, struct seed_settings *ret_settings,
		       struct error *err) MUST_USE;
int seed_settings_save(int directory_fd, struct seed_settings *settings,
		       struct error *err) MUST_USE;
/* For a clone: a new instance id, so that cloud-init takes it for the new machine that it is. 0 also
 * where there is no seed. */
int seed_settings_renew(int directory_fd, struct error *err) MUST_USE;
