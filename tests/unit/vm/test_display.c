#include "vm/display.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/error.h"

#define AUTO DISPLAY_WINDOW_AUTO
#define ON   DISPLAY_WINDOW_ON
#define OFF  DISPLAY_WINDOW_OFF

static void test_choose(void **state)
{
	static const struct {
		enum display_window window;
		bool vnc;
		struct display_host host;
		int result;
		enum display_window chosen;
		const char *said; /* "" = nothing */
	} rows[] = {
		{ AUTO, false, { false, false }, 0, OFF, "" },
		{ AUTO, false, { true, true }, 0, ON, "" },
		{ AUTO, true, { true, true }, 0, OFF, "" },
		{ AUTO, false, { true, false }, 0, OFF, "running without a window" },
		{ AUTO, true, { true, false }, 0, OFF, "" },
		{ ON, false, { true, true }, 0, ON, "" },
		{ ON, true, { true, true }, 0, ON, "" },
		{ ON, false, { false, false }, -ENODEV, AUTO, "neither DISPLAY" },
		{ ON, false, { true, false }, -EOPNOTSUPP, AUTO, "qemu-system-gui" },
		{ OFF, false, { true, true }, 0, OFF, "" },
		{ OFF, true, { false, false }, 0, OFF, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error err = { .text = "old" };
		const struct display wish = { .window = rows[i].window,
					      .vnc = rows[i].vnc,
					      .no_pointer = true };
		struct display chosen = { .window = AUTO };
		assert_int_equal(display_choose(&wish, &rows[i].host, &chosen, &err),
				 rows[i].result);
		assert_int_equal(chosen.window, rows[i].chosen);
		assert_int_equal(chosen.vnc, rows[i].result == 0 && rows[i].vnc);
		assert_int_equal(chosen.no_pointer, rows[i].result == 0);
		assert_non_null(strstr(err.text, rows[i].said));
		assert_int_equal(err.text[0] == 0, rows[i].said[0] == 0);
	}
}

static void test_help(void **state)
{
	(void)state;
	assert_true(display_help_has_windows("Available display backend types:\nnone\ngtk\nsdl\n"));
	assert_true(display_help_has_windows("gtk"));
	assert_false(display_help_has_windows("none\negl-headless\ngtk-like\nno gtk\n"));
	assert_false(display_help_has_windows(""));
}

static void test_screen(void **state)
{
	static const struct {
		const char *x, *wayland;
		bool there;
	} rows[] = {
		{ NULL, NULL, false }, { "", "", false },	    { ":0", NULL, true },
		{ "", ":0", true },    { NULL, "wayland-0", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		unsetenv("DISPLAY");
		unsetenv("WAYLAND_DISPLAY");
		if (rows[i].x)
			setenv("DISPLAY", rows[i].x, 1);
		if (rows[i].wayland)
			setenv("WAYLAND_DISPLAY", rows[i].wayland, 1);
		assert_int_equal(display_has_screen(), rows[i].there);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
