#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/held_signals.h"
#include "cli/command.h"
#include "cli/named_vm.h"
#include "cli/progress.h"
#include "vm/new_file.h"
#include "vm/vm_export.h"

#define SUFFIX	    ".tvm" /* as in Tart */
#define ANSWER_SIZE 16

struct export_options {
	const char *name;
	const char *path; /* NULL = the default */
	bool force;
};

enum {
	KEY_FORCE = 256,
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct export_options *options = state->input;

	if (key == KEY_FORCE) {
		options->force = true;
		return 0;
	}
	if (key == ARGP_KEY_ARG && state->arg_num == 1) {
		if (!argument[0])
			argp_error(state, "PATH is empty");
		options->path = argument;
		return 0;
	}
	return named_vm_parse_only(key, argument, state, &options->name);
}

/* Only of the default path, which nobody wrote; and only of who sits there. */
static bool may_replace(const char *path)
{
	char answer[ANSWER_SIZE] = "";

	if (access(path, F_OK) < 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fprintf(stderr, "%s exists. Replace it? yes/[no] ", path);
	return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

/* Nobody starts, changes or removes the VM until its directory is closed. */
static int keep_as_it_is(const struct vm_home *home, const struct vm_directory *directory,
			 struct error *err)
{
	int r = vm_home_lock(home, err);

	if (r < 0)
		return r;
	r = vm_directory_share(home, directory, err);
	if (r == 0 && vm_directory_is_suspended(directory)) {
		error_set(err,
			  "VM \"%s\" is suspended, and what it was doing is not exported: run it "
			  "and let it end, or give that up with tartlet stop",
			  directory->name);
		r = -EBUSY;
	}
	vm_home_unlock(home);
	return r;
}

static int write_file(const struct vm_home *home, const struct vm_directory *directory,
		      const char *path, bool replace, struct error *err)
{
	struct progress progress;
	struct new_file file;

	int r = new_file_begin(&file, path, replace, err);
	if (r < 0)
		return r;
	progress_init(&progress, "exporting");
	r = vm_export(home, directory, file.fd, &progress.files, err);
	progress_done(&progress);
	if (r == 0)
		r = new_file_publish(&file, replace, err);
	new_file_end(&file);
	return r;
}

static int export_vm(const struct vm_home *home, const struct vm_directory *directory,
		     const void *context)
{
	const struct export_options *options = context;
	char default_path[VM_NAME_MOST + sizeof(SUFFIX)];
	const char *path = options->path;
	bool replace = options->force;
	struct held_signals held;
	struct error err;

	if (!path) {
		snprintf(default_path, sizeof(default_path), "%s%s", directory->name, SUFFIX);
		path = default_path;
		replace = replace || may_replace(path);
	}
	int r = keep_as_it_is(home, directory, &err);
	if (r < 0)
		return command_fail(r == -EBUSY || r == -ESRCH ? COMMAND_VM_STATE : COMMAND_FAILED,
				    &err);
	held_signals_begin(&held);
	r = write_file(home, directory, path, replace, &err);
	held_signals_end(&held);
	return r < 0 ? command_fail(COMMAND_FAILED, &err) : COMMAND_OK;
}

int command_export(int argc, char **argv)
{
	static const struct argp_option options_table[] = {
		{ .name = "force", .key = KEY_FORCE, .doc = "replace PATH where it exists" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options_table,
		.parser = parse,
		.args_doc = "NAME [PATH]",
		.doc = "Writes a VM that does not run into one file, which tartlet import makes a VM "
		       "of again. Without PATH that is NAME.tvm.\v"
		       "Examples:\n"
		       "  tartlet export debian\n"
		       "  tartlet export debian /srv/images/debian-12.tvm --force",
	};
	struct export_options options = { 0 };

	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return COMMAND_USAGE;
	return named_vm_act(options.name, COMMAND_VM_STATE, export_vm, &options);
}
