#include "vm/display.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"

#define NO_GTK "this QEMU has no windows (on Debian: apt install qemu-system-gui)"

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && value[0];
}

bool display_has_screen(void)
{
	return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
}

bool display_may_open(const struct display *wish, bool screen)
{
	if (wish->window == DISPLAY_WINDOW_AUTO)
		return screen && !wish->vnc;
	return wish->window == DISPLAY_WINDOW_ON;
}

bool display_help_has_windows(const char *text)
{
	struct text_view rest = text_view_of(text);
	struct text_view line;
	bool more = true;

	while (more) {
		more = text_view_cut(rest, '\n', &line, &rest);
		if (text_view_equal(line, "gtk"))
			return true;
	}
	return false;
}

int display_choose(const struct display *wish, const struct display_host *host,
		   struct display *ret_display, struct error *err)
{
	bool open = display_may_open(wish, host->screen);

	error_set(err, "%s", "");
	if (wish->window == DISPLAY_WINDOW_ON && !host->screen) {
		error_set(err,
			  "--graphics needs a display: neither DISPLAY nor WAYLAND_DISPLAY is set");
		return -ENODEV;
	}
	if (open && !host->windows) {
		if (wish->window == DISPLAY_WINDOW_ON) {
			error_set(err, "--graphics: " NO_GTK);
			return -EOPNOTSUPP;
		}
		error_set(err, "running without a window: " NO_GTK);
		open = false;
	}
	*ret_display = *wish;
	ret_display->window = open ? DISPLAY_WINDOW_ON : DISPLAY_WINDOW_OFF;
	return 0;
}
