/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/callback.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"

/* The longest time that a button may name: a year. */
#define GRANT_MOST (366ULL * 24 * 3600 * 1000000000ULL)

/* --- the form --- */

static int decode_byte(struct slice s, size_t *position, uint8_t *ret)
{
	uint8_t c = s.data[*position];

	*position += 1;
	if (c == '+')
		c = ' ';
	if (c == '%') {
		if (text_from_hex(slice_head(slice_from(s, *position), 2), &c, 1) < 0)
			return -EBADMSG;
		*position += 2;
	}
	*ret = c;
	return 0;
}

/* The value of the field "payload", which must be the only one of its name. */
static int decode_payload(struct slice body, struct buffer *ret)
{
	const struct slice name = slice_from_string("payload=");
	bool found = false;

	while (body.length) {
		const uint8_t *end = memchr(body.data, '&', body.length);
		struct slice field =
			slice_head(body, end ? (size_t)(end - body.data) : body.length);

		body = slice_from(body, field.length + (end ? 1 : 0));
		if (!slice_starts_with(field, name))
			continue;
		if (found)
			return -EBADMSG;
		found = true;
		for (size_t i = name.length; i < field.length;) {
			uint8_t c;
			int r = decode_byte(field, &i, &c);

			if (r == 0)
				r = buffer_append_byte(ret, c);
			if (r < 0)
				return r;
		}
	}
	return found ? 0 : -EBADMSG;
}

/* --- the JSON --- */

static const cJSON *get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *get_text(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(get(object, name));

	return text ? text : "";
}

/* False: too long. */
static bool copy(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length >= size)
		return false;
	memcpy(to, from, length + 1);
	return true;
}

static bool copy_user(const cJSON *payload, struct callback *ret)
{
	const char *user = get_text(get(payload, "user"), "id");

	return *user && copy(ret->user, sizeof(ret->user), user);
}

static bool take_review(struct slice text, struct callback *ret)
{
	if (!identifier_is_valid(text, 'r'))
		return false;
	memcpy(ret->review.text, text.data, text.length);
	return true;
}

/* "r-7Q2K" or "r-7Q2K 1800000000000". */
static bool take_value(const char *value, struct callback *ret)
{
	struct slice text = slice_from_string(value);
	const char *space = strchr(value, ' ');

	if (!space)
		return take_review(text, ret);
	return text_to_number(slice_from_string(space + 1), GRANT_MOST, &ret->grant) == 0 &&
		take_review(slice_head(text, (size_t)(space - value)), ret);
}

static int parse_click(const cJSON *payload, struct callback *ret)
{
	static const struct {
		const char *id;
		enum broker_verdict verdict;
		bool timed;
	} actions[] = {
		{CALLBACK_APPROVE, BROKER_APPROVE, false},
		{CALLBACK_APPROVE_TIME, BROKER_APPROVE, true},
		{CALLBACK_DENY, BROKER_DENY, false},
	};
	const cJSON *list = get(payload, "actions"), *action = cJSON_GetArrayItem(list, 0);
	const char *id = get_text(action, "action_id"), *value = get_text(action, "value");

	/* One click is one action; what a list of several would mean nobody has said. */
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 1)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].id, id) != 0)
			continue;
		ret->kind = CALLBACK_CLICK;
		ret->verdict = actions[i].verdict;
		if (!take_value(value, ret) || actions[i].timed != (ret->grant > 0))
			return -EBADMSG;
	}
	if (ret->kind == CALLBACK_OTHER)
		return 0;
	if (!copy(ret->response_url, sizeof(ret->response_url),
		    get_text(payload, "response_url")) ||
		!copy(ret->trigger, sizeof(ret->trigger), get_text(payload, "trigger_id")) ||
		snprintf(ret->action, sizeof(ret->action), "click %s %s %s %s", ret->user, id,
			value, get_text(action, "action_ts")) >= (int)sizeof(ret->action))
		return -EBADMSG;
	return 0;
}

/* "r-7Q2K https://…", as callback_context() wrote it. */
static bool take_context(const char *context, struct callback *ret)
{
	const char *space = strchr(context, ' ');

	return space && take_review(slice_of(context, (size_t)(space - context)), ret) &&
		copy(ret->response_url, sizeof(ret->response_url), space + 1);
}

static int parse_dialog(const cJSON *payload, struct callback *ret)
{
	const cJSON *view = get(payload, "view");
	const cJSON *values = get(get(view, "state"), "values");
	const char *reason = get_text(get(get(values, CALLBACK_REASON), CALLBACK_REASON), "value");

	if (strcmp(get_text(view, "callback_id"), CALLBACK_DENY) != 0)
		return 0;
	ret->kind = CALLBACK_DIALOG;
	ret->verdict = BROKER_DENY;
	if (!take_context(get_text(view, "private_metadata"), ret) ||
		!copy(ret->reason, sizeof(ret->reason), reason) ||
		snprintf(ret->action, sizeof(ret->action), "dialog %s %s", ret->user,
			get_text(view, "id")) >= (int)sizeof(ret->action))
		return -EBADMSG;
	return 0;
}

static int parse_payload(const cJSON *payload, struct callback *ret)
{
	const char *type = get_text(payload, "type");

	if (!cJSON_IsObject(payload) || !*type)
		return -EBADMSG;
	if (strcmp(type, "block_actions") != 0 && strcmp(type, "view_submission") != 0)
		return 0;
	if (!copy_user(payload, ret))
		return -EBADMSG;
	return strcmp(type, "block_actions") == 0 ? parse_click(payload, ret)
						  : parse_dialog(payload, ret);
}

int callback_parse(struct slice body, struct callback *ret)
{
	struct callback parsed = {.kind = CALLBACK_OTHER};
	struct buffer json;
	cJSON *payload;
	int r;

	buffer_init(&json, CALLBACK_BODY_MOST);
	r = decode_payload(body, &json);
	/* A NUL would end cJSON's strings early: two readers of one text. */
	if (r == 0 &&
		(!buffer_length(&json) || memchr(json.data, 0, buffer_length(&json)) ||
			!text_is_utf8(buffer_slice(&json))))
		r = -EBADMSG;
	if (r == 0) {
		payload = cJSON_ParseWithLength(
			(const char *)buffer_slice(&json).data, buffer_length(&json));
		r = payload ? parse_payload(payload, &parsed) : -EBADMSG;
		cJSON_Delete(payload);
	}
	buffer_done(&json);
	if (r == 0)
		*ret = parsed;
	return r;
}

char *callback_context(const struct identifier *review, const char *response_url)
{
	return memory_format("%s %s", review->text, response_url);
}
