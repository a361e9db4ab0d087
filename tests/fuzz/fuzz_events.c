/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_events: streams of events and of lines of JSON, whose texts go on from one to the next.
 * However they are cut, the same leaves; where nothing is looked for, what came; and else no line
 * more or fewer, nor one that is no longer JSON.
 *
 * Input: bits (1: lines, not events; 2: nothing is looked for), the length of pieces, the content.
 */
#include "base/buffer.h"
#include "masking/json_reader.h"
#include "masking_tools.h"
#include "protocol/http/mask_events.h"

#define CONTENT_MOST (64u << 10)

static void run(
	const struct masker *m, bool lines, struct slice content, size_t step, struct buffer *out)
{
	struct http_mask_events *e = http_mask_events_new(m, lines);

	for (size_t i = 0; i < content.length; i += step)
		CHECK(http_mask_events_pass(
			      e, slice_head(slice_from(content, i), step), false, out) == 0);
	CHECK(http_mask_events_pass(e, SLICE_EMPTY, true, out) == 0);
	CHECK(http_mask_events_held(e) == 0);
	http_mask_events_free(e);
}

static struct slice take_line(struct slice *rest)
{
	const uint8_t *end = rest->length ? memchr(rest->data, '\n', rest->length) : NULL;
	struct slice line = end ? slice_head(*rest, (size_t)(end - rest->data) + 1) : *rest;

	*rest = slice_from(*rest, line.length);
	return line;
}

static bool is_json(struct slice text)
{
	struct json_reader reader;
	enum json_token token;

	if (slice_starts_with(text, slice_from_string("data:")))
		text = slice_from(text, 5);
	else if (text.length && text.data[0] == 0x1e)
		text = slice_from(text, 1);
	json_reader_init(&reader, text);
	do
		token = json_next(&reader);
	while (token != JSON_END && token != JSON_BAD);
	return token == JSON_END;
}

static void check_lines(struct slice before, struct slice after)
{
	while (before.length) {
		struct slice was = take_line(&before), is = take_line(&after);

		CHECK(is.length &&
			(was.data[was.length - 1] == '\n') == (is.data[is.length - 1] == '\n'));
		CHECK(slice_equal(was, is) || (is_json(was) && is_json(is)));
	}
	CHECK(after.length == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mask_rules rules = {.detects = true};
	struct slice content;
	struct buffer whole, cut;
	struct masker m;

	if (size < 3 || size > CONTENT_MOST)
		return 0;
	masking_tools_set_up();
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] =
			data[0] & 2 ? MASK_NONE : (enum mask_strategy)(MASK_PARTIAL + i % 3);
	masker_init(&m, engine, hasher, &rules);
	content = slice_of(data + 2, size - 2);
	buffer_init(&whole, 64 * CONTENT_MOST);
	buffer_init(&cut, 64 * CONTENT_MOST);
	run(&m, data[0] & 1, content, content.length, &whole);
	run(&m, data[0] & 1, content, data[1] ? data[1] : 1, &cut);
	CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&cut)));
	if (data[0] & 2)
		CHECK(slice_equal(buffer_slice(&whole), content));
	check_lines(content, buffer_slice(&whole));
	buffer_done(&whole);
	buffer_done(&cut);
	return 0;
}
