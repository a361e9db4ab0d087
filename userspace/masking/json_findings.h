/* SPDX-License-Identifier: Apache-2.0
 *
 * json_findings: what detectors find in the tokens of one JSON text, replaced in its copy; inside
 * masking/ only. Whoever reads the tokens hands on each, in their order. Names count: the value of
 * "password" is a secret.
 */
#ifndef WAYLEAVE_MASKING_JSON_FINDINGS_H
#define WAYLEAVE_MASKING_JSON_FINDINGS_H

#include "masking/json_copy.h"
#include "masking/json_names.h"
#include "masking/json_run.h"

struct json_findings {
	const struct masker *m;
	struct json_copy *copy;
	struct json_run run;
	bool null; /* a finding asks for NULL: nothing more needs to be read */

	struct json_names names;
	struct detector_name escaped; /* a name's that is written with escapes */
	/* Of the member whose value comes next; NULL: it says nothing of it. */
	const struct detector_name *name;
};

/* All are borrowed, the copy's text is the source's; the struct stays where it is. */
void json_findings_init(struct json_findings *f, const struct masker *m,
	const struct mask_source *json, struct json_copy *copy);
void json_findings_done(struct json_findings *f);

/* Those that the inline functions below could not pass over. */
int json_findings_judge_string(
	struct json_findings *f, size_t start, size_t end, bool escaped, bool is_name);
int json_findings_judge_scalar(struct json_findings *f, size_t start, size_t end);

/* A name is about the value behind it, or the scalars of an array there. */
static inline void json_findings_brace(struct json_findings *f)
{
	f->name = NULL;
}

/* The string whose inside is [start, end), without illegal escapes. Errors here and below are those
 * of json_run_part() and of the buffers. */
static inline int json_findings_string(
	struct json_findings *f, size_t start, size_t end, bool escaped)
{
	if (!f->name && json_run_is_clean(&f->run, end))
		return 0;
	return json_findings_judge_string(f, start, end, escaped, false);
}

/* The same of a member's name. One that matters has a keyword in it, so that the run knows it. */
static inline int json_findings_name(
	struct json_findings *f, size_t start, size_t end, bool escaped)
{
	if (json_run_is_clean(&f->run, end)) {
		f->name = NULL;
		return 0;
	}
	return json_findings_judge_string(f, start, end, escaped, true);
}

/* A number, true, false or null. */
static inline int json_findings_scalar(struct json_findings *f, size_t start, size_t end)
{
	if (!f->name && json_run_is_clean(&f->run, end))
		return 0;
	return json_findings_judge_scalar(f, start, end);
}

/* Appends a string, with its quotes, that stands for the value at hand, as any other is; `clean`:
 * nothing can be found in it, but by the value's name. */
int json_findings_append(
	struct json_findings *f, struct slice string, bool clean, struct buffer *out);

#endif
