/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_json_path: any bytes as JSON that paths and detectors mask. What was read as JSON is JSON
 * afterwards, and masking it again changes nothing that was not masked: no value that a path names
 * is left. What both mask in one walk is what paths and then detectors do, read byte by byte.
 */
#include <stdlib.h>

#include "masking/json_path.h"
#include "masking/json_reader.h"
#include "tests/fuzz/masking_tools.h"
#include "tests/harness/json_check.h"

#define MOST (1u << 24)

static const struct mask_json list[] = {
	{{(const uint8_t *)"$.a", 3}, MASK_REDACT},
	{{(const uint8_t *)"$[*].a", 6}, MASK_NULL},
	{{(const uint8_t *)"$.*[1].b", 8}, MASK_NULL},
};

static bool is_json(struct slice text)
{
	enum json_token token;
	struct json_reader r;

	json_reader_init(&r, text);
	do
		token = json_next(&r);
	while (token != JSON_END && token != JSON_BAD);
	return token == JSON_END;
}

static void check_paths(struct json_paths *paths, const struct masker *m, struct slice text)
{
	struct buffer once, twice;
	int r;

	buffer_init(&once, MOST);
	buffer_init(&twice, MOST);
	r = json_paths_mask(paths, m, text, &once);
	CHECK((r >= 0) == is_json(text));
	if (r == MASK_REPLACED) {
		CHECK(is_json(buffer_slice(&once)));
		CHECK(json_paths_mask(paths, m, buffer_slice(&once), &twice) >= 0);
		CHECK(!buffer_length(&twice) ||
			slice_equal(buffer_slice(&once), buffer_slice(&twice)));
	}
	buffer_done(&once);
	buffer_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mask_rules rules = {.json = list, .json_count = sizeof(list) / sizeof(list[0])};
	struct slice text = slice_of(data, size);
	struct json_paths *paths;
	struct masker m;
	bool too_many;

	masking_tools_set_up();
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = (enum mask_strategy)(MASK_PARTIAL + size % 4);
	masker_init(&m, engine, hasher, &rules);
	paths = json_paths_new(&rules, &too_many);
	check_paths(paths, &m, text);
	CHECK(json_check(&rules, &m, text));
	json_paths_free(paths);
	return 0;
}
