/* SPDX-License-Identifier: Apache-2.0
 *
 * deltas: texts that events carry in pieces (json_deltas.h), searched as the texts that they
 * become: a value that is spread over several events is found. Events leave in their order and as
 * they came, but for strings of which something was found. One waits while its text's last word
 * could still become a finding: mostly for the next piece, never for more than some events. Called
 * by protocols that have taken the events apart.
 */
#ifndef WAYLEAVE_MASKING_DELTAS_H
#define WAYLEAVE_MASKING_DELTAS_H

#include "masking/strategy.h"

#define DELTAS_WAIT_MOST 8u /* events behind a text's last piece, until it is taken to be whole */
#define DELTAS_EVENTS_MOST 1024u /* that wait, */
#define DELTAS_HELD_MOST (512u << 10) /* and their bytes: then what is there is taken to be all */
#define DELTAS_PIECE_MOST (128u << 10) /* bytes; a longer one is searched by itself alone */
#define DELTAS_TEXTS_MOST 16u /* at once; the one that waited longest makes room */

struct mask_deltas;

/* The masker is copied; engine and hasher are borrowed. Never NULL. */
struct mask_deltas *mask_deltas_new(const struct masker *m);
void mask_deltas_free(struct mask_deltas *d); /* takes NULL */
/* Takes an event, in which `json` is all of its data (empty: it has none, or no JSON), and appends
 * to `out` what of all that came may pass. Errors of buffer.h and detector_scan(). */
int mask_deltas_take(
	struct mask_deltas *d, struct slice event, struct slice json, struct buffer *out);
/* No more comes: all that is left passes. */
int mask_deltas_end(struct mask_deltas *d, struct buffer *out);
/* Bytes that are kept back. */
size_t mask_deltas_held(const struct mask_deltas *d);

#endif
