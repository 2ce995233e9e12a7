/* What the agent in a guest answers, of any bytes and in any pieces: the first byte is the size of a
 * piece. Each line is taken for an answer to everything that we ask. */

#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "vm/agent_answer.h"
#include "vm/agent_lines.h"

/* So that inputs reach it. */
#define LINE_MOST ((size_t)512)

static void take_value(const json_t *value)
{
	const struct mac_addr mac = { { 0x02, 0, 0, 0, 0, 1 } };
	struct agent_exec_status status;
	struct ip_addr address;
	int64_t pid;

	if (agent_answer_pid(value, &pid))
		FUZZ_CHECK(pid >= 0);
	if (agent_answer_address(value, &mac, &address))
		FUZZ_CHECK(ip_addr_is_v4(&address) && !ip_addr_is_loopback(&address));
	if (agent_answer_status(value, &status)) {
		FUZZ_CHECK(status.exit_code >= 0 && status.exit_code <= 255);
		FUZZ_CHECK(status.output.bytes || status.output.size == 0);
		FUZZ_CHECK(status.output.size + status.errors.size < LINE_MOST);
		FUZZ_CHECK(status.exited || (!status.output.bytes && !status.errors.bytes));
		agent_exec_status_done(&status);
	}
}

static void take_line(const char *line, size_t size)
{
	struct error err = { .text = "" };
	json_t *value = NULL;

	FUZZ_CHECK(size < LINE_MOST && !memchr(line, '\n', size));
	int r = agent_answer_parse(line, size, &value, &err);
	FUZZ_CHECK((r == 0) == (value != NULL));
	FUZZ_CHECK(r == 0 || r == -EREMOTEIO || r == -EPROTO);
	FUZZ_CHECK(r == -EREMOTEIO || err.text[0] == 0);
	if (r == 0)
		take_value(value);
	json_decref(value);
}

/* False when a line is too long. */
static bool add(struct agent_lines *lines, const uint8_t *data, size_t size)
{
	while (size > 0) {
		char *room;
		size_t part;
		int r = agent_lines_reserve(lines, LINE_MOST, &room, &part);

		if (r == -ENOBUFS)
			return false;
		FUZZ_CHECK(r == 0 && part > 0);
		if (part > size)
			part = size;
		memcpy(room, data, part);
		agent_lines_added(lines, part);
		data += part;
		size -= part;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size > 0 ? (size_t)data[0] + 1 : 1;
	struct agent_lines lines = { 0 };
	const char *line;
	size_t length;

	for (size_t at = 1; at < size; at += piece) {
		if (!add(&lines, data + at, size - at < piece ? size - at : piece))
			agent_lines_drop(&lines);
		(void)agent_lines_skip_to_delimiter(&lines);
		FUZZ_CHECK(!agent_lines_skip_to_delimiter(&lines));
		while (agent_lines_next(&lines, &line, &length))
			take_line(line, length);
	}
	agent_lines_done(&lines);
	return 0;
}
