/* The state matrix (tcp_state_kinds.h): each state with each kind of segment, with both back ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig/rig.h"
#include "tcp_state_kinds.h"

struct lab {
	struct rig *rig;
	struct rig_server server;
	struct ip_endpoint guest;
	struct ip_endpoint remote; /* as the guest sees it */
	struct rig_peer *peer;
	uint32_t initial;
	uint32_t next;
	uint32_t unacked;
	uint32_t all;
	uint32_t edge;
	uint8_t shift;
};

#define LAB_WINDOW 60000
/* Long enough for the wires, shorter than any timer of TCP. */
#define LAB_MOMENT_NS (100 * NS_PER_US)

/* The last TCP segment that the guest heard after the first `since` ones; NULL = none. */
static const struct rig_heard *heard_since(const struct lab *lab, uint64_t since)
{
	uint64_t count = lab->rig->guest.heard_count;

	return count > since ? rig_guest_heard(&lab->rig->guest, count - 1) : NULL;
}

static void lab_send(struct lab *lab, uint8_t flags, uint32_t sequence, uint32_t acknowledgement,
		     size_t size)
{
	static const uint8_t bytes[64];
	struct rig_raw raw = {
		.header = { .flags = flags,
			    .sequence = sequence,
			    .acknowledgement = acknowledgement,
			    .window = LAB_WINDOW },
		.payload = bytes,
		.size = size,
	};

	rig_guest_send_raw(&lab->rig->guest, &lab->guest, &lab->remote, &raw);
	rig_time_run(&lab->rig->time, LAB_MOMENT_NS);
}

/* What the network said last, as the guest's TCP would take it. */
static void lab_listen(struct lab *lab)
{
	const struct rig_heard *heard = heard_since(lab, 0);
	uint32_t end;

	assert_non_null(heard);
	if (!heard)
		return;
	if (heard->tcp.flags & TCP_SYN) {
		lab->shift = 0;
		lab->unacked = heard->tcp.sequence;
	}
	end = heard->tcp.sequence + tcp_seq_size(heard->tcp.flags, heard->size);
	if (tcp_seq_after(end, lab->all) || heard->tcp.flags & TCP_SYN)
		lab->all = end;
	if (heard->tcp.flags & TCP_ACK)
		lab->edge = heard->tcp.acknowledgement + heard->tcp.window;
}

static void host_ends(struct lab *lab)
{
	lab->peer->app.plan.end = RIG_APP_END_AFTER_SENT;
	lab->peer->app.kick(&lab->peer->app);
	rig_time_run(&lab->rig->time, NS_PER_MS);
	lab_listen(lab);
}

static void guest_ends(struct lab *lab, uint32_t acknowledgement)
{
	lab_send(lab, TCP_ACK | TCP_FIN, lab->next, acknowledgement, 0);
	lab->next++;
	lab_listen(lab);
}

static void lab_connect(struct lab *lab, bool established)
{
	lab_send(lab, TCP_SYN, lab->initial, 0, 0);
	rig_time_run(&lab->rig->time, 2 * NS_PER_S);
	lab->next = lab->initial + 1;
	lab->peer = lab->server.last;
	lab_listen(lab);
	if (!established)
		return;
	lab_send(lab, TCP_ACK, lab->next, lab->all, 0);
	lab->unacked = lab->all;
	/* Some bytes, so that there is something left of the window. */
	lab_send(lab, TCP_ACK | TCP_PSH, lab->next, lab->all, 20);
	lab->next += 20;
	rig_time_run(&lab->rig->time, NS_PER_MS);
	lab_listen(lab);
	assert_int_equal(lab->peer->app.heard, 20);
}

static void lab_client(struct lab *lab)
{
	struct rig_peer_plan plan = {
		.app = { .end = RIG_APP_END_NEVER, .expect_size = RIG_NEVER },
	};
	struct ip_endpoint forward = rig_endpoint(RIG_ADDR_HOST, 2222);

	lab->remote = rig_endpoint(RIG_ADDR_CLIENT, 50000);
	lab->guest = rig_guest_endpoint(lab->rig, 22);
	rig_forward(lab->rig, 2222, 22);
	lab->peer = rig_host_client(&lab->rig->host, &lab->remote, &forward, &plan);
	rig_time_run(&lab->rig->time, NS_PER_MS);
	lab_listen(lab);
}

static void lab_prepare(struct lab *lab, enum lab_state state)
{
	switch (state) {
	case NO_FLOW:
		break;
	case CONNECTING:
		lab_send(lab, TCP_SYN, lab->initial, 0, 0);
		lab->next = lab->initial + 1;
		break;
	case SYN_RECEIVED:
		lab_connect(lab, false);
		break;
	case SYN_SENT:
		lab_client(lab);
		break;
	case ESTABLISHED:
		lab_connect(lab, true);
		break;
	case FIN_WAIT_1:
		lab_connect(lab, true);
		host_ends(lab);
		break;
	case FIN_WAIT_2:
		lab_prepare(lab, FIN_WAIT_1);
		lab_send(lab, TCP_ACK, lab->next, lab->all, 0);
		lab->unacked = lab->all;
		break;
	case CLOSE_WAIT:
		lab_connect(lab, true);
		guest_ends(lab, lab->all);
		break;
	case CLOSING:
		lab_prepare(lab, FIN_WAIT_1);
		guest_ends(lab, lab->unacked);
		break;
	case LAST_ACK:
		lab_prepare(lab, CLOSE_WAIT);
		host_ends(lab);
		break;
	case TIME_WAIT:
		lab_prepare(lab, FIN_WAIT_2);
		guest_ends(lab, lab->all);
		break;
	case LAB_STATES:
		break;
	}
}

static const struct tcp_flow *lab_flow(const struct lab *lab)
{
	return tcp_flow_find(rig_tcp_table(lab->rig), &lab->guest, &lab->remote);
}

/* Is the flow what the state says? */
static bool lab_is_in(const struct lab *lab, enum lab_state state)
{
	const struct tcp_flow *flow = lab_flow(lab);

	if (!flow)
		return state == NO_FLOW;
	bool open = flow->phase == TCP_PHASE_OPEN;
	switch (state) {
	case NO_FLOW:
		return false;
	case CONNECTING:
		return flow->phase == TCP_PHASE_CONNECTING;
	case SYN_RECEIVED:
		return flow->phase == TCP_PHASE_SYN_RECEIVED;
	case SYN_SENT:
		return flow->phase == TCP_PHASE_SYN_SENT;
	case ESTABLISHED:
		return open && !flow->up_finished && !flow->fin_sent;
	case FIN_WAIT_1:
		return open && !flow->up_finished && flow->fin_sent && !flow->fin_acknowledged;
	case FIN_WAIT_2:
		return open && !flow->up_finished && flow->fin_acknowledged;
	case CLOSE_WAIT:
		return open && flow->up_finished && !flow->fin_sent;
	case CLOSING:
		return open && flow->up_finished && flow->fin_sent && flow->closed_first;
	case LAST_ACK:
		return open && flow->up_finished && flow->fin_sent && !flow->closed_first;
	case TIME_WAIT:
		return flow->phase == TCP_PHASE_TIME_WAIT;
	case LAB_STATES:
		break;
	}
	return false;
}

/* The state after a FIN of the guest, or an acknowledgement of ours. */
static enum lab_state state_after(enum lab_state state, char reaction)
{
	if (reaction == 'N')
		return CONNECTING;
	if (reaction == 'S')
		return SYN_RECEIVED;
	if (reaction == 'E')
		return NO_FLOW;
	if (reaction == 'O')
		return ESTABLISHED;
	if (reaction == 'W')
		return state == CLOSING ? TIME_WAIT : FIN_WAIT_2;
	if (reaction == 'T')
		return state == SYN_RECEIVED ? ESTABLISHED : state;
	if (reaction == 'F' && state == FIN_WAIT_1)
		return CLOSING;
	if (reaction == 'F' && state == FIN_WAIT_2)
		return TIME_WAIT;
	if (reaction == 'F')
		return CLOSE_WAIT;
	return state;
}

struct outcome {
	const struct rig_heard *answer;
	uint32_t before; /* the guest's next number */
	const struct kind *kind;
};

static bool is_plain_ack(const struct rig_heard *answer, uint32_t acknowledgement)
{
	return answer && answer->tcp.flags == TCP_ACK &&
	       answer->tcp.acknowledgement == acknowledgement;
}

static bool answer_fits(const struct lab *lab, char reaction, const struct outcome *outcome)
{
	const struct rig_heard *answer = outcome->answer;
	uint32_t end = outcome->before + (uint32_t)(outcome->kind->size) +
		       (uint32_t)(outcome->kind->base == AT_NEXT ? outcome->kind->sequence : 0);

	switch (reaction) {
	case '.':
	case 'N':
	case 'E':
	case 'W':
		return !answer;
	case 'A':
		return is_plain_ack(answer, lab->next);
	case 'R':
		return answer && answer->tcp.flags & TCP_RST;
	case 'S':
		return answer && answer->tcp.flags == (TCP_SYN | TCP_ACK);
	case 'O':
		return !answer || answer->tcp.flags == TCP_ACK;
	case 'T':
		return is_plain_ack(answer, end);
	case 'F':
		return is_plain_ack(answer, end + 1);
	default:
		return false;
	}
}

static struct rig_raw make_segment(const struct lab *lab, const struct kind *kind,
				   enum lab_state state)
{
	static const uint8_t bytes[64];
	struct rig_raw raw = {
		.header = { .flags = kind->flags, .window = LAB_WINDOW, .urgent = kind->urgent },
		.payload = bytes,
		.size = kind->size,
		.bad_checksum = kind->bad_checksum,
	};
	uint32_t base = kind->base == AT_EDGE	   ? lab->edge
			: kind->base == AT_INITIAL ? lab->initial
						   : lab->next;

	raw.header.sequence = base + (uint32_t)kind->sequence;
	if (kind->ack == ACK_ALL ||
	    (kind->ack == ACK_USUAL && (state == SYN_RECEIVED || state == SYN_SENT)))
		raw.header.acknowledgement = lab->all;
	else if (kind->ack != ACK_NONE)
		raw.header.acknowledgement = lab->unacked;
	raw.header.acknowledgement += (uint32_t)kind->ack_by;
	return raw;
}

static void explain(enum lab_state state, const struct kind *kind, char expected,
		    const struct rig_heard *answer, const struct tcp_flow *flow)
{
	printf("# %s, %s: expected %c; answer %s flags 0x%02x; flow %s phase %d up %d sent %d "
	       "acknowledged %d\n",
	       state_name[state], kind->name, expected, answer ? "with" : "none",
	       answer ? answer->tcp.flags : 0U, flow ? "lives, in" : "gone,",
	       flow ? (int)flow->phase : 0, flow && flow->up_finished, flow && flow->fin_sent,
	       flow && flow->fin_acknowledged);
}

/* After anything that is not to change anything, the connection goes on. */
static bool still_works(struct lab *lab)
{
	uint64_t since = lab->rig->guest.heard_count;

	lab_send(lab, TCP_ACK | TCP_PSH, lab->next, lab->all, 4);
	return is_plain_ack(heard_since(lab, since), lab->next + 4);
}

static bool one_cell(enum lab_state state, const struct kind *kind, enum nat_backlog backlog)
{
	struct rig_config config = { .seed = 7, .backlog = backlog };
	struct lab *lab = calloc(1, sizeof(*lab));
	char expected = kind->reaction[state];
	bool fits;

	assert_non_null(lab);
	lab->rig = rig_new(&config);
	lab->rig->guest.silent = true;
	lab->initial = UINT32_MAX - 10; /* the numbers pass 0 on their way */
	lab->next = lab->initial;
	lab->edge = lab->initial + 65535;
	lab->guest = rig_guest_endpoint(lab->rig, 40000);
	lab->remote = rig_endpoint(RIG_ADDR_SERVER, 80);
	lab->server = (struct rig_server){
		.at = lab->remote,
		.delay_ns = NS_PER_S,
		.plan.app = { .end = RIG_APP_END_NEVER, .expect_size = RIG_NEVER },
	};
	rig_host_add_server(&lab->rig->host, &lab->server);
	lab_prepare(lab, state);
	assert_true(lab_is_in(lab, state));

	uint64_t since = lab->rig->guest.heard_count;
	struct rig_raw raw = make_segment(lab, kind, state);
	rig_guest_send_raw(&lab->rig->guest, &lab->guest, &lab->remote, &raw);
	rig_time_run(&lab->rig->time, LAB_MOMENT_NS);
	struct outcome outcome = { heard_since(lab, since), lab->next, kind };
	fits = answer_fits(lab, expected, &outcome) && lab_is_in(lab, state_after(state, expected));
	if (!fits)
		explain(state, kind, expected, outcome.answer, lab_flow(lab));
	if (fits && state == ESTABLISHED && strchr(".A", expected) && !still_works(lab)) {
		printf("# %s, %s: the connection is broken\n", state_name[state], kind->name);
		fits = false;
	}
	rig_time_run(&lab->rig->time, NS_PER_S);
	rig_free(lab->rig);
	free(lab);
	return fits;
}

static void test_matrix(enum nat_backlog backlog)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		assert_int_equal(strlen(kinds[i].reaction), LAB_STATES);
		for (int state = NO_FLOW; state < LAB_STATES; state++)
			wrong += !one_cell((enum lab_state)state, &kinds[i], backlog);
	}
	assert_int_equal(wrong, 0);
}

static void test_matrix_kept(void **state)
{
	(void)state;
	test_matrix(NAT_BACKLOG_KEPT);
}

static void test_matrix_peek(void **state)
{
	(void)state;
	test_matrix(NAT_BACKLOG_PEEK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix_kept),
		cmocka_unit_test(test_matrix_peek),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
