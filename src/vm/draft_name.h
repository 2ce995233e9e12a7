#pragma once
/*
 * Names in tmp/ of the home: of this form, and nobody else's. Who removes what lies in there goes by the
 * name first, for the folder may be anything that was called so before.
 */

#include <stdbool.h>

#define DRAFT_NAME_SIZE 64

/* Another one each time. */
void draft_name_make(char name[DRAFT_NAME_SIZE]);
bool draft_name_is(const char *name);
