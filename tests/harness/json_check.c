/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/json_check.h"

#include <stdlib.h>

#include "masking/json_path.h"
#include "masking/json_text.h"
#include "tests/harness/json_plain.h"

#define MOST (1u << 28)

/* What was made of a text: a result, and what was appended. */
struct made {
	int r;
	struct buffer out;
};

/* What was not replaced was not appended, where it is fast. */
static bool is_same(struct made *fast, struct made *plain, struct slice text)
{
	bool same = fast->r == plain->r;

	if (fast->r == MASK_REPLACED)
		same &= slice_equal(buffer_slice(&fast->out), buffer_slice(&plain->out));
	else if (fast->r >= 0)
		same &= buffer_length(&fast->out) == 0;
	if (plain->r == MASK_UNCHANGED && buffer_length(&plain->out))
		same &= slice_equal(text, buffer_slice(&plain->out));
	buffer_done(&fast->out);
	buffer_done(&plain->out);
	return same;
}

static void begin(struct made *fast, struct made *plain)
{
	buffer_init(&fast->out, MOST);
	buffer_init(&plain->out, MOST);
}

static bool check_findings(const struct masker *m, struct slice text, bool indexed)
{
	struct mask_source source = mask_source_of(text);
	struct detector_index index;
	struct made fast, plain;

	begin(&fast, &plain);
	detector_index_init(&index);
	if (indexed && detector_index_build(m->engine, m->detectors, text, &index) == 0)
		source.index = &index;
	fast.r = json_mask_findings(m, &source, &fast.out);
	plain.r = json_plain_findings(m, text, &plain.out);
	detector_index_done(&index);
	return is_same(&fast, &plain, text);
}

static bool check_paths(const struct mask_rules *rules, struct json_paths *paths,
	const struct masker *m, struct slice text)
{
	struct made fast, plain;
	bool replaced = false;

	begin(&fast, &plain);
	fast.r = json_paths_mask(paths, m, text, &fast.out);
	plain.r = json_plain_paths(rules, m, text, &plain.out, &replaced);
	if (replaced)
		plain.r = MASK_REPLACED;
	return is_same(&fast, &plain, text);
}

static bool check_both(const struct mask_rules *rules, struct json_paths *paths,
	const struct masker *m, struct slice text)
{
	struct made fast, plain;
	struct buffer between;
	bool replaced = false;

	begin(&fast, &plain);
	buffer_init(&between, MOST);
	fast.r = json_paths_mask_findings(paths, m, text, &fast.out);
	plain.r = json_plain_paths(rules, m, text, &between, &replaced);
	if (plain.r == 0)
		plain.r = json_plain_findings(m, buffer_slice(&between), &plain.out);
	if (plain.r == MASK_UNCHANGED && replaced)
		plain.r = MASK_REPLACED;
	buffer_done(&between);
	return is_same(&fast, &plain, text);
}

bool json_check(const struct mask_rules *rules, const struct masker *m, struct slice text)
{
	bool too_many, same;
	struct json_paths *paths = json_paths_new(rules, &too_many);

	if (!paths)
		abort();
	same = check_findings(m, text, false) && check_findings(m, text, true) &&
		check_paths(rules, paths, m, text) && check_both(rules, paths, m, text);
	json_paths_free(paths);
	return same;
}
