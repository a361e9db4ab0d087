/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/strangers.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/state.h"

#define INTERVAL (LIMIT_STRANGERS_INTERVAL * NANOSECONDS_PER_MILLISECOND)

static const struct {
	enum reason reason;
	const char *text;
} kinds[STRANGER_COUNT] = {
	[STRANGER_NO_ORIGIN] = {REASON_NO_ORIGIN, ""},
	[STRANGER_NO_ROOM] = {REASON_LIMIT, "no more sessions are taken"},
};

static void record(struct worker *w, enum stranger kind)
{
	uint64_t *count = &w->strangers.unrecorded[kind];
	const char *text = kinds[kind].text;
	char detail[96];

	if (*count == 0)
		return;
	if (*count == 1)
		snprintf(detail, sizeof(detail), "%s", text);
	else
		snprintf(detail, sizeof(detail), "%s%s%" PRIu64 " connections", text,
			*text ? ": " : "", *count);
	recorder_note(w->recorder, NULL, kinds[kind].reason, slice_from_string(detail));
	*count = 0;
}

static void record_in_time(struct worker *w, enum stranger kind, uint64_t now)
{
	uint64_t *at = &w->strangers.recorded_at[kind];

	if (w->strangers.unrecorded[kind] == 0 || (*at && now - *at < INTERVAL))
		return;
	record(w, kind);
	*at = now;
}

void strangers_refuse(struct worker *w, int fd, enum stranger kind)
{
	w->statistics.reasons[kinds[kind].reason]++;
	w->strangers.unrecorded[kind]++;
	record_in_time(w, kind, clock_monotonic());
	setsockopt(
		fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);
}

void strangers_tick(struct worker *w, uint64_t now)
{
	for (unsigned kind = 0; kind < STRANGER_COUNT; kind++)
		record_in_time(w, kind, now);
}

void strangers_end(struct worker *w)
{
	for (unsigned kind = 0; kind < STRANGER_COUNT; kind++)
		record(w, kind);
}
