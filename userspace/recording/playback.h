/* SPDX-License-Identifier: Apache-2.0
 *
 * playback: the records of one session, from all segments of its recording, in order.
 */
#ifndef WAYLEAVE_RECORDING_PLAYBACK_H
#define WAYLEAVE_RECORDING_PLAYBACK_H

#include "recording/reader.h"
#include "recording/segments.h"
#include "recording/session_list.h"

enum playback_status {
	PLAYBACK_RECORD, /* a record of the session, or a GAP record of its stream */
	PLAYBACK_MISSING, /* playback->problem says which part of the recording is not there; goes
			     on */
	PLAYBACK_END, /* all that there is; a live session may have more later */
};

struct playback {
	int folder; /* the caller's */
	struct identifier incarnation;
	uint64_t handle;
	uint32_t segment; /* the one in hand, or the next to be opened */
	int fd; /* -1: none open */
	bool ended; /* the session's end was read … */
	uint64_t end_sequence; /* … this record */
	bool done; /* … and what came behind it */
	struct reader reader;
	struct error problem;
};

void playback_init(
	struct playback *p, int recordings_folder, const struct session_summary *session);
void playback_done(struct playback *p);
/* The next record, valid until the next call. After PLAYBACK_END one may try again. */
enum playback_status playback_next(struct playback *p, struct entry *ret);

#endif
