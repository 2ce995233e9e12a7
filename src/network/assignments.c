/* Assignments, for programs that show or remove them without a network. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/configuration.h"
#include "network/paths.h"
#include "registry/registry.h"

static int assignments_open(const char *state_directory, struct registry **ret_registry,
			    struct error *err)
{
	char state[CONFIGURATION_PATH_SIZE];
	char runtime[CONFIGURATION_PATH_SIZE];
	struct registry_paths paths = { .state_directory = state_directory,
					.runtime_directory = runtime };
	int status = 0;

	if (!state_directory) {
		status = paths_state_directory(state, sizeof(state), err);
		paths.state_directory = state;
	}
	if (status == 0)
		status = paths_runtime_directory(runtime, sizeof(runtime), err);
	return status < 0 ? status : registry_open(&paths, ret_registry, err);
}

static vmnet_return_t assignments_result(int status, const struct error *err,
					 struct vmnet_error *error)
{
	if (status == 0)
		return VMNET_SUCCESS;
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "%s",
			       err->text[0] != '\0' ? err->text : strerror(-status));
	return status == -ENOENT ? VMNET_INVALID_ARGUMENT : configuration_status_of(status);
}

static struct vmnet_assignment assignments_public(const struct registry_assignment *from)
{
	struct vmnet_assignment to = {
		.subnet.s_addr = htonl(ip_prefix_first_v4(&from->subnet)),
		.mask.s_addr = htonl(ip_length_to_mask(from->subnet.length)),
		.address.s_addr = htonl(ip_addr_to_v4(&from->guest)),
	};

	(void)snprintf(to.key, sizeof(to.key), "%s", from->key);
	return to;
}

vmnet_return_t vmnet_assignment_get(const char *state_directory, const char *key,
				    struct vmnet_assignment *assignment, struct vmnet_error *error)
{
	struct registry *registry = NULL;
	struct registry_assignment found;
	struct error err = {};
	int status = assignments_open(state_directory, &registry, &err);

	if (status == 0)
		status = registry_assignment_get(registry, key, &found, &err);
	if (status == 0)
		*assignment = assignments_public(&found);
	(void)registry_close(registry);
	return assignments_result(status, &err, error);
}

vmnet_return_t vmnet_assignment_remove(const char *state_directory, const char *key,
				       struct vmnet_error *error)
{
	struct registry *registry = NULL;
	struct error err = {};
	int status = assignments_open(state_directory, &registry, &err);

	if (status == 0)
		status = registry_assignment_remove(registry, key, &err);
	(void)registry_close(registry);
	return assignments_result(status == -ENOENT ? 0 : status, &err, error);
}

/* The label of a network that is called by its key: as tartlet has it, without blanks around. */
static const char *assignments_label(const char *key, char label[CONFIGURATION_LABEL_SIZE])
{
	char text[CONFIGURATION_KEY_SIZE];
	size_t start = strspn(key, " \t");
	size_t end = strlen(key);

	while (end > start && (key[end - 1] == ' ' || key[end - 1] == '\t'))
		end--;
	if (end - start >= sizeof(text))
		return NULL;
	memcpy(text, key + start, end - start);
	text[end - start] = '\0';
	return configuration_cut_label(text, label, NULL) ? label : NULL;
}

vmnet_return_t vmnet_assignment_rename(const char *state_directory, const char *from,
				       const char *to, struct vmnet_error *error)
{
	char from_label[CONFIGURATION_LABEL_SIZE];
	char to_label[CONFIGURATION_LABEL_SIZE];
	const struct registry_rename rename = {
		.from = from,
		.to = to,
		.from_label = assignments_label(from, from_label),
		.to_label = assignments_label(to, to_label),
	};
	struct registry *registry = NULL;
	struct error err = {};
	int status = assignments_open(state_directory, &registry, &err);

	if (status == 0)
		status = registry_assignment_rename(registry, &rename, &err);
	(void)registry_close(registry);
	return assignments_result(status, &err, error);
}

struct assignments_visit {
	void (*visit)(void *context, const struct vmnet_assignment *assignment);
	void *context;
};

static void assignments_visit_one(void *context, const struct registry_assignment *assignment)
{
	const struct assignments_visit *visit = context;
	struct vmnet_assignment public = assignments_public(assignment);

	visit->visit(visit->context, &public);
}

vmnet_return_t vmnet_assignment_visit(const char *state_directory,
				      void (*visit)(void *context,
						    const struct vmnet_assignment *assignment),
				      void *context, struct vmnet_error *error)
{
	struct assignments_visit both = { .visit = visit, .context = context };
	struct registry *registry = NULL;
	struct error err = {};
	int status = assignments_open(state_directory, &registry, &err);

	if (status == 0)
		status = registry_assignment_visit(registry, assignments_visit_one, &both, &err);
	(void)registry_close(registry);
	return assignments_result(status, &err, error);
}
