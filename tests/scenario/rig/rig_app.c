#include "rig/rig_app.h"

#include <assert.h>
#include <string.h>

/* splitmix64's finish: every position looks different, repeats are noticed. */
static uint64_t rig_pattern_word(uint64_t seed, uint64_t word)
{
	uint64_t x = seed + (word + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void rig_pattern(uint64_t seed, uint64_t position, uint8_t *ret_bytes, size_t size)
{
	while (size > 0) {
		uint64_t word = rig_pattern_word(seed, position / 8);
		uint8_t bytes[8];
		size_t skip = position % 8;
		size_t part = sizeof(bytes) - skip;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(word >> (8 * i));
		if (part > size)
			part = size;
		memcpy(ret_bytes, bytes + skip, part);
		ret_bytes += part;
		position += part;
		size -= part;
	}
}

static uint64_t rig_app_size(const struct rig_app *app)
{
	return app->plan.echo ? app->heard : app->plan.send_size;
}

static bool rig_app_is_paced(const struct rig_app *app)
{
	return app->plan.interval_ns > 0 && (app->plan.send_chunk > 0 || app->plan.read_chunk > 0);
}

static void rig_app_grant(struct rig_app *app)
{
	uint64_t left = rig_app_size(app) - app->ready;
	bool paced = rig_app_is_paced(app);

	app->allowance = paced && app->plan.read_chunk > 0 ? app->plan.read_chunk : RIG_NEVER;
	if (paced && app->plan.send_chunk > 0 && app->plan.send_chunk < left)
		left = app->plan.send_chunk;
	app->ready += left;
}

static bool rig_app_is_over(const struct rig_app *app)
{
	return app->heard_reset || (app->heard_end && app->sent == rig_app_size(app));
}

static void rig_app_tick(struct timer *timer, uint64_t now_ns)
{
	struct rig_app *app = container_of(timer, struct rig_app, pace);

	(void)now_ns;
	rig_app_grant(app);
	if (!rig_app_is_over(app))
		rig_time_after(app->time, &app->pace, app->plan.interval_ns);
	app->kick(app);
}

void rig_app_init(struct rig_app *app, struct rig_time *time, const struct rig_app_plan *plan,
		  void (*kick)(struct rig_app *app))
{
	*app = (struct rig_app){ .plan = *plan, .time = time, .kick = kick };
	timer_init(&app->pace, rig_app_tick);
}

void rig_app_start(struct rig_app *app)
{
	rig_app_grant(app);
	if (rig_app_is_paced(app))
		rig_time_after(app->time, &app->pace, app->plan.interval_ns);
}

void rig_app_done(struct rig_app *app)
{
	if (app->time)
		timer_clear(loop_timers(app->time->loop), &app->pace);
}

void rig_app_fill(const struct rig_app *app, uint64_t position, void *ret_bytes, size_t size)
{
	rig_pattern(app->plan.echo ? app->plan.expect_seed : app->plan.send_seed, position,
		    ret_bytes, size);
}

static void rig_app_mismatch(struct rig_app *app, uint64_t position)
{
	if (app->mismatch)
		return;
	app->mismatch = true;
	app->mismatch_at = position;
}

void rig_app_check(struct rig_app *app, uint64_t position, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint8_t expected[512];

	if (position > app->plan.expect_size || size > app->plan.expect_size - position)
		rig_app_mismatch(app, app->plan.expect_size);
	while (size > 0) {
		size_t part = size < sizeof(expected) ? size : sizeof(expected);

		rig_pattern(app->plan.expect_seed, position, expected, part);
		if (memcmp(at, expected, part) != 0)
			rig_app_mismatch(app, position);
		at += part;
		position += part;
		size -= part;
	}
}

uint64_t rig_app_read(struct rig_app *app, uint64_t waiting)
{
	uint64_t size = waiting < app->allowance ? waiting : app->allowance;

	if (app->allowance != RIG_NEVER)
		app->allowance -= size;
	app->heard += size;
	if (app->plan.echo && !(rig_app_is_paced(app) && app->plan.send_chunk > 0))
		app->ready = app->heard;
	return size;
}

bool rig_app_wants_end(const struct rig_app *app, uint64_t sent)
{
	bool said = sent == rig_app_size(app);

	switch (app->plan.end) {
	case RIG_APP_END_AFTER_SENT:
		return said && (!app->plan.echo || app->heard_end);
	case RIG_APP_END_AFTER_HEARD:
		return said && app->heard_end;
	case RIG_APP_END_NEVER:
		return false;
	}
	return false;
}

static bool rig_app_reached(uint64_t limit, uint64_t value)
{
	return limit != 0 && limit != RIG_NEVER && value >= limit;
}

bool rig_app_wants_reset(const struct rig_app *app)
{
	return rig_app_reached(app->plan.reset_after_heard, app->heard) ||
	       rig_app_reached(app->plan.reset_after_sent, app->sent);
}

bool rig_app_is_content(const struct rig_app *app)
{
	return app->heard_end && !app->heard_reset && !app->mismatch &&
	       (app->plan.expect_size == RIG_NEVER || app->heard == app->plan.expect_size);
}
