#pragma once
/*
 * What a shell offers when a person presses Tab: `tartlet --complete WORD...`, WORDs being those behind
 * the program's name, up to and with the one that is being written (it may be empty).
 *
 * The answer is made of what the commands themselves say: their options and the "Usage:" of their
 * arguments (completion_options.h, completion_usage.h), so that a new command is completed the day it
 * is there. The scripts in packaging/completions only put the answer into their shell's terms. One line
 * each:
 *
 *     CANDIDATE TAB DESCRIPTION   not yet compared with what is written; for --option=VALUE the VALUE alone
 *     :files                      names of files fit, too
 *     :directories                names of directories
 *     :command N                  WORD N, counted from 0, and what follows are a command line of this host
 */

#include <argp.h>

#include "cli/command.h"

struct completion_request {
	const struct argp *program; /* the options before the command */
	const struct command *commands;
	size_t command_count;
	const char *const *words;
	size_t word_count; /* at least 1: the last is being written */
};

/* Prints the answer and ends the program. Nothing is said on standard error. */
_Noreturn void completion_answer(const struct completion_request *request);
