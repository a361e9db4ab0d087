/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_json_path: any bytes as JSON that paths mask. What was read as JSON is JSON afterwards, and
 * masking it again changes nothing that was not masked: no value that a path names is left.
 */
#include <stdlib.h>

#include "masking/json_path.h"
#include "masking/json_reader.h"
#include "masking/source.h"

#define MOST (1u << 24)

static const struct mask_json list[] = {
	{{(const uint8_t *)"$.a", 3}, MASK_REDACT},
	{{(const uint8_t *)"$[*].a", 6}, MASK_NULL},
	{{(const uint8_t *)"$.*[1].b", 8}, MASK_NULL},
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mask_rules rules = {
		.json = list, .json_count = sizeof(list) / sizeof(list[0])};
	static const struct masker masker;
	struct slice text = slice_of(data, size);
	struct buffer once, twice;
	struct json_paths *paths;
	bool too_many;
	int r;

	paths = json_paths_new(&rules, &too_many);
	buffer_init(&once, MOST);
	buffer_init(&twice, MOST);
	r = json_paths_mask(paths, &masker, text, &once);
	check((r >= 0) == is_json(text));
	if (r == MASK_REPLACED) {
		check(is_json(buffer_slice(&once)));
		check(json_paths_mask(paths, &masker, buffer_slice(&once), &twice) >= 0);
		check(!buffer_length(&twice) ||
			slice_equal(buffer_slice(&once), buffer_slice(&twice)));
	}
	buffer_done(&once);
	buffer_done(&twice);
	json_paths_free(paths);
	return 0;
}
