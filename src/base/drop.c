#include "base/drop.h"

#include <assert.h>

static const struct {
	const char *name;
	const char *meaning;
} reasons[DROP_REASON_COUNT] = {
#define DROP_REASON_ROW(suffix, name, meaning) [DROP_##suffix] = { name, meaning },
	DROP_REASONS(DROP_REASON_ROW)
#undef DROP_REASON_ROW
};

const char *drop_reason_name(enum drop_reason reason)
{
	assert(reason < DROP_REASON_COUNT);
	return reasons[reason].name;
}

const char *drop_reason_meaning(enum drop_reason reason)
{
	assert(reason < DROP_REASON_COUNT);
	return reasons[reason].meaning;
}
