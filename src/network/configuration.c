#include "network/configuration.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/utf8.h"

/* Characters of a label; a name a person can read, not a text. */
#define CONFIGURATION_LABEL_LENGTH 64

struct mac_addr configuration_mac(const ether_addr_t *addr)
{
	struct mac_addr mac;

	memcpy(mac.octet, addr->ether_addr_octet, sizeof(mac.octet));
	return mac;
}

vmnet_return_t configuration_status_of(int negative_errno)
{
	switch (-negative_errno) {
	case ENOMEM:
		return VMNET_MEM_FAILURE;
	case EINVAL:
		return VMNET_INVALID_ARGUMENT;
	case EACCES:
	case EPERM:
		return VMNET_INVALID_ACCESS;
	case EADDRINUSE:
	case EBUSY:
	case EEXIST:
		return VMNET_SHARING_SERVICE_BUSY;
	case ENOSPC:
		return VMNET_BUFFER_EXHAUSTED;
	default:
		return VMNET_FAILURE;
	}
}

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode,
								   vmnet_return_t *status)
{
	vmnet_return_t result = VMNET_SUCCESS;
	struct vmnet_network_configuration *config = NULL;

	if (mode != VMNET_SHARED_MODE && mode != VMNET_HOST_MODE) {
		result = VMNET_INVALID_ARGUMENT;
	} else {
		config = calloc(1, sizeof(*config));
		if (!config)
			result = VMNET_MEM_FAILURE;
	}
	if (config) {
		config->mode = mode;
		config->nat = mode == VMNET_SHARED_MODE;
		config->dhcp = true;
		config->dns = true;
		config->mtu = 1500;
		config->busy_poll_us = CONFIGURATION_BUSY_POLL_US;
		config->prefix_length = 24;
		config->capture_fd = -1;
		config->informant_fd = -1;
	}
	if (status)
		*status = result;
	return config;
}

void vmnet_network_configuration_release(vmnet_network_configuration_ref config)
{
	if (!config)
		return;
	(void)fd_close(config->capture_fd);
	(void)fd_close(config->informant_fd);
	free(config->forwards);
	for (size_t i = 0; i < config->document_count; i++) {
		free((void *)(uintptr_t)config->documents[i].path);
		free((void *)(uintptr_t)config->documents[i].bytes);
	}
	policy_rules_free(&config->rules);
	free(config);
}

const char *vmnet_network_configuration_get_error(vmnet_network_configuration_ref config)
{
	return config->error.text;
}

static vmnet_return_t configuration_ok(struct vmnet_network_configuration *config)
{
	config->error.text[0] = '\0';
	return VMNET_SUCCESS;
}

#define CONFIGURATION_REFUSE(config, ...)                                                          \
	(error_set(&(config)->error, __VA_ARGS__), VMNET_INVALID_ARGUMENT)

/* --- subnet, MTU ------------------------------------------------------------------------ */

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref config,
							   const struct in_addr *subnet,
							   const struct in_addr *mask)
{
	struct ip_prefix prefix;
	char text[IP_PREFIX_TEXT_SIZE];
	char mask_text[IP_ADDR_TEXT_SIZE];

	if (!subnet || !mask)
		return CONFIGURATION_REFUSE(config, "a subnet needs an address and a mask");
	prefix.addr = ip_addr_from_v4(ntohl(subnet->s_addr));
	if (!ip_mask_to_length(ntohl(mask->s_addr), &prefix.length)) {
		struct ip_addr mask_addr = ip_addr_from_v4(ntohl(mask->s_addr));
		return CONFIGURATION_REFUSE(config, "mask %s is not contiguous",
					    ip_addr_format(&mask_addr, mask_text));
	}
	struct ip_prefix canonical = ip_prefix_canonical(&prefix);
	ip_prefix_format(&prefix, text);
	if (prefix.length < 8 || prefix.length > 30)
		return CONFIGURATION_REFUSE(config, "subnet %s: the prefix must be /8 to /30",
					    text);
	if (!ip_prefix_is_rfc1918(&canonical))
		return CONFIGURATION_REFUSE(
			config,
			"subnet %s is not inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
			text);
	uint32_t host = ip_addr_to_v4(&prefix.addr) - ip_prefix_first_v4(&canonical);
	if (host > 1) {
		char canonical_text[IP_PREFIX_TEXT_SIZE];
		return CONFIGURATION_REFUSE(config,
					    "subnet %s has host bits beyond the first host; use %s",
					    text, ip_prefix_format(&canonical, canonical_text));
	}
	/* Reservations that were set before must fit, too. */
	struct gateway_reservation completed[GATEWAY_MAX_RESERVATIONS];
	const struct ip_addr any = {};
	if (configuration_complete(config, &canonical, &any, completed, &config->error) < 0)
		return VMNET_INVALID_ARGUMENT;
	config->subnet = canonical;
	return configuration_ok(config);
}

vmnet_return_t vmnet_network_configuration_set_prefix_length(vmnet_network_configuration_ref config,
							     uint8_t length)
{
	if (length < 8 || length > 30)
		return CONFIGURATION_REFUSE(config, "prefix length %u: it must be 8 to 30",
					    (unsigned)length);
	config->prefix_length = length;
	return configuration_ok(config);
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref config,
						   uint32_t mtu)
{
	if (mtu < CONFIGURATION_MTU_MIN || mtu > CONFIGURATION_MTU_MAX)
		return CONFIGURATION_REFUSE(config, "MTU %u: it must be %d to %d", mtu,
					    CONFIGURATION_MTU_MIN, CONFIGURATION_MTU_MAX);
	config->mtu = mtu;
	return configuration_ok(config);
}

vmnet_return_t vmnet_network_configuration_set_busy_poll(vmnet_network_configuration_ref config,
							 uint32_t microseconds)
{
	if (microseconds > CONFIGURATION_BUSY_POLL_MAX_US)
		return CONFIGURATION_REFUSE(config, "busy poll of %u us: it must be 0 to %d",
					    microseconds, CONFIGURATION_BUSY_POLL_MAX_US);
	config->busy_poll_us = microseconds;
	return configuration_ok(config);
}

/* --- reservations ----------------------------------------------------------------------- */

bool configuration_judge_address(const struct ip_prefix *subnet, const struct ip_addr *addr,
				 struct error *err)
{
	char text[IP_ADDR_TEXT_SIZE];
	char subnet_text[IP_PREFIX_TEXT_SIZE];

	ip_addr_format(addr, text);
	ip_prefix_format(subnet, subnet_text);
	uint32_t host = ip_addr_to_v4(addr);
	if (!ip_prefix_contains(subnet, addr))
		error_set(err, "reservation %s is outside the subnet %s", text, subnet_text);
	else if (host == ip_prefix_first_v4(subnet))
		error_set(err, "reservation %s is the network address of %s", text, subnet_text);
	else if (host == ip_prefix_last_v4(subnet))
		error_set(err, "reservation %s is the broadcast address of %s", text, subnet_text);
	else if (host == ip_prefix_first_v4(subnet) + 1)
		error_set(err, "reservation %s is the gateway's address in %s", text, subnet_text);
	else
		return true;
	return false;
}

static bool configuration_is_reserved(const struct gateway_reservation *reservations,
				      uint32_t count, const struct ip_addr *addr)
{
	for (uint32_t i = 0; i < count; i++) {
		if (ip_addr_equal(&reservations[i].addr, addr))
			return true;
	}
	return false;
}

/* The first guest address that nobody has, `preferred` before all others. */
static bool configuration_choose(const struct gateway_reservation *reservations, uint32_t count,
				 const struct ip_prefix *subnet, const struct ip_addr *preferred,
				 struct ip_addr *ret_addr)
{
	if (preferred->family == IP_FAMILY_V4 && ip_prefix_contains(subnet, preferred) &&
	    !configuration_is_reserved(reservations, count, preferred)) {
		*ret_addr = *preferred;
		return true;
	}
	uint32_t last = ip_prefix_last_v4(subnet);

	for (uint32_t host = ip_prefix_first_v4(subnet) + 2; host < last; host++) {
		struct ip_addr addr = ip_addr_from_v4(host);

		if (!configuration_is_reserved(reservations, count, &addr)) {
			*ret_addr = addr;
			return true;
		}
	}
	return false;
}

int configuration_complete(const struct vmnet_network_configuration *config,
			   const struct ip_prefix *subnet, const struct ip_addr *guest,
			   struct gateway_reservation *reservations, struct error *err)
{
	uint32_t count = config->reservation_count;
	char text[IP_PREFIX_TEXT_SIZE];

	memcpy(reservations, config->reservations, count * sizeof(*reservations));
	for (uint32_t i = 0; i < count; i++) {
		if (reservations[i].addr.family != IP_FAMILY_NONE &&
		    !configuration_judge_address(subnet, &reservations[i].addr, err))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (reservations[i].addr.family == IP_FAMILY_NONE &&
		    !configuration_choose(reservations, count, subnet, guest,
					  &reservations[i].addr)) {
			error_set(err, "subnet %s has fewer guest addresses than reservations",
				  ip_prefix_format(subnet, text));
			return -EINVAL;
		}
	}
	return 0;
}

vmnet_return_t
vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref config,
						 const ether_addr_t *client,
						 const struct in_addr *reservation)
{
	struct gateway_reservation added = {};
	char mac_text[MAC_ADDR_TEXT_SIZE];
	char addr_text[IP_ADDR_TEXT_SIZE];

	if (!client || !reservation)
		return CONFIGURATION_REFUSE(config, "a reservation needs a MAC and an address");
	added.mac = configuration_mac(client);
	mac_addr_format(&added.mac, mac_text);
	if (mac_addr_is_multicast(&added.mac) || mac_addr_is_zero(&added.mac))
		return CONFIGURATION_REFUSE(config, "MAC address %s cannot be a guest's", mac_text);
	if (reservation->s_addr != 0)
		added.addr = ip_addr_from_v4(ntohl(reservation->s_addr));
	if (config->reservation_count == GATEWAY_MAX_RESERVATIONS)
		return CONFIGURATION_REFUSE(config, "more than %d reservations",
					    GATEWAY_MAX_RESERVATIONS);
	for (uint32_t i = 0; i < config->reservation_count; i++) {
		if (mac_addr_equal(&config->reservations[i].mac, &added.mac))
			return CONFIGURATION_REFUSE(
				config, "MAC address %s has a reservation already", mac_text);
	}
	if (added.addr.family != IP_FAMILY_NONE) {
		const struct ip_prefix one = { added.addr, 32 };

		if (!ip_prefix_is_rfc1918(&one))
			return CONFIGURATION_REFUSE(
				config,
				"reservation %s is not inside 10.0.0.0/8, 172.16.0.0/12 or "
				"192.168.0.0/16",
				ip_addr_format(&added.addr, addr_text));
		if (configuration_is_reserved(config->reservations, config->reservation_count,
					      &added.addr))
			return CONFIGURATION_REFUSE(config, "address %s is reserved already",
						    ip_addr_format(&added.addr, addr_text));
		if (config->subnet.addr.family != IP_FAMILY_NONE &&
		    !configuration_judge_address(&config->subnet, &added.addr, &config->error))
			return VMNET_INVALID_ARGUMENT;
	}
	config->reservations[config->reservation_count++] = added;
	return configuration_ok(config);
}

/* --- switches --------------------------------------------------------------------------- */

void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref config)
{
	config->nat = false;
}

void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref config)
{
	config->dhcp = false;
}

void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref config)
{
	config->dns = false;
}

void vmnet_network_configuration_allow_metadata(vmnet_network_configuration_ref config)
{
	config->allow_metadata = true;
}

void vmnet_network_configuration_set_udp_endpoint_independent_filtering(
	vmnet_network_configuration_ref config, bool enabled)
{
	config->udp_endpoint_independent_filtering = enabled;
}

vmnet_return_t vmnet_network_configuration_set_host_access(vmnet_network_configuration_ref config,
							   vmnet_host_access_t access)
{
	if (access != VMNET_HOST_ACCESS_NONE && access != VMNET_HOST_ACCESS_LAN &&
	    access != VMNET_HOST_ACCESS_LOOPBACK)
		return CONFIGURATION_REFUSE(config, "unknown host access %d", (int)access);
	config->host_access = access;
	return configuration_ok(config);
}

void vmnet_network_configuration_set_log_callback(vmnet_network_configuration_ref config,
						  void (*callback)(void *context,
								   enum vmnet_log_level level,
								   const char *line),
						  void *context)
{
	config->log_callback = callback;
	config->log_context = context;
}

/* One end of a connection between processes of this host. */
static bool configuration_is_informant(int fd)
{
	int domain = 0;
	int type = 0;
	socklen_t size = sizeof(domain);
	struct sockaddr_un peer;
	socklen_t peer_size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0;
}

vmnet_return_t vmnet_network_configuration_set_informant_fd(vmnet_network_configuration_ref config,
							    int fd)
{
	if (!configuration_is_informant(fd))
		return CONFIGURATION_REFUSE(
			config, "file descriptor %d is not a connected unix stream socket", fd);
	int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (duplicate < 0)
		return CONFIGURATION_REFUSE(config, "cannot duplicate file descriptor %d: %s", fd,
					    strerror(errno));
	(void)fd_close(config->informant_fd);
	config->informant_fd = duplicate;
	return configuration_ok(config);
}

void vmnet_network_configuration_set_before_thread(vmnet_network_configuration_ref config,
						   int (*call)(void *context, char error[512]),
						   void *context)
{
	config->before_thread = call;
	config->before_thread_context = context;
}

vmnet_return_t vmnet_network_configuration_set_capture_fd(vmnet_network_configuration_ref config,
							  int fd)
{
	int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (duplicate < 0)
		return CONFIGURATION_REFUSE(config, "cannot capture to file descriptor %d: %s", fd,
					    strerror(errno));
	(void)fd_close(config->capture_fd);
	config->capture_fd = duplicate;
	return configuration_ok(config);
}

/* --- documents -------------------------------------------------------------------------- */

/* What stands in a URL without being encoded, and no segment that a client would take out. */
static bool configuration_judge_path(const char *path)
{
	static const char marks[] = "-._~/";
	size_t size = strnlen(path, CONFIGURATION_DOCUMENT_PATH + 1);

	if (path[0] != '/' || size > CONFIGURATION_DOCUMENT_PATH)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)path[i]) && !strchr(marks, path[i]))
			return false;
		if (path[i] == '/' && path[i + 1] == '.')
			return false;
	}
	return true;
}

static vmnet_return_t configuration_keep_document(struct vmnet_network_configuration *config,
						  const char *path, const void *bytes, size_t size)
{
	char *path_copy = strdup(path);
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (!path_copy || !copy) {
		free(path_copy);
		free(copy);
		error_set(&config->error, "out of memory");
		return VMNET_MEM_FAILURE;
	}
	if (size > 0)
		memcpy(copy, bytes, size);
	struct gateway_document *document = &config->documents[config->document_count++];
	document->path = path_copy;
	document->bytes = copy;
	document->size = size;
	config->document_bytes += size;
	return configuration_ok(config);
}

vmnet_return_t vmnet_network_configuration_add_document(vmnet_network_configuration_ref config,
							const char *path, const void *bytes,
							size_t size)
{
	if (!path || (!bytes && size > 0))
		return CONFIGURATION_REFUSE(config, "a document needs a path and its bytes");
	if (!configuration_judge_path(path))
		return CONFIGURATION_REFUSE(
			config,
			"document \"%.80s\": a path begins with \"/\" and has at "
			"most %d of A-Z a-z 0-9 - . _ ~ /, no \".\" behind a \"/\"",
			path, CONFIGURATION_DOCUMENT_PATH);
	for (size_t i = 0; i < config->document_count; i++) {
		if (strcmp(config->documents[i].path, path) == 0)
			return CONFIGURATION_REFUSE(config, "document \"%s\" is there already",
						    path);
	}
	if (config->document_count == CONFIGURATION_MAX_DOCUMENTS)
		return CONFIGURATION_REFUSE(config, "more than %d documents",
					    CONFIGURATION_MAX_DOCUMENTS);
	if (size > CONFIGURATION_DOCUMENT_BYTES - config->document_bytes)
		return CONFIGURATION_REFUSE(config, "documents of more than %u bytes in total",
					    CONFIGURATION_DOCUMENT_BYTES);
	return configuration_keep_document(config, path, bytes, size);
}

/* --- names ------------------------------------------------------------------------------ */

/* The whole text is judged, also what is cut off. */
bool configuration_cut_label(const char *text, char ret_label[CONFIGURATION_LABEL_SIZE],
			     struct error *err)
{
	size_t characters = 0;
	bool blank = true;
	uint32_t code;
	bool valid;
	size_t size;

	for (size_t at = 0; (size = utf8_decode(text + at, &code, &valid)); at += size) {
		if (!valid) {
			error_set(err, "the label is not UTF-8");
			return false;
		}
		if (utf8_is_control(code)) {
			error_set(err, "a label must not have control characters (U+%04X)", code);
			return false;
		}
		if (characters++ < CONFIGURATION_LABEL_LENGTH)
			blank = blank && utf8_is_blank(code);
	}
	if (blank) {
		error_set(err, "a label must not be empty or blank");
		return false;
	}
	size = utf8_cut(text, strlen(text), CONFIGURATION_LABEL_LENGTH);
	memcpy(ret_label, text, size);
	ret_label[size] = '\0';
	return true;
}

vmnet_return_t vmnet_network_configuration_set_label(vmnet_network_configuration_ref config,
						     const char *label)
{
	if (!configuration_cut_label(label ? label : "", config->label, &config->error))
		return VMNET_INVALID_ARGUMENT;
	return configuration_ok(config);
}

vmnet_return_t vmnet_network_configuration_set_assignment(vmnet_network_configuration_ref config,
							  const char *key, const ether_addr_t *seed)
{
	size_t size = key ? strnlen(key, sizeof(config->key)) : 0;

	if (size == 0 || size == sizeof(config->key))
		return CONFIGURATION_REFUSE(config, "an assignment's key must have 1 to %zu bytes",
					    sizeof(config->key) - 1);
	if (!seed)
		return CONFIGURATION_REFUSE(config, "an assignment needs a MAC address as seed");
	memcpy(config->key, key, size + 1);
	config->seed = configuration_mac(seed);
	return configuration_ok(config);
}

static vmnet_return_t configuration_set_path(struct vmnet_network_configuration *config,
					     char *stored, const char *path)
{
	size_t size = path ? strnlen(path, CONFIGURATION_PATH_SIZE) : 0;

	if (size == 0 || size == CONFIGURATION_PATH_SIZE)
		return CONFIGURATION_REFUSE(config, "a directory's path must have 1 to %d bytes",
					    CONFIGURATION_PATH_SIZE - 1);
	memcpy(stored, path, size + 1);
	return configuration_ok(config);
}

vmnet_return_t
vmnet_network_configuration_set_state_directory(vmnet_network_configuration_ref config,
						const char *path)
{
	return configuration_set_path(config, config->state_directory, path);
}

vmnet_return_t
vmnet_network_configuration_set_runtime_directory(vmnet_network_configuration_ref config,
						  const char *path)
{
	return configuration_set_path(config, config->runtime_directory, path);
}

/* RFC 1123 2.1: letters, digits and hyphens, no hyphen at either end, 63 at most. */
vmnet_return_t vmnet_network_configuration_set_hostname(vmnet_network_configuration_ref config,
							const char *hostname)
{
	size_t size = hostname ? strlen(hostname) : 0;
	bool ok = size > 0 && size <= 63 && hostname[0] != '-' && hostname[size - 1] != '-';

	for (size_t i = 0; ok && i < size; i++)
		ok = isalnum((unsigned char)hostname[i]) || hostname[i] == '-';
	if (!ok)
		return CONFIGURATION_REFUSE(
			config, "host name \"%.80s\": letters, digits and hyphens, at most 63",
			hostname ? hostname : "");
	memcpy(config->hostname, hostname, size + 1);
	return configuration_ok(config);
}
