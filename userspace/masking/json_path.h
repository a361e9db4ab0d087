/* SPDX-License-Identifier: Apache-2.0
 *
 * json_path: masks the values that paths name: "$", then ".name", ".*", "['a.name']", "[number]"
 * and "[*]", as in "$.customers[*].ssn"; and in the same walk what detectors find. What results is
 * JSON again: a string, or null.
 */
#ifndef WAYLEAVE_MASKING_JSON_PATH_H
#define WAYLEAVE_MASKING_JSON_PATH_H

#include "masking/strategy.h"

#define JSON_PATHS_MOST 1024u /* of one verdict */

struct json_paths;

struct json_step {
	bool in_array, any; /* "[…]", else ".…"; "*" */
	struct slice name;
	uint64_t index;
};

/* Takes one step of what stands behind the "$"; `rest` is not empty. False: there is none. */
bool json_path_step(struct slice *rest, struct json_step *ret);

/* Whether it is such a path. */
bool json_path_is_valid(struct slice path);
/* NULL: there are none in the rules, or too many (`ret_too_many`). */
struct json_paths *json_paths_new(const struct mask_rules *rules, bool *ret_too_many);
void json_paths_free(struct json_paths *p); /* takes NULL */
/* Appends the text with what the paths name replaced. A null stays null, whatever the strategy; an
 * object or array is never shown in part. Returns MASK_REPLACED, or MASK_UNCHANGED where nothing
 * was appended. -EBADMSG: it is no JSON; then what was appended says nothing. Else the buffer's
 * errors. */
int json_paths_mask(
	struct json_paths *p, const struct masker *m, struct slice json, struct buffer *out);
/* The same, and what json_mask_findings() would do to what results: MASK_TO_NULL as there, and the
 * errors of both. */
int json_paths_mask_findings(
	struct json_paths *p, const struct masker *m, struct slice json, struct buffer *out);

#endif
