#pragma once
/* How a VM is seen and typed at: a window, VNC, or not at all (over the network, or the serial console). */

#include <stdbool.h>

#include "base/compiler.h"

struct error;

/* --graphics, --no-graphics. */
enum display_window {
	DISPLAY_WINDOW_AUTO, /* where there is a display, and no VNC was asked for */
	DISPLAY_WINDOW_ON,
	DISPLAY_WINDOW_OFF,
};

/* What is asked for, and once chosen, what there is. Without window and VNC there is no graphics card. */
struct display {
	enum display_window window; /* chosen: not DISPLAY_WINDOW_AUTO */
	bool vnc;
	bool capture_system_keys; /* the window takes the desktop's key combinations while the pointer is in it */
	bool no_pointer;
	bool no_keyboard;
};

/* What the host has. */
struct display_host {
	bool screen;  /* X or Wayland */
	bool windows; /* QEMU can make them; asked for only when display_may_open() */
};

/* Are $DISPLAY or $WAYLAND_DISPLAY set? */
bool display_has_screen(void);
/* Can it come to a window? */
bool display_may_open(const struct display *wish, bool screen);
/* In what `qemu -display help` prints. */
bool display_help_has_windows(const char *text);

/*
 * 0 or negative errno with a sentence. Where there could have been a window and is none, err has a sentence
 * on success, too; else its text is "".
 */
int display_choose(const struct display *wish, const struct display_host *host,
		   struct display *ret_display, struct error *err) MUST_USE;
