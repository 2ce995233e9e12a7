#pragma once
/*
 * A process tries itself what its sandbox is to refuse, and reports a line for each attempt: "NAME: done", or the
 * name of the error. For builds that are tests: no program that is installed has it.
 */

#include <stdio.h>

/*
 * directory: it has a file "file" and a stream socket "socket" that listens, both open to everybody; and
 * "@DIRECTORY/socket" listens as an abstract socket. The last line is "end".
 */
void sandbox_prove(FILE *report, const char *directory);
