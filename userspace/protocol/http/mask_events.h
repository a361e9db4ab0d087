/* SPDX-License-Identifier: Apache-2.0
 *
 * mask_events: the events of a stream, or the lines of ndjson, taken apart, so that texts which
 * they carry in pieces are masked as what they become (masking/deltas.h). Called by mask.c, which
 * then searches each event by itself.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_MASK_EVENTS_H
#define WAYLEAVE_PROTOCOL_HTTP_MASK_EVENTS_H

#include "masking/strategy.h"

struct http_mask_events;

/* `lines`: of ndjson. The masker is copied. Never NULL. */
struct http_mask_events *http_mask_events_new(const struct masker *m, bool lines);
void http_mask_events_free(struct http_mask_events *e); /* takes NULL */
/* Takes content, and appends to `out` the events that may go on, whole; `last`: no more comes, and
 * all goes on. -E2BIG: an event is longer than HTTP_MASK_UNIT_MOST; else the errors of deltas.h. */
int http_mask_events_pass(
	struct http_mask_events *e, struct slice content, bool last, struct buffer *out);
/* Whether an event's data is "[DONE]", which models' APIs say at the end, and is no JSON. */
bool http_event_says_done(struct slice data);
/* Bytes that are kept back. */
size_t http_mask_events_held(const struct http_mask_events *e);

#endif
