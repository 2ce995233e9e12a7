#pragma once
/* Assignments that are kept in memory, one number each, for the rooms that are customers of them. */

#include "vmnet/vmnet.h"

/* Forgets all. */
void fake_assignments_clear(void);
void fake_assignments_put(const char *key, int number);
/* 0 = none */
int fake_assignments_get(const char *key);
/* What so many calls answer from now on; those behind them work. */
void fake_assignments_refuse(vmnet_return_t status, int calls);
