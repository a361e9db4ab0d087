/* SPDX-License-Identifier: Apache-2.0
 *
 * json_run: the strings and scalars of one JSON text as sources that are searched together. The
 * text is indexed in runs, as whoever walks over it goes on: most tokens are shorter than what it
 * costs to begin a search.
 */
#ifndef WAYLEAVE_MASKING_JSON_RUN_H
#define WAYLEAVE_MASKING_JSON_RUN_H

#include "masking/source.h"

struct json_run {
	const struct masker *m;
	const struct mask_source *json;
	struct detector_index index; /* of [begin, end) of the text, where that has none */
	size_t begin, end;
	size_t clean_until; /* nothing can be found in what is whole before there */
};

/* All are borrowed. */
void json_run_init(struct json_run *r, const struct masker *m, const struct mask_source *json);
void json_run_done(struct json_run *r);
/* The source for [start, end) of the text, which is a whole token without quotes, and behind those
 * asked for before; the next call may end it. *ret_clean: nothing can be found in it as it stands.
 * Errors of detector_index_build(). */
int json_run_part(
	struct json_run *r, size_t start, size_t end, struct mask_source *ret, bool *ret_clean);

#endif
