#include "registry/registry.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "registry/assignment_store.h"
#include "registry/held_snapshot.h"
#include "registry/holding_store.h"
#include "registry/key_rename.h"
#include "registry/subnet_choice.h"

struct registry {
	pthread_mutex_t mutex; /* around stores and count */
	struct holding_store holdings;
	struct assignment_store assignments;
	size_t holding_count;
	bool left; /* the records are closed */

	struct held_snapshot held; /* has a lock of its own, that of a thread which must not wait */
};

static void lock(struct registry *registry)
{
	int result = pthread_mutex_lock(&registry->mutex);

	assert(result == 0);
	(void)result;
}

static void unlock(struct registry *registry)
{
	int result = pthread_mutex_unlock(&registry->mutex);

	assert(result == 0);
	(void)result;
}

int registry_open(const struct registry_paths *paths, struct registry **ret_registry,
		  struct error *err)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	int result = assignment_store_open(&registry->assignments, paths->state_directory, err);

	if (result < 0)
		goto fail;
	result = holding_store_open(&registry->holdings, paths->runtime_directory, err);
	if (result < 0)
		goto fail_assignments;
	result = held_snapshot_open(&registry->held, registry->holdings.database.path,
				    registry->holdings.directory_fd, err);
	if (result < 0)
		goto fail_holdings;
	(void)pthread_mutex_init(&registry->mutex, NULL); /* default attributes: cannot fail */
	*ret_registry = registry;
	return 0;

fail_holdings:
	holding_store_close(&registry->holdings);
fail_assignments:
	assignment_store_close(&registry->assignments);
fail:
	free(registry);
	return result;
}

void registry_leave(struct registry *registry)
{
	lock(registry);
	held_snapshot_close(&registry->held);
	assignment_store_close(&registry->assignments);
	holding_store_leave(&registry->holdings);
	registry->left = true;
	unlock(registry);
}

struct registry *registry_close(struct registry *registry)
{
	if (!registry)
		return NULL;
	assert(registry->holding_count == 0);
	held_snapshot_close(&registry->held);
	holding_store_close(&registry->holdings);
	assignment_store_close(&registry->assignments);
	(void)pthread_mutex_destroy(&registry->mutex); /* nobody else has the handle */
	free(registry);
	return NULL;
}

static void rollback(struct registry *registry)
{
	assignment_store_rollback(&registry->assignments);
	holding_store_rollback(&registry->holdings);
}

/* In both transactions: decides and writes. */
static int decide(struct registry *registry, const struct registry_request *request,
		  struct registry_holding *holding, struct error *err)
{
	struct subnet_choice choice;
	int result = subnet_choice_make(&registry->holdings, &registry->assignments, request,
					&random_system, &choice, err);

	if (result == 0)
		result = holding_store_insert(&registry->holdings, &choice.subnet, &choice.guest,
					      request->label, registry->assignments.directory,
					      request->key, &holding->id, err);
	if (result == 0 && choice.is_assignment)
		result = assignment_store_put(&registry->assignments, request->key, &choice.subnet,
					      &choice.guest, err);
	if (result < 0)
		return result;
	holding->registry = registry;
	holding->owner = registry->holdings.owner;
	holding->subnet = choice.subnet;
	holding->gateway = ip_addr_from_v4(ip_prefix_first_v4(&choice.subnet) + 1);
	holding->guest = choice.guest;
	holding->warning = choice.warning;
	return 0;
}

static int remove_row(struct registry *registry, int64_t id, struct error *err)
{
	int result = holding_store_begin(&registry->holdings, err);

	if (result == 0)
		result = holding_store_remove(&registry->holdings, id, err);
	if (result == 0)
		result = holding_store_commit(&registry->holdings, err);
	holding_store_rollback(&registry->holdings);
	return result;
}

/* Lock order among processes: holdings, then assignments. */
static int hold(struct registry *registry, const struct registry_request *request,
		struct registry_holding *holding, struct error *err)
{
	int result = holding_store_begin(&registry->holdings, err);

	if (result == 0)
		result = assignment_store_begin(&registry->assignments, request->key != NULL, err);
	if (result == 0)
		result = decide(registry, request, holding, err);
	if (result == 0)
		result = holding_store_commit(&registry->holdings, err);
	if (result < 0) {
		rollback(registry);
		return result;
	}
	/* Second, because a holding can be taken back when this fails, an assignment cannot. */
	result = assignment_store_commit(&registry->assignments, err);
	if (result < 0) {
		rollback(registry);
		/* Should that fail too, the row dies with this handle. */
		(void)remove_row(registry, holding->id, NULL);
	}
	return result;
}

int registry_hold(struct registry *registry, const struct registry_request *request,
		  struct registry_holding **ret_holding, struct error *err)
{
	int result = subnet_choice_check(request, err);

	if (result < 0)
		return result;
	struct registry_holding *holding = calloc(1, sizeof(*holding));

	if (!holding) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	lock(registry);
	result = hold(registry, request, holding, err);
	if (result == 0)
		registry->holding_count++;
	unlock(registry);
	if (result < 0) {
		free(holding);
		return result;
	}
	*ret_holding = holding;
	return 0;
}

struct registry_holding *registry_holding_release(struct registry_holding *holding)
{
	if (!holding)
		return NULL;
	struct registry *registry = holding->registry;

	lock(registry);
	/* Nothing can be done about a failure: the row then dies with this handle. */
	if (!registry->left)
		(void)remove_row(registry, holding->id, NULL);
	registry->holding_count--;
	unlock(registry);
	free(holding);
	return NULL;
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "TCP" : "UDP";
}

static bool is_port(uint8_t protocol, const struct ip_endpoint *at)
{
	return (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && at->port != 0 &&
	       at->addr.family != IP_FAMILY_NONE;
}

typedef int change_port_fn(struct holding_store *store, int64_t id, uint8_t protocol,
			   const struct ip_endpoint *at, struct error *err);

static int change_port(struct registry_holding *holding, change_port_fn *change, uint8_t protocol,
		       const struct ip_endpoint *at, struct error *err)
{
	struct registry *registry = holding->registry;

	if (!is_port(protocol, at)) {
		error_set(err, "only TCP and UDP ports other than 0 can be recorded");
		return -EINVAL;
	}
	lock(registry);
	int result = holding_store_begin(&registry->holdings, err);

	if (result == 0)
		result = change(&registry->holdings, holding->id, protocol, at, err);
	if (result == 0)
		result = holding_store_commit(&registry->holdings, err);
	holding_store_rollback(&registry->holdings);
	unlock(registry);
	return result;
}

int registry_hold_port(struct registry_holding *holding, uint8_t protocol,
		       const struct ip_endpoint *at, struct error *err)
{
	return change_port(holding, holding_store_add_port, protocol, at, err);
}

int registry_release_port(struct registry_holding *holding, uint8_t protocol,
			  const struct ip_endpoint *at, struct error *err)
{
	return change_port(holding, holding_store_remove_port, protocol, at, err);
}

bool registry_is_held_by_other(struct registry_holding *holding, const struct ip_addr *addr,
			       uint64_t now_ns)
{
	return ip_addr_is_v4(addr) &&
	       held_snapshot_find(&holding->registry->held, addr, holding->id, now_ns);
}

bool registry_find_port_holder(struct registry *registry, uint8_t protocol,
			       const struct ip_endpoint *at, char ret_label[REGISTRY_LABEL_SIZE])
{
	struct holding_row row;

	if (!is_port(protocol, at))
		return false;
	lock(registry);
	int result = holding_store_begin(&registry->holdings, NULL);

	if (result == 0)
		result = holding_store_find_port(&registry->holdings, protocol, at, &row, NULL);
	/* The commit is for the removal of dead owners, which is not what was asked for. */
	if (result >= 0 && holding_store_commit(&registry->holdings, NULL) < 0)
		holding_store_rollback(&registry->holdings);
	holding_store_rollback(&registry->holdings);
	unlock(registry);
	if (result == 1)
		memcpy(ret_label, row.label, sizeof(row.label));
	return result == 1;
}

void registry_explain_port(struct registry *registry, uint8_t protocol,
			   const struct ip_endpoint *at, struct error *err)
{
	char label[REGISTRY_LABEL_SIZE];
	char holder[SUBNET_CHOICE_HOLDER_SIZE];
	char address[IP_ADDR_TEXT_SIZE];
	bool is_known = registry_find_port_holder(registry, protocol, at, label);

	error_set(err, "%s port %u on %s is in use by %s", protocol_name(protocol), at->port,
		  ip_addr_format(&at->addr, address),
		  is_known ? subnet_choice_holder(label, holder) : "another program");
}

/* 0 or -ENOENT with a sentence. In a transaction. */
static int get_assignment(struct registry *registry, const char *key,
			  struct registry_assignment *ret_assignment, struct error *err)
{
	int result = assignment_store_get(&registry->assignments, key, ret_assignment, err);

	if (result == 0)
		error_set(err, "\"%.255s\" has no assignment", key);
	return result == 1 ? 0 : result < 0 ? result : -ENOENT;
}

int registry_assignment_get(struct registry *registry, const char *key,
			    struct registry_assignment *ret_assignment, struct error *err)
{
	lock(registry);
	int result = assignment_store_begin(&registry->assignments, false, err);

	if (result == 0)
		result = get_assignment(registry, key, ret_assignment, err);
	assignment_store_rollback(&registry->assignments);
	unlock(registry);
	return result;
}

int registry_assignment_remove(struct registry *registry, const char *key, struct error *err)
{
	struct assignment_store *store = &registry->assignments;
	struct registry_assignment assignment;

	lock(registry);
	int result = assignment_store_begin(store, true, err);

	if (result == 0)
		result = get_assignment(registry, key, &assignment, err);
	if (result == 0)
		result = assignment_store_remove(store, key, err);
	if (result == 0)
		result = assignment_store_commit(store, err);
	assignment_store_rollback(store);
	unlock(registry);
	return result;
}

int registry_assignment_rename(struct registry *registry, const struct registry_rename *rename,
			       struct error *err)
{
	lock(registry);
	int result = key_rename(&registry->holdings, &registry->assignments, rename, err);

	unlock(registry);
	return result;
}

int registry_assignment_visit(struct registry *registry, registry_assignment_fn *visit,
			      void *context, struct error *err)
{
	struct registry_assignment *assignments = NULL;
	size_t count = 0;

	lock(registry);
	int result = assignment_store_begin(&registry->assignments, false, err);

	if (result == 0)
		result = assignment_store_list(&registry->assignments, &assignments, &count, err);
	assignment_store_rollback(&registry->assignments);
	unlock(registry);
	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i++)
		visit(context, &assignments[i]);
	free(assignments);
	return 0;
}
