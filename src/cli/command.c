#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "vm/vm_journal.h"

int command_fail(int code, const struct error *err)
{
	fprintf(stderr, "%s\n", err->text);
	return code;
}

int command_open_home(struct vm_home *home)
{
	struct error err;

	if (vm_home_open(home, &err) < 0)
		return command_fail(COMMAND_FAILED, &err);
	/* What cannot be completed now, for want of room perhaps, may wait; the way to make room is
	 * open meanwhile. */
	if (vm_journal_recover(home, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	vm_home_sweep(home);
	return COMMAND_OK;
}

unsigned long command_parse_number(struct argp_state *state, const char *option,
				   const char *argument, unsigned long least, unsigned long most)
{
	uint64_t value;

	if (!text_parse_u64(text_view_of(argument), most, &value) || value < least) {
		argp_error(state, "invalid value \"%s\" for %s: expected a number from %lu to %lu",
			   argument, option, least, most);
		return least;
	}
	return value;
}

const char *command_parse_file(struct argp_state *state, const char *option, const char *argument)
{
	if (!argument[0])
		argp_error(state, "%s needs the name of a file", option);
	return argument;
}

bool command_parse_format(struct argp_state *state, const char *argument)
{
	bool json = strcmp(argument, "json") == 0;

	if (!json && strcmp(argument, "text") != 0)
		argp_error(state, "invalid value \"%s\" for --format: expected text or json",
			   argument);
	return json;
}

void command_print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(2)); /* stdout's errors show at exit */
	putchar('\n');
}
