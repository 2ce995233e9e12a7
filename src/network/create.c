/* Reserve, build, bind, start: a network comes into being whole or not at all. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "host/survey.h"
#include "network/network_internal.h"
#include "network/paths.h"

static void create_log(void *context, enum log_level level, const char *line)
{
	const struct vmnet_network *network = context;

	network->config.log_callback(network->config.log_context, (enum vmnet_log_level)level,
				     line);
}

static int create_open_registry(struct vmnet_network *network, struct error *err)
{
	struct vmnet_network_configuration *config = &network->config;
	const struct registry_paths paths = {
		.state_directory = config->state_directory,
		.runtime_directory = config->runtime_directory,
	};
	int status = 0;

	if (config->state_directory[0] == '\0')
		status = paths_state_directory(config->state_directory,
					       sizeof(config->state_directory), err);
	if (status == 0 && config->runtime_directory[0] == '\0')
		status = paths_runtime_directory(config->runtime_directory,
						 sizeof(config->runtime_directory), err);
	return status < 0 ? status : registry_open(&paths, &network->registry, err);
}

static int create_hold(struct vmnet_network *network, const struct survey *survey,
		       struct error *err)
{
	const struct vmnet_network_configuration *config = &network->config;
	const struct registry_request request = {
		.label = config->label,
		.key = config->key[0] != '\0' ? config->key : NULL,
		.seed = config->seed,
		.has_seed = config->key[0] != '\0',
		.wanted = config->subnet,
		.length = config->prefix_length,
		.guest = config->reservation_count > 0 ? config->reservations[0].addr
						       : (struct ip_addr){},
		.avoid = survey->avoid,
		.avoid_count = survey->avoid_count,
		.rank = survey->rank,
		.rank_count = survey->rank_count,
	};
	int status = registry_hold(network->registry, &request, &network->holding, err);

	if (status == 0 && network->holding->warning.text[0] != '\0')
		log_write(&network->log, LOG_LEVEL_WARNING, "%s", network->holding->warning.text);
	return status;
}

/*
 * A locally administered MAC that stays with the subnet, so that a guest which is resumed finds the
 * gateway under the MAC it remembers.
 */
static struct mac_addr create_gateway_mac(const struct ip_addr *gateway)
{
	struct mac_addr mac = { { 0x02, 0x56 } };

	memcpy(&mac.octet[2], gateway->octet, 4);
	return mac;
}

static int create_reserve(struct vmnet_network *network, struct error *err)
{
	struct survey *survey = calloc(1, sizeof(*survey));
	int status = survey ? create_open_registry(network, err) : -ENOMEM;

	if (status == 0)
		status = survey_take(survey, err);
	if (status == 0)
		status = create_hold(network, survey, err);
	free(survey);
	if (status < 0)
		return status;
	network->subnet = network->holding->subnet;
	network->gateway_addr = network->holding->gateway;
	network->gateway_mac = create_gateway_mac(&network->gateway_addr);
	network->reservation_count = network->config.reservation_count;
	return configuration_complete(&network->config, &network->subnet, &network->holding->guest,
				      network->reservations, err);
}

static int create_ask_informant(struct vmnet_network *network,
				const struct vmnet_network_configuration *config, struct error *err)
{
	if (config->informant_fd < 0)
		return 0;
	int fd = fcntl(config->informant_fd, F_DUPFD_CLOEXEC, 3);
	int status =
		fd < 0 ? -errno
		       : informant_client_new(fd, network->holding->id, network->holding->owner,
					      &network->log, &network->informant, err);

	if (status < 0)
		(void)fd_close(fd);
	return status;
}

static int create_bind(struct vmnet_network *network,
		       const struct vmnet_network_configuration *config, struct error *err)
{
	for (size_t i = 0; i < config->forward_count; i++) {
		struct vmnet_port_forward bound;
		int status = network_bind_forward(network, &config->forwards[i], &bound, err);

		if (status < 0)
			return status;
	}
	return 0;
}

/* One for each family where a forward stands for both. */
static uint32_t create_forward_sockets(const struct vmnet_network_configuration *config)
{
	uint32_t count = 0;

	for (size_t i = 0; i < config->forward_count; i++) {
		sa_family_t family = config->forwards[i].external_family;

		count += family == AF_INET || family == AF_INET6 ? 1 : 2;
	}
	return count;
}

static struct vmnet_network *create_network(const struct vmnet_network_configuration *config)
{
	struct vmnet_network *network = calloc(1, sizeof(*network));

	if (!network)
		return NULL;
	atomic_init(&network->references, 1);
	network->config = *config;
	network->config.capture_fd = -1;
	network->config.informant_fd = -1;
	network->config.forwards = NULL;
	network->config.forward_count = 0;
	network->config.document_count = 0;		 /* the gateway has its own */
	network->config.rules = (struct policy_rules){}; /* the filter has its own */
	network->forward_sockets = create_forward_sockets(config);
	list_init(&network->forwards);
	(void)pthread_mutex_init(&network->forwards_lock, NULL); /* cannot fail on Linux */
	if (config->log_callback)
		network->log = (struct log){ .write = create_log,
					     .context = network,
					     .most = LOG_LEVEL_DEBUG };
	return network;
}

/* The program's turn to give up rights: everything that needs one has been had. */
static int create_give_up_rights(struct vmnet_network *network,
				 const struct vmnet_network_configuration *config,
				 struct error *err)
{
	char sentence[ERROR_TEXT_SIZE] = "";

	if (network->informant)
		registry_leave(network->registry);
	if (!config->before_thread)
		return 0;
	int status = config->before_thread(config->before_thread_context, sentence);
	if (status >= 0)
		return 0;
	sentence[sizeof(sentence) - 1] = '\0';
	if (sentence[0] != '\0')
		error_set(err, "%s", sentence);
	return status;
}

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref config,
				       vmnet_return_t *status)
{
	struct vmnet_network *network = create_network(config);
	struct error err = {};
	int result = network ? create_reserve(network, &err) : -ENOMEM;

	if (result == 0)
		result = create_ask_informant(network, config, &err);
	if (result == 0)
		result = network_stages_new(network, config, &err);
	if (result == 0)
		result = create_bind(network, config, &err);
	if (result == 0)
		result = create_give_up_rights(network, config, &err);
	if (result == 0) {
		nat_try_ping(network->nat);
		result = network_start(network, &err);
	}
	if (result < 0) {
		if (network)
			network_free(network);
		network = NULL;
		if (err.text[0] == '\0')
			error_set(&err, "cannot create the network: %s", strerror(-result));
	}
	config->error = err;
	if (status)
		*status = result == 0 ? VMNET_SUCCESS : configuration_status_of(result);
	return network;
}
