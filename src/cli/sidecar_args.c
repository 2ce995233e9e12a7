#include "cli/sidecar_args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/network_options.h"
#include "cli/sidecar_options.h"

#define OWN_MOST ((size_t)32) /* words that are not of the user's options */

struct builder {
	struct sidecar_args args;
	bool failed;
};

static void add(struct builder *builder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct builder *builder, const char *format, ...)
{
	struct sidecar_args *args = &builder->args;
	va_list values;

	if (builder->failed)
		return;
	va_start(values, format);
	if (vasprintf(&args->argv[args->count], format, values) < 0) {
		args->argv[args->count] = NULL;
		builder->failed = true;
	} else {
		args->count++;
	}
	va_end(values);
}

static void add_text(struct builder *builder, const char *option, const char *text)
{
	if (text)
		add(builder, "%s=%s", option, text);
}

static void add_fd(struct builder *builder, const char *option, int fd)
{
	if (fd >= 0)
		add(builder, "%s=%d", option, fd);
}

static const char *backlog_name(enum vmnet_tcp_backlog backlog)
{
	switch (backlog) {
	case VMNET_TCP_BACKLOG_AUTO:
		return NULL; /* the default */
	case VMNET_TCP_BACKLOG_KEPT:
		return "kept";
	case VMNET_TCP_BACKLOG_PEEK:
		return "peek";
	}
	return NULL;
}

static void add_network(struct builder *builder, const struct sidecar_command *command)
{
	const struct network_options *network = command->network;
	char subnet[IP_PREFIX_TEXT_SIZE];

	add_text(builder, "--label", command->label);
	add_text(builder, "--state-directory", command->state_directory);
	if (command->subnet)
		add_text(builder, "--subnet", ip_prefix_format(command->subnet, subnet));
	else
		add_text(builder, "--assignment", command->assignment);
	add_text(builder, "--hostname", command->hostname);
	if (network->mtu != 0)
		add(builder, "--mtu=%u", (unsigned)network->mtu);
	if (network->has_busy_poll)
		add(builder, "--busy-poll=%u", (unsigned)network->busy_poll_us);
	add_text(builder, "--tcp-backlog", backlog_name(network->tcp_backlog));
	for (size_t i = 0; i < command->document_count; i++)
		add(builder, "--document=%s=%d", command->documents[i].path,
		    command->documents[i].fd);
}

int sidecar_args_build(const struct sidecar_command *command, struct sidecar_args *ret_args)
{
	const struct sidecar_options *options = command->options;
	size_t words = OWN_MOST + options->passed_count;
	struct builder builder = { .failed = false };
	char mac[MAC_ADDR_TEXT_SIZE];

	builder.args.argv = calloc(words + 1, sizeof(*builder.args.argv));
	builder.failed = !builder.args.argv;
	add(&builder, "%s", command->program);
	add_fd(&builder, "--vm-fd", command->vm_fd);
	add_text(&builder, "--attach", net_attach_name(command->attach));
	if (command->attach == NET_ATTACH_VHOST_USER)
		add(&builder, "--vm-once"); /* it listens for QEMU, which connects once */
	add_text(&builder, "--vm-mac-address", mac_addr_format(&command->mac, mac));
	add_fd(&builder, "--report-fd", command->report_fd);
	if (options->has_control)
		add_fd(&builder, "--control-fd", options->control_fd);
	add_fd(&builder, "--capture-fd", command->capture_fd);
	add_network(&builder, command);
	add_text(&builder, "--expose-address", command->expose_address);
	for (size_t i = 0; i < options->passed_count; i++)
		add(&builder, "%s", options->passed[i]);
	if (builder.failed) {
		sidecar_args_done(&builder.args);
		return -ENOMEM;
	}
	*ret_args = builder.args;
	return 0;
}

void sidecar_args_done(struct sidecar_args *args)
{
	for (size_t i = 0; i < args->count; i++)
		free(args->argv[i]);
	free(args->argv);
	*args = (struct sidecar_args){ 0 };
}
