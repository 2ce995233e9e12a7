#pragma once
/* How far a long copy is, as a bar on standard error where that is a terminal; else nothing. */

#include <stdbool.h>

#include "vm/files.h"

struct progress {
	struct files_progress files; /* for who does the work */
	const char *what;	     /* borrowed */
	bool shown;		     /* standard error is a terminal */
	unsigned percent;	     /* as shown last */
};

/* what: stands before the bar, such as "copying debian.img". */
void progress_init(struct progress *progress, const char *what);
/* Takes the bar away. */
void progress_done(struct progress *progress);

#define PROGRESS_BAR_SIZE 80
/* The bar alone: "[#####-----]  50 %". Returns buffer. */
const char *progress_bar(unsigned percent, char buffer[PROGRESS_BAR_SIZE]);
