/* SPDX-License-Identifier: Apache-2.0
 *
 * What `wayleave doctor` says of the host's clock.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "cli/doctor.h"

static int clock_state, clock_status;
static time_t now;

/* Instead of the C library's. */
int adjtimex(struct timex *ret)
{
	ret->status = clock_status;
	return clock_state;
}

time_t time(time_t *ret)
{
	if (ret)
		*ret = now;
	return now;
}

static void expect_clock(const char *state, const char *text)
{
	struct doctor d = {.checks = cJSON_CreateArray()};
	const cJSON *item;
	size_t found = 0;

	doctor_check_host(&d);
	cJSON_ArrayForEach(item, d.checks)
	{
		if (strcmp(cJSON_GetObjectItem(item, "name")->valuestring, "clock") != 0)
			continue;
		found++;
		cr_expect_str_eq(cJSON_GetObjectItem(item, "state")->valuestring, state);
		cr_expect(strstr(cJSON_GetObjectItem(item, "text")->valuestring, text));
	}
	cr_expect_eq(found, 1);
	cr_expect(d.failed || strcmp(state, "failed") != 0);
	cJSON_Delete(d.checks);
}

Test(doctor, a_clock_that_is_wrong_is_told)
{
	now = 1800000000;
	clock_state = TIME_OK;
	expect_clock("ok", "synchronised");
	clock_status = STA_UNSYNC;
	expect_clock("warning", "not synchronised");
	clock_status = 0;
	clock_state = TIME_ERROR;
	expect_clock("warning", "not synchronised");
	clock_state = TIME_OK;
	now = 3600;
	expect_clock("failed", "far off");
}
