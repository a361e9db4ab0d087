/* SPDX-License-Identifier: Apache-2.0
 *
 * json_run: the strings and scalars of one JSON text as sources that are searched together. The
 * text is indexed in runs, as whoever walks over it goes on: most tokens are shorter than what it
 * costs to begin a search. What is indexed is what a run means, with its escapes taken off, so that
 * strings with escapes are no others.
 */
#ifndef WAYLEAVE_MASKING_JSON_RUN_H
#define WAYLEAVE_MASKING_JSON_RUN_H

#include "masking/source.h"

/* Places behind an escape: in what is written, and in what it means. */
struct json_shift {
	uint32_t written, meant;
};

struct json_run {
	const struct masker *m;
	const struct mask_source *json;
	struct detector_index *index; /* of [begin, end) of the text: the text's, or `own` */
	struct detector_index own;
	struct buffer meaning; /* of [begin, end), where it has escapes */
	struct json_shift *shifts; /* one for each; `shift` are passed */
	size_t shift, shift_count, shift_capacity;
	size_t begin, end;
	size_t place; /* where `begin` is in what is indexed */
	size_t clean_until; /* nothing can be found in what is whole before there */
};

/* All are borrowed. */
void json_run_init(struct json_run *r, const struct masker *m, const struct mask_source *json);
void json_run_done(struct json_run *r);

/* Whether it is known that nothing can be found in a token by itself, which ends at `end` and is
 * behind those that were asked for before. */
static inline bool json_run_is_clean(const struct json_run *r, size_t end)
{
	return end <= r->clean_until;
}

/* What the token [start, end) of the text means, without quotes; it is behind those asked for
 * before, and has no illegal escape. The next call may end what is returned. *ret_clean: nothing
 * can be found in it by itself. Errors of detector_index_build() and the buffer's. */
int json_run_part(
	struct json_run *r, size_t start, size_t end, struct mask_source *ret, bool *ret_clean);

#endif
