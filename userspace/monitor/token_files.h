/* SPDX-License-Identifier: Apache-2.0
 *
 * token_files: the files that agents' tokens come in: read again when they change, and handed on as
 * they are.
 */
#ifndef WAYLEAVE_MONITOR_TOKEN_FILES_H
#define WAYLEAVE_MONITOR_TOKEN_FILES_H

#include "base/error.h"
#include "monitor/loop.h"

struct monitor;

struct token_files {
	struct loop_source watch;
	uint64_t read_at, next_poll; /* monotonic; read_at 0: nothing has changed */
};

int token_files_open(struct monitor *m, struct error *e);
/* Other files may be configured. */
void token_files_configure(struct monitor *m);
/* What is due. `now` is monotonic. */
void token_files_turn(struct monitor *m, uint64_t now);

#endif
