#pragma once
/* The commands of the tartlet program, and what they share. */

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "vm/vm_home.h"

/* Exit codes (Tart's contract). */
enum {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,
	COMMAND_VM_STATE = 2, /* no such VM, not running, running already */
	COMMAND_USAGE = 64,   /* EX_USAGE; argp's own errors exit with it too */
};

/* What a NAME in a command's usage is, for completion. */
enum command_names {
	COMMAND_NAMES_ANY, /* a VM that there is */
	COMMAND_NAMES_RUNNING,
	COMMAND_NAMES_STOPPED,
	COMMAND_NAMES_NEW, /* a VM that is to be: nothing can be offered */
};

struct command {
	const char *name;
	const char *summary; /* NULL: not shown in the list of commands */
	/* argv[0] is "tartlet NAME". Returns the exit code. */
	int (*run)(int argc, char **argv);
	enum command_names names;
};

int command_clone(int argc, char **argv);
int command_create(int argc, char **argv);
int command_delete(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_export(int argc, char **argv);
int command_forward(int argc, char **argv);
int command_get(int argc, char **argv);
int command_import(int argc, char **argv);
int command_ip(int argc, char **argv);
int command_list(int argc, char **argv);
int command_nc(int argc, char **argv);
int command_netns(int argc, char **argv);
int command_prune(int argc, char **argv);
int command_rename(int argc, char **argv);
int command_run(int argc, char **argv);
int command_set(int argc, char **argv);
int command_ssh(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_suspend(int argc, char **argv);
/* All that Tart has and we have not yet; argv[0] says which. */
int command_unavailable(int argc, char **argv);

/* Prints the sentence on standard error and returns the code. */
int command_fail(int code, const struct error *err) MUST_USE;

/* Opens the home and sweeps what earlier processes left in it. COMMAND_OK, or a printed failure. */
int command_open_home(struct vm_home *home) MUST_USE;

/* For parsers. Each ends the program with a usage error (64) where the argument is bad. */
unsigned long command_parse_number(struct argp_state *state, const char *option,
				   const char *argument, unsigned long least, unsigned long most);
/* The name of a file that `option` takes. */
const char *command_parse_file(struct argp_state *state, const char *option, const char *argument);
/* --format text|json: true = JSON. */
bool command_parse_format(struct argp_state *state, const char *argument);

#define COMMAND_FORMAT_OPTION                                                                      \
	{                                                                                          \
		.name = "format", .key = 'f', .arg = "text|json",                                  \
		.doc = "for people (default), or for programs"                                     \
	}

/* As --format json prints. */
void command_print_json(const json_t *value);
