/* SPDX-License-Identifier: Apache-2.0
 *
 * stream: text that comes in pieces, as a program or a terminal's shell writes it, with what
 * detectors find replaced. A piece may end anywhere, and sequences that colour a terminal may stand
 * anywhere: bytes at the end are kept back while they could still become a part of a finding, which
 * mostly is the last word. Any bytes may come; those that no finding covers pass as they are. Where
 * not all of them are text, what only looks like an e-mail address is none.
 */
#ifndef WAYLEAVE_MASKING_STREAM_H
#define WAYLEAVE_MASKING_STREAM_H

#include "masking/noise.h"
#include "masking/strategy.h"

/* More text is never kept back: the longest of what is found, a key of RSA with 16,384 bits, is
 * shorter. */
#define MASK_STREAM_KEPT_MOST (16u << 10)
/* The same with what is no text: sequences, and letters that were taken back. */
#define MASK_STREAM_INPUT_KEPT_MOST (4 * MASK_STREAM_KEPT_MOST)

struct mask_stream {
	struct masker masker;
	struct buffer held; /* some that has passed, and all that has not */
	size_t passed; /* of `held` */
	bool replaced; /* something, of what has passed so far */
	/* Set behind init: it is prose, in which a character from 0x80 on ends a word: in some
	 * languages nothing else does for a whole paragraph. */
	bool prose;
	size_t credit; /* bytes that may be searched */
	struct noise noise;
};

/* Engine and hasher are borrowed. A part of a text can't be NULL, so that is "[masked]". */
void mask_stream_init(struct mask_stream *s, struct detector_engine *engine,
	struct mask_hasher *hasher, const struct mask_rules *rules);
/* The same with what was made of rules before. */
void mask_stream_init_with(struct mask_stream *s, const struct masker *masker);
void mask_stream_done(struct mask_stream *s);

/* Takes bytes, and appends to `out` what of all that came may pass. `all`: nothing is kept back,
 * as nothing follows, or not soon; what follows all the same, and belongs to a finding that began
 * before, is still replaced. Errors of buffer.h and detector_scan(). */
int mask_stream_pass(struct mask_stream *s, struct slice bytes, bool all, struct buffer *out);
/* Takes bytes that the next call of mask_stream_pass() looks at. -E2BIG, -ENOMEM. */
static inline int mask_stream_keep(struct mask_stream *s, struct slice bytes)
{
	return buffer_append_slice(&s->held, bytes);
}
/* Bytes that the receiver gets as they are, and what comes is read behind them; nothing may be
 * kept back. */
int mask_stream_show(struct mask_stream *s, struct slice bytes);
/* Whether a search is worth it for so many bytes that came, which are then passed, and else kept.
 * What is kept back, and before it, is searched again with what comes: where that is long, and
 * comes in tiny pieces, one session would keep a worker from all others. */
bool mask_stream_is_worth(struct mask_stream *s, size_t bytes);
/* Whether all that is kept may be passed at once although a search is not worth it, as somebody
 * waits to see it: it is searched by that for the last time, and of what has passed there is
 * little. */
bool mask_stream_may_end(const struct mask_stream *s);
/* Bytes that are kept back. */
static inline size_t mask_stream_kept(const struct mask_stream *s)
{
	return buffer_length(&s->held) - s->passed;
}

#endif
