/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews as messages for Slack, of texts that an agent chose. Whatever they are, Slack takes the
 * message: the whole and each text are short enough, no text is empty, and in none there is a
 * character that isn't seen. The first byte is for the review's state; 0xff, which stands in no
 * UTF-8, separates the texts.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "broker/card.h"

#define TEXT_MOST 3000 /* bytes, of one text: Slack's limit is in characters */
#define SEPARATOR 0xff

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static struct slice take(struct slice *rest)
{
	const uint8_t *end = rest->length ? memchr(rest->data, SEPARATOR, rest->length) : NULL;
	struct slice text = slice_head(*rest, end ? (size_t)(end - rest->data) : rest->length);

	*rest = slice_from(*rest, text.length + (end ? 1 : 0));
	return text;
}

static cJSON *make_review(struct slice rest, bool closed)
{
	static const char *const names[] = {"text", "runs", "preview", "settings", "agent",
		"principal", "resource", "rule", "database", "user", "program", "reason", "grant",
		"grant_revoked_by"};
	cJSON *review = cJSON_CreateObject(), *objects, *parameters, *item;

	cJSON_AddStringToObject(review, "id", "r-7Q2K");
	cJSON_AddStringToObject(review, "state", closed ? "denied" : "pending");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_add_text(review, names[i], take(&rest));
	objects = cJSON_AddArrayToObject(review, "objects");
	parameters = cJSON_AddArrayToObject(review, "parameters");
	while (rest.length) {
		struct slice text = take(&rest);

		cJSON_AddItemToArray(objects, json_text(text));
		item = cJSON_CreateObject();
		cJSON_AddItemToObject(item, "text", json_text(text));
		cJSON_AddNumberToObject(item, "length", (double)text.length);
		cJSON_AddItemToArray(parameters, item);
	}
	return review;
}

static void check_text(struct slice text)
{
	assert(text.length > 0 && text.length <= TEXT_MOST && text_is_utf8(text));
	for (size_t i = 0; i < text.length; i++) {
		uint8_t c = text.data[i];

		assert(c >= 0x20 || c == '\n' || c == '\t');
		assert(c != 0x7f);
		/* U+202E and its like. */
		assert(!(c == 0xe2 && i + 2 < text.length && text.data[i + 1] == 0x80 &&
			text.data[i + 2] >= 0xaa && text.data[i + 2] <= 0xae));
	}
}

static void check(const cJSON *value)
{
	const cJSON *child;

	if (cJSON_IsString(value))
		check_text(slice_from_string(value->valuestring));
	cJSON_ArrayForEach(child, value)
	{
		check(child);
	}
}

static void check_message(cJSON *message)
{
	char *blocks = cJSON_PrintUnformatted(cJSON_GetObjectItem(message, "blocks"));

	assert(strlen(blocks) <= CARD_BLOCKS_MOST);
	check(message);
	free(blocks);
	cJSON_Delete(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	bool closed = length && data[0] & 1;
	const struct card_options options = {.host = "host",
		.interactive = length && data[0] & 2,
		.grant = 1800ULL * 1000000000,
		.closed = closed};
	cJSON *review = make_review(slice_of(data + (length > 0), length - (length > 0)), closed);

	check_message(card_build(review, &options));
	if (closed)
		check_message(card_build_outcome(review, &options));
	cJSON_Delete(review);
	return 0;
}
