/* SPDX-License-Identifier: Apache-2.0
 *
 * transcript: a recorded session with what an engine makes of it, as text:
 *
 *   # a comment
 *   <A Q "select 1\x00"      the agent sent this message; "-" for a type: bytes without a header
 *   >S Q "select 1\x00"      this left for the server
 *   ! action 1 run …         an event (engine_run.c)
 *   <S end                   the server closed its end
 *   @names                   the lines of the file "names", in the same folder
 *   @upstream on             TLS with the server: on, off; else as the agent does
 *   @end-point "\x01…"       what the server's certificate is bound by
 *
 * A step is what one side sent until the other one did, or until it was answered; what came of it
 * stands behind it, events first, then what left for the agent, then what left for the server.
 */
#ifndef WAYLEAVE_TESTS_TRANSCRIPT_H
#define WAYLEAVE_TESTS_TRANSCRIPT_H

#include <stdio.h>

#include "tests/harness/engine_run.h"

struct transcript_step {
	enum side side;
	bool end; /* the side closed, after its bytes */
	bool complete; /* what comes next is another step */
	struct buffer bytes;
	struct buffer expected; /* lines */
};

struct transcript {
	struct transcript_step *steps;
	size_t count;
	int upstream_tls; /* as in protocol_host */
	struct buffer end_point;
};

/* How a step's bytes are cut: how many of the `left` ones come next; 1 to left. */
typedef size_t transcript_cut(void *context, size_t left);

void transcript_init(struct transcript *t);
void transcript_done(struct transcript *t);
/* Appends to the last step where that is the same side's, else begins one. */
void transcript_add(struct transcript *t, enum side side, struct slice bytes, bool end);
/* The last step was answered: what comes next is another one. */
void transcript_complete(struct transcript *t);
/* By its name in transcripts; -EINVAL. */
int transcript_set_upstream(struct transcript *t, const char *name);
/* 0, or -errno with a sentence on stderr. */
int transcript_read(struct transcript *t, const char *file);
/* The recorded sides, with each step's `expected`. */
void transcript_write(const struct transcript *t, FILE *file);
/* What it runs with: `bench`, but for what the transcript says. Valid as long as both. */
struct engine_bench transcript_bench(const struct transcript *t, const struct engine_bench *bench);
/* Runs it. `cut` NULL: whole steps. With `bless`, what comes out becomes what is expected; else
 * returns the first step that differs, with what came out in *ret_found, or -1. */
int transcript_run(struct transcript *t, const struct engine_bench *bench,
	struct engine_watch *watch, transcript_cut *cut, void *context, bool bless,
	struct buffer *ret_found);

#endif
