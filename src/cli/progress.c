#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define BAR_LENGTH 30
#define NOT_SHOWN  101

const char *progress_bar(unsigned percent, char buffer[PROGRESS_BAR_SIZE])
{
	static const char full[] = "##############################";
	static const char empty[] = "------------------------------";
	if (percent > 100)
		percent = 100;
	int done = (int)(percent * BAR_LENGTH / 100);

	snprintf(buffer, PROGRESS_BAR_SIZE, "[%.*s%.*s] %3u %%", done, full, BAR_LENGTH - done,
		 empty, percent);
	return buffer;
}

static void advance(struct files_progress *files, uint64_t done, uint64_t total)
{
	struct progress *progress = container_of(files, struct progress, files);
	unsigned percent = total == 0 ? 100 : (unsigned)((double)done * 100 / (double)total);
	char bar[PROGRESS_BAR_SIZE];

	if (!progress->shown || percent == progress->percent)
		return;
	progress->percent = percent;
	fprintf(stderr, "\r%s %s", progress->what, progress_bar(percent, bar));
}

void progress_init(struct progress *progress, const char *what)
{
	*progress = (struct progress){
		.files.advance = advance,
		.what = what,
		.shown = isatty(STDERR_FILENO) == 1,
		.percent = NOT_SHOWN,
	};
}

void progress_done(struct progress *progress)
{
	if (progress->shown && progress->percent != NOT_SHOWN)
		fputs("\r\033[K", stderr); /* ECMA-48: erase to the end of the line */
	progress->percent = NOT_SHOWN;
}
