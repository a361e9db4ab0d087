/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/answer.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"

#define RETRY_DEFAULT 30 /* seconds, where Slack doesn't say */
#define SHOWN_MOST 100 /* bytes of what a webhook says */

/* Slack's names of errors (docs.slack.dev/reference/methods/chat.update, chat.postMessage); those
 * that aren't here are refusals. */
static const struct {
	const char *error;
	enum answer_kind kind;
} errors[] = {
	{"ratelimited", ANSWER_LIMITED},
	{"rate_limited", ANSWER_LIMITED},
	{"message_limit_exceeded", ANSWER_LIMITED},
	{"internal_error", ANSWER_FAILED},
	{"fatal_error", ANSWER_FAILED},
	{"service_unavailable", ANSWER_FAILED},
	{"request_timeout", ANSWER_FAILED},
	{"team_added_to_org", ANSWER_FAILED},
	{"message_not_found", ANSWER_GONE},
	{"cant_update_message", ANSWER_GONE},
	{"edit_window_closed", ANSWER_GONE},
};

static void parse_error(const char *error, struct answer *ret)
{
	ret->kind = ANSWER_REFUSED;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (strcmp(errors[i].error, error) == 0)
			ret->kind = errors[i].kind;
	}
	snprintf(ret->why, sizeof(ret->why), "Slack says: %.*s", SHOWN_MOST, error);
}

static void parse_json(struct slice body, struct answer *ret)
{
	cJSON *json = cJSON_ParseWithLength((const char *)body.data, body.length);
	const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "error"));
	const char *time = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "ts"));

	if (!json || !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ok")))
		parse_error(error ? error : "something that is no answer of Slack's", ret);
	else if (time && strlen(time) < sizeof(ret->time))
		memcpy(ret->time, time, strlen(time));
	cJSON_Delete(json);
}

static void parse_status(const struct client_answer *from, struct answer *ret)
{
	struct buffer text;

	buffer_init(&text, SHOWN_MOST * 4);
	text_append_visible(&text, slice_head(from->body, SHOWN_MOST));
	snprintf(ret->why, sizeof(ret->why), "HTTP status %u%s%.*s", from->status,
		buffer_length(&text) ? ": " : "", SLICE_PRINT(buffer_slice(&text)));
	buffer_done(&text);
	if (from->status == 429)
		ret->kind = ANSWER_LIMITED;
	else
		ret->kind = from->status >= 500 ? ANSWER_FAILED : ANSWER_REFUSED;
}

void answer_parse(const struct client_answer *from, bool api, struct answer *ret)
{
	*ret = (struct answer){.kind = ANSWER_GOOD};
	if (from->problem) {
		ret->kind = ANSWER_FAILED;
		snprintf(ret->why, sizeof(ret->why), "%s", from->problem);
	} else if (from->status != 200) {
		parse_status(from, ret);
	} else if (api) {
		parse_json(from->body, ret);
	}
	ret->retry_after = from->retry_after ? from->retry_after : RETRY_DEFAULT;
}
