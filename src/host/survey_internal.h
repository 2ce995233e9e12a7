#pragma once
/* survey_take() with resolv.conf elsewhere, for tests. */

#include "host/survey.h"

int survey_take_with_path(const char *resolv_conf, struct survey *ret_survey,
			  struct error *err) MUST_USE;
