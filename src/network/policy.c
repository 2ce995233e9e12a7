/* Rules of a network: taken as texts, compiled here, put in force in the network's thread at one stroke. */

#include "network/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "network/network_internal.h"

/* --- texts ---------------------------------------------------------------------------------- */

static int policy_parse_list(const char *const *texts, size_t count, const char *name,
			     struct filter_rule **ret_rules, struct error *err)
{
	if (count > FILTER_POLICY_RULES_MOST) {
		error_set(err, "more than %d rules", FILTER_POLICY_RULES_MOST);
		return -EINVAL;
	}
	struct filter_rule *rules = calloc(count + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (filter_rule_parse(text_view_of(texts[i]), &rules[i], err))
			continue;
		error_prefix(err, "%s", name);
		free(rules);
		return -EINVAL;
	}
	*ret_rules = rules;
	return 0;
}

int policy_parse(const char *const *allow, size_t allow_count, const char *const *block,
		 size_t block_count, struct policy_rules *ret_rules, struct error *err)
{
	struct policy_rules rules = { .given = true,
				      .allow_count = allow_count,
				      .block_count = block_count };
	int status = policy_parse_list(allow, allow_count, "allow", &rules.allow, err);

	if (status == 0)
		status = policy_parse_list(block, block_count, "block", &rules.block, err);
	if (status == 0 && block_count > FILTER_POLICY_RULES_MOST - allow_count) {
		error_set(err, "more than %d rules", FILTER_POLICY_RULES_MOST);
		status = -EINVAL;
	}
	if (status < 0) {
		policy_rules_free(&rules);
		return status;
	}
	*ret_rules = rules;
	return 0;
}

void policy_rules_free(struct policy_rules *rules)
{
	free(rules->allow);
	free(rules->block);
	*rules = (struct policy_rules){};
}

static int policy_compile(const struct vmnet_network *network, const struct policy_rules *rules,
			  struct filter_policy **ret_policy, struct error *err)
{
	return filter_policy_new(&network->gateway_addr, rules->allow, rules->allow_count,
				 rules->block, rules->block_count, ret_policy, err);
}

/* --- in the network's thread ------------------------------------------------------------------ */

static bool policy_address_of(void *context, const struct mac_addr *mac, struct ip_addr *ret_addr,
			      uint64_t *ret_until_ns)
{
	const struct vmnet_network *network = context;
	bool known = network->reservation_count == 0; /* then whoever comes may */

	for (uint32_t i = 0; !known && i < network->reservation_count; i++)
		known = mac_addr_equal(&network->reservations[i].mac, mac);
	if (known && !gateway_address_of(network->gateway, mac, ret_addr, ret_until_ns)) {
		*ret_addr = (struct ip_addr){ .family = IP_FAMILY_NONE };
		*ret_until_ns = UINT64_MAX;
	}
	return known;
}

static uint32_t policy_address_changes(void *context)
{
	const struct vmnet_network *network = context;

	return gateway_address_changes(network->gateway);
}

bool network_admits_flow(void *context, const struct nat_question *question)
{
	const struct vmnet_network *network = context;
	const struct filter_question asked = {
		.direction = question->from_guest ? FILTER_OUT : FILTER_IN,
		.protocol = question->protocol,
		.remote = question->remote.addr,
		.port = question->remote.port,
		.to_host = question->to_host,
	};

	return filter_admits(network->filter, &asked);
}

bool network_admits_service(void *context, uint8_t protocol, uint16_t port)
{
	const struct vmnet_network *network = context;
	const struct filter_question asked = {
		.direction = FILTER_OUT,
		.protocol = protocol,
		.remote = network->gateway_addr,
		.port = port,
	};

	return filter_admits(network->filter, &asked);
}

/* A rule that lets the guest call @host means the host, not only the gateway's own services: those ports that
 * the rules name, for which NAT asks them. */
enum nat_host_access network_host_access(const struct vmnet_network *network)
{
	enum nat_host_access access = (enum nat_host_access)network->config.host_access;

	if (network->filter && access == NAT_HOST_ACCESS_NONE &&
	    filter_policy_opens_host(filter_policy_of(network->filter)))
		access = NAT_HOST_ACCESS_LAN;
	return access;
}

int network_new_filter(struct vmnet_network *network,
		       const struct vmnet_network_configuration *asked, struct error *err)
{
	const struct filter_config config = {
		.gateway = network->gateway_addr,
		.port_capacity = network->port_capacity,
		.has_documents = asked->document_count > 0,
		.host_is_open = asked->host_access != VMNET_HOST_ACCESS_NONE,
		.address_of = policy_address_of,
		.address_changes = policy_address_changes,
		.context = network,
		.loop = network->loop,
	};
	struct filter_policy *policy;
	int status = policy_compile(network, &asked->rules, &policy, err);

	if (status < 0)
		return status;
	status = filter_new(&config, policy, &network->drops, &network->filter);
	if (status < 0)
		filter_policy_free(policy);
	return status;
}

struct policy_set_call {
	struct vmnet_network *network;
	struct filter_policy *policy;
	int status;
};

static void policy_set_in_thread(void *context)
{
	struct policy_set_call *call = context;
	struct vmnet_network *network = call->network;

	if (filter_policy_isolates(call->policy) !=
	    filter_policy_isolates(filter_policy_of(network->filter))) {
		call->status = -EPERM;
		return;
	}
	filter_set_policy(network->filter, call->policy);
	call->policy = NULL;
	nat_review(network->nat, network_host_access(network));
}

struct policy_get_call {
	struct vmnet_network *network;
	struct filter_rule *rules; /* those that allow first */
	size_t allow_count;
	size_t count;
	struct vmnet_policy_status status;
};

static void policy_get_in_thread(void *context)
{
	struct policy_get_call *call = context;
	const struct filter_policy *policy = filter_policy_of(call->network->filter);
	const struct filter_rule *allow;
	const struct filter_rule *block;
	size_t block_count = filter_policy_list(policy, false, &block);

	call->allow_count = filter_policy_list(policy, true, &allow);
	call->rules = calloc(call->allow_count + block_count + 1, sizeof(*call->rules));
	if (!call->rules)
		return;
	memcpy(call->rules, allow, call->allow_count * sizeof(*allow));
	memcpy(call->rules + call->allow_count, block, block_count * sizeof(*block));
	call->count = call->allow_count + block_count;
	call->status = (struct vmnet_policy_status){
		.isolated = filter_policy_isolates(policy),
		.stateful = filter_policy_is_stateful(policy),
		.rule_count = filter_policy_rule_count(policy),
	};
}

/* --- the public calls --------------------------------------------------------------------------- */

vmnet_return_t vmnet_network_configuration_set_policy(vmnet_network_configuration_ref config,
						      const char *const *allow, size_t allow_count,
						      const char *const *block, size_t block_count)
{
	struct policy_rules rules;
	int status = policy_parse(allow, allow_count, block, block_count, &rules, &config->error);

	if (status == -ENOMEM)
		error_set(&config->error, "out of memory");
	if (status < 0)
		return configuration_status_of(status);
	policy_rules_free(&config->rules);
	config->rules = rules;
	config->error.text[0] = '\0';
	return VMNET_SUCCESS;
}

static void policy_visit(const struct filter_policy *policy,
			 void (*visit)(void *context, bool allow, const char *rule), void *context)
{
	for (unsigned list = 0; list < 2; list++) {
		const bool allow = list == 0;
		const struct filter_rule *rules;
		size_t count = filter_policy_list(policy, allow, &rules);

		for (size_t i = 0; i < count; i++) {
			char text[FILTER_RULE_TEXT_SIZE];
			visit(context, allow, filter_rule_format(&rules[i], text));
		}
	}
}

vmnet_return_t vmnet_network_configuration_visit_policy(vmnet_network_configuration_ref config,
							void (*visit)(void *context, bool allow,
								      const char *rule),
							void *context)
{
	const struct ip_addr any_host = ip_addr_from_v4(0); /* its address is in no text */
	const struct policy_rules *rules = &config->rules;
	struct filter_policy *policy;

	if (!rules->given) {
		error_set(&config->error, "no rules were set");
		return VMNET_SETUP_INCOMPLETE;
	}
	int status = filter_policy_new(&any_host, rules->allow, rules->allow_count, rules->block,
				       rules->block_count, &policy, &config->error);
	if (status < 0) {
		error_set(&config->error, "out of memory");
		return configuration_status_of(status);
	}
	policy_visit(policy, visit, context);
	filter_policy_free(policy);
	config->error.text[0] = '\0';
	return VMNET_SUCCESS;
}

static vmnet_return_t policy_fail(vmnet_return_t status, const struct error *err,
				  struct vmnet_error *error)
{
	if (error)
		(void)snprintf(error->text, sizeof(error->text), "%s",
			       err->text[0] != '\0' ? err->text : "out of memory");
	return status;
}

static vmnet_return_t policy_none(struct vmnet_error *error)
{
	const struct error err = { "the network was created without rules" };

	return policy_fail(VMNET_SETUP_INCOMPLETE, &err, error);
}

vmnet_return_t vmnet_network_set_policy(vmnet_network_ref network, const char *const *allow,
					size_t allow_count, const char *const *block,
					size_t block_count, struct vmnet_error *error)
{
	struct policy_set_call call = { .network = network };
	struct policy_rules rules = {};
	struct error err = {};

	if (!network->filter)
		return policy_none(error);
	int status = policy_parse(allow, allow_count, block, block_count, &rules, &err);
	if (status == 0)
		status = policy_compile(network, &rules, &call.policy, &err);
	policy_rules_free(&rules);
	if (status == 0)
		status = network_run(network, policy_set_in_thread, &call);
	if (status == 0)
		status = call.status;
	filter_policy_free(call.policy);
	if (status == -EPERM) {
		error_set(&err, "whether guests see each other cannot be changed while the network "
				"runs: 0.0.0.0/0 is allowed from the start, or not at all");
		return policy_fail(VMNET_NOT_AUTHORIZED, &err, error);
	}
	return status < 0 ? policy_fail(configuration_status_of(status), &err, error)
			  : VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_visit_policy(
	vmnet_network_ref network, void (*visit)(void *context, bool allow, const char *rule),
	void *context, struct vmnet_policy_status *status, struct vmnet_error *error)
{
	struct policy_get_call call = { .network = network };
	const struct error none = {};

	if (!network->filter)
		return policy_none(error);
	int result = network_run(network, policy_get_in_thread, &call);
	if (result < 0 || !call.rules)
		return policy_fail(configuration_status_of(result < 0 ? result : -ENOMEM), &none,
				   error);
	for (size_t i = 0; visit && i < call.count; i++) {
		char text[FILTER_RULE_TEXT_SIZE];
		visit(context, i < call.allow_count, filter_rule_format(&call.rules[i], text));
	}
	if (status)
		*status = call.status;
	free(call.rules);
	return VMNET_SUCCESS;
}
