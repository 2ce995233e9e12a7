/*
 * The engine in one process with a fake world (tests/scenario/rig), doing a known amount of work:
 * what bench/instructions runs under callgrind. No loss, always the same.
 *
 *     up, down       so many megabytes over one TCP connection
 *     connections    so many connections, one byte each way
 *     datagrams      so many questions of 1,400 bytes with their answers
 */

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rig/rig_one.h"

#define MEGABYTE   1000000ULL
#define WIRE_NS	   (50 * 1000ULL) /* one way, so that more than one frame is under way */
#define COUNT_MAX  1000000
#define FOR_LONG   (600 * NS_PER_S)
#define FIRST_PORT 20000
#define PORTS	   20000
#define ECHO_PORT  7
#define ECHO_SIZE  1400
#define LINE_SIZE  128
#define KIND_SIZE  6 /* of a word and a blank before a rule */

struct scenario_options {
	const char *work;
	uint64_t count;
	uint32_t mtu;
	enum nat_backlog backlog;
	const char *rules; /* a file; NULL = none */
};

enum {
	KEY_COUNT = 256,
	KEY_MTU,
	KEY_BACKLOG,
	KEY_RULES,
};

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "bench-scenario: %s\n", what);
	exit(1);
}

/* Rules of one kind, in the order of the file. */
struct rule_list {
	struct filter_rule *rules;
	size_t count;
};

static void add_rule(struct rule_list *list, const char *text)
{
	struct error err = { 0 };

	list->rules = reallocarray(list->rules, list->count + 1, sizeof(*list->rules));
	if (!list->rules)
		fail("out of memory");
	if (!filter_rule_parse(text_view_of(text), &list->rules[list->count++], &err))
		fail(err.text);
}

/* Lines "allow RULE" and "block RULE". */
static struct filter_policy *read_rules(const char *path)
{
	const struct ip_addr host = ip_addr_from_v4(RIG_ADDR_GATEWAY);
	struct rule_list allow = { 0 };
	struct rule_list block = { 0 };
	struct filter_policy *policy;
	struct error err = { 0 };
	char line[LINE_SIZE];
	FILE *file = fopen(path, "re");

	if (!file)
		fail(strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "allow ", KIND_SIZE) == 0)
			add_rule(&allow, line + KIND_SIZE);
		else if (strncmp(line, "block ", KIND_SIZE) == 0)
			add_rule(&block, line + KIND_SIZE);
		else
			fail("a rule is neither allow nor block");
	}
	(void)fclose(file);
	if (filter_policy_new(&host, allow.rules, allow.count, block.rules, block.count, &policy,
			      &err) < 0)
		fail(err.text);
	free(allow.rules);
	free(block.rules);
	return policy;
}

static struct rig_config configuration(const struct scenario_options *options)
{
	return (struct rig_config){
		.seed = 1,
		.whole = true,
		.backlog = options->backlog,
		.mtu = options->mtu,
		.up.delay_ns = WIRE_NS,
		.down.delay_ns = WIRE_NS,
		.policy = options->rules ? read_rules(options->rules) : NULL,
	};
}

static void report(const struct scenario_options *options, const struct rig *rig)
{
	printf("{\"work\": \"%s\", \"count\": %llu, \"frames_from_guest\": %llu, "
	       "\"frames_to_guest\": %llu, \"host_calls\": %llu}\n",
	       options->work, (unsigned long long)options->count,
	       (unsigned long long)rig->up.frames, (unsigned long long)rig->down.frames,
	       (unsigned long long)rig->host.calls);
}

static void bulk(const struct scenario_options *options, bool up)
{
	struct rig_config config = configuration(options);
	uint64_t size = options->count * MEGABYTE;
	struct rig_one one;
	const char *wrong;

	rig_one_init(&one, &config);
	one.options.mss = (uint16_t)(options->mtu - 40);
	one.options.mtu = (uint16_t)options->mtu;
	one.options.receive_capacity = 4 << 20;
	one.options.delay_acks = true;
	one.host.delay_ns = WIRE_NS;
	rig_one_sizes(&one, up ? size : 0, up ? 0 : size);
	rig_one_connect(&one);
	wrong = rig_one_is_open(&one) ? rig_one_finish(&one, FOR_LONG) : "no connection";
	if (wrong)
		fail(wrong);
	report(options, one.rig);
	rig_one_done(&one);
}

static bool is_over(void *context)
{
	return rig_tcp_is_over(context);
}

static void connections(const struct scenario_options *options)
{
	struct rig_config config = configuration(options);
	struct rig_one one;

	/* The question comes first, the answer is the same byte, then the guest closes. */
	rig_one_init(&one, &config);
	rig_one_sizes(&one, 1, 1);
	one.guest.end = RIG_APP_END_AFTER_HEARD;
	one.host.delay_ns = WIRE_NS;
	one.server.at = rig_endpoint(RIG_ADDR_SERVER, RIG_ONE_SERVER);
	one.server.plan = one.host;
	rig_host_add_server(&one.rig->host, &one.server);
	for (uint64_t i = 0; i < options->count; i++) {
		struct ip_endpoint own =
			rig_guest_endpoint(one.rig, (uint16_t)(FIRST_PORT + i % PORTS));

		rig_tcp_connect(&one.tcp, &one.rig->guest, &own, &one.server.at, &one.options,
				&one.guest);
		if (!rig_time_run_until(&one.rig->time, is_over, &one.tcp, FOR_LONG))
			fail("a connection does not end");
		if (!rig_tcp_is_content(&one.tcp))
			fail("a connection ended badly");
		rig_tcp_done(&one.tcp);
	}
	report(options, one.rig);
	rig_one_done(&one);
}

static void count_answer(void *context, const struct packet *packet, const uint8_t *payload,
			 size_t size)
{
	(void)packet;
	(void)payload;
	if (size == ECHO_SIZE)
		++*(uint64_t *)context;
}

static void datagrams(const struct scenario_options *options)
{
	static const uint8_t bytes[ECHO_SIZE];
	struct rig_config config = configuration(options);
	struct rig *rig = rig_new(&config);
	struct ip_endpoint own = rig_guest_endpoint(rig, FIRST_PORT);
	struct ip_endpoint to = rig_endpoint(RIG_ADDR_SERVER, ECHO_PORT);
	struct rig_udp_server server = { .at = to, .echo = true, .icmp_type = -1 };
	uint64_t answers = 0;

	rig_host_add_udp_server(&rig->host, &server);
	rig->guest.packet = count_answer;
	rig->guest.context = &answers;
	rig_guest_announce(&rig->guest);
	for (uint64_t i = 0; i < options->count; i++) {
		rig_guest_send_udp(&rig->guest, &own, &to, bytes, sizeof(bytes));
		rig_time_run(&rig->time, NS_PER_MS);
	}
	if (answers != options->count)
		fail("an answer is missing");
	report(options, rig);
	rig_free(rig);
}

static void bulk_up(const struct scenario_options *options)
{
	bulk(options, true);
}

static void bulk_down(const struct scenario_options *options)
{
	bulk(options, false);
}

static bool work(const struct scenario_options *options)
{
	static const struct {
		const char *name;
		void (*run)(const struct scenario_options *options);
	} works[] = {
		{ "up", bulk_up },
		{ "down", bulk_down },
		{ "connections", connections },
		{ "datagrams", datagrams },
	};

	for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
		if (strcmp(options->work, works[i].name) == 0) {
			works[i].run(options);
			return true;
		}
	}
	return false;
}

static uint64_t parse_number(struct argp_state *state, const char *option, const char *text,
			     uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (end == text || *end || number < least || number > most)
		argp_error(state, "invalid value \"%s\" for %s", text, option);
	return number;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct scenario_options *options = state->input;

	switch (key) {
	case KEY_COUNT:
		options->count = parse_number(state, "--count", argument, 1, COUNT_MAX);
		return 0;
	case KEY_MTU:
		options->mtu = (uint32_t)parse_number(state, "--mtu", argument, 576, 65520);
		return 0;
	case KEY_BACKLOG:
		if (strcmp(argument, "kept") != 0 && strcmp(argument, "peek") != 0)
			argp_error(state,
				   "invalid value \"%s\" for --backlog: expected kept or peek",
				   argument);
		options->backlog = argument[0] == 'k' ? NAT_BACKLOG_KEPT : NAT_BACKLOG_PEEK;
		return 0;
	case KEY_RULES:
		options->rules = argument;
		return 0;
	case ARGP_KEY_ARG:
		options->work = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->work)
			argp_error(state, "say what to do");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "count", KEY_COUNT, "N", 0, "Megabytes, connections or datagrams (default 10)",
		  0 },
		{ "mtu", KEY_MTU, "BYTES", 0, "MTU of the guest (default 1500)", 0 },
		{ "backlog", KEY_BACKLOG, "kept|peek", 0, "TCP back end (default kept)", 0 },
		{ "rules", KEY_RULES, "FILE", 0,
		  "Rules, a line each: allow or block, and the rule (default none)", 0 },
		{},
	};
	static const struct argp parser = {
		.options = table,
		.parser = parse,
		.args_doc = "up|down|connections|datagrams",
		.doc = "Runs a network in process, in a fake world, with a known amount of work.\v"
		       "Example:\n"
		       "  valgrind --tool=callgrind bench-scenario down --count 20\n",
	};
	struct scenario_options options = { .count = 10, .mtu = 1500 };

	argp_err_exit_status = 64;
	if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
		return 64;
	if (!work(&options)) {
		(void)fprintf(stderr, "bench-scenario: \"%s\" is no work that it knows\n",
			      options.work);
		return 64;
	}
	return 0;
}
