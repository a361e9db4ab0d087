/* SPDX-License-Identifier: Apache-2.0
 *
 * deltas: texts that events carry in pieces (json_deltas.h), searched as the texts that they
 * become: a value that is spread over several events is found. Events leave in their order and as
 * they came, but for strings of which something was found. One waits while its text's last word
 * could still become a finding: mostly for the next piece, never for more than some events. Called
 * by protocols that have taken the events apart.
 *
 * Where more would wait than may, the text that the first event waits for is taken to be whole if
 * no other came between, and else what waits of it is masked: how many texts take turns is what the
 * agent asked for, and each of them makes the others' wait longer. Texts beyond those that are read
 * at once leave masked, each piece of them.
 */
#ifndef WAYLEAVE_MASKING_DELTAS_H
#define WAYLEAVE_MASKING_DELTAS_H

#include "masking/strategy.h"

/* Events behind a text's last piece, and as many for each other text that had one since: then it is
 * taken to be whole. */
#define DELTAS_WAIT_MOST 8u
#define DELTAS_EVENTS_MOST 1024u /* that wait, */
#define DELTAS_PIECES_MOST 1024u /* the strings in them that are searched, */
#define DELTAS_HELD_MOST (512u << 10) /* and bytes of memory of both */
#define DELTAS_PIECE_MOST (128u << 10) /* bytes; a longer one is searched by itself alone */
#define DELTAS_OF_EVENT_MOST 8192u /* pieces; an event with more can't be masked */
/* That go on; of one that had no piece in the last DELTAS_EVENTS_MOST events none comes any more.
 */
#define DELTAS_TEXTS_MOST 128u

struct mask_deltas;

/* The masker is copied; engine and hasher are borrowed. Never NULL. */
struct mask_deltas *mask_deltas_new(const struct masker *m);
void mask_deltas_free(struct mask_deltas *d); /* takes NULL */
/* Takes an event, in which `json` is all of its data (empty: it has none, or no JSON), and appends
 * to `out` what of all that came may pass. -E2BIG: it has more than DELTAS_OF_EVENT_MOST pieces;
 * else errors of buffer.h and detector_scan(). */
int mask_deltas_take(
	struct mask_deltas *d, struct slice event, struct slice json, struct buffer *out);
/* No more comes: all that is left passes, and the texts are forgotten. */
int mask_deltas_end(struct mask_deltas *d, struct buffer *out);
/* Bytes of memory, for what is kept back and the texts that may go on. */
size_t mask_deltas_held(const struct mask_deltas *d);

#endif
