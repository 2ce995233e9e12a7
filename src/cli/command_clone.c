#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/held_signals.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/progress.h"
#include "vm/vm_clone.h"
#include "vm/vm_journal.h"

struct clone_options {
	const char *source;
	const char *name;
	bool force;
};

enum {
	KEY_FORCE = 256,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct clone_options *options = state->input;

	switch (key) {
	case KEY_FORCE:
		options->force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->name)
			argp_error(state, "unexpected argument \"%s\"", argument);
		*(options->source ? &options->name : &options->source) =
			named_vm_parse(state, argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->name)
			argp_error(state, "the names of a VM and of its copy are needed: NAME NEW");
		else if (strcmp(options->source, options->name) == 0)
			argp_error(state, "a VM cannot be copied onto itself: choose another NEW");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int share(const struct vm_home *home, const struct vm_directory *source, struct error *err)
{
	int r = vm_journal_lock(home, err);

	if (r < 0)
		return r;
	r = vm_directory_share(home, source, err);
	vm_home_unlock(home);
	return r;
}

static int fill(const struct vm_directory *source, const struct vm_draft *draft, struct error *err)
{
	struct progress progress;

	progress_init(&progress, "copying the VM");
	int r = vm_clone_fill(source, draft->fd, &progress.files, err);
	progress_done(&progress);
	return r;
}

static int make(const struct vm_home *home, const struct vm_directory *source,
		const struct clone_options *options, struct error *err)
{
	struct vm_draft draft = { .fd = -1 };

	int r = vm_draft_begin(home, &draft, err);
	if (r < 0)
		return r;
	r = fill(source, &draft, err);
	if (r == 0)
		r = named_vm_publish(home, &draft, options->name, options->force, err);
	vm_draft_end(home, &draft);
	return r;
}

static int clone_vm(const struct vm_home *home, const struct vm_directory *source,
		    const struct clone_options *options, struct error *err)
{
	struct held_signals held;

	int r = named_vm_check_new(home, options->name, options->force, err);
	if (r == 0)
		r = share(home, source, err);
	if (r < 0)
		return r;
	held_signals_begin(&held);
	r = make(home, source, options, err);
	held_signals_end(&held);
	return r;
}

static int clone(const struct vm_home *home, const struct vm_directory *source, const void *context)
{
	struct error err = { .text = "" };

	int r = clone_vm(home, source, context, &err);
	if (r == 0)
		return COMMAND_OK;
	return command_fail(r == -EBUSY || r == -ESRCH ? COMMAND_VM_STATE : COMMAND_FAILED, &err);
}

int command_clone(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "force",
		  .key = KEY_FORCE,
		  .doc = "replace a VM that is called NEW, unless it runs" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME NEW",
		.doc = "Makes the VM NEW of the VM NAME, which does not run: with its disks, and with a "
		       "MAC address of its own.\v"
		       "Examples:\n"
		       "  tartlet clone debian ci-1\n"
		       "  tartlet clone debian ci-1 --force",
	};
	struct clone_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.source, COMMAND_VM_STATE, clone, &options);
}
