/* SPDX-License-Identifier: Apache-2.0
 *
 * content: what a request's content claims to be, for rules that look into it. A server may believe
 * something else than a type that is missing, stands twice, or is none of those that we read.
 */
#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/coding.h"
#include "protocol/http/dialect.h"
#include "protocol/http/shown.h"

static bool is_text(struct slice value, const char *text)
{
	return text_equal_ignore_case(value, slice_from_string(text));
}

static struct slice take_trimmed(struct slice *rest, uint8_t byte)
{
	return http_trim(slice_take_until(rest, byte));
}

/* In another one the same bytes may be other characters. */
static bool is_utf8(struct slice charset)
{
	if (charset.length >= 2 && charset.data[0] == '"' &&
		charset.data[charset.length - 1] == '"')
		charset = slice_head(slice_from(charset, 1), charset.length - 2);
	return is_text(charset, "utf-8") || is_text(charset, "utf8") ||
		is_text(charset, "us-ascii");
}

static bool is_media_type(struct slice media)
{
	struct slice type = take_trimmed(&media, '/');

	return http_is_token(type) && http_is_token(media);
}

/* The media type of a value that means one thing. Some servers read a value up to its first comma
 * or blank, and some look at its end only; a patch of this type names its paths in its texts. */
static enum action_body_form form_of_media(struct slice media)
{
	if (!is_media_type(media) || is_text(media, "application/json-patch+json"))
		return BODY_UNKNOWN;
	if (is_text(media, "application/json") || is_text(media, "text/json") ||
		(media.length > 5 && is_text(slice_from(media, media.length - 5), "+json")))
		return BODY_JSON;
	if (is_text(media, "application/x-www-form-urlencoded"))
		return BODY_FORM;
	return BODY_UNKNOWN;
}

static enum action_body_form form_of_type(struct slice type)
{
	bool several = type.length && memchr(type.data, ',', type.length);
	enum action_body_form form = form_of_media(take_trimmed(&type, ';'));

	if (several)
		return BODY_UNKNOWN;
	while (type.length) {
		struct slice value = take_trimmed(&type, ';'), name = take_trimmed(&value, '=');

		if (is_text(name, "charset") && !is_utf8(value))
			return BODY_UNKNOWN;
	}
	return form;
}

/* As what the content is to be read, once it is without the codings. */
static enum action_body_form form_of(
	const struct http_fields *fields, const struct http_codings *codings)
{
	size_t types;
	const struct http_field *type = http_fields_find(fields, "content-type", &types);
	enum action_body_form form = types == 1 ? form_of_type(type->value) : BODY_UNKNOWN;

	/* Most servers that read forms know no codings, and would find fields in what comes. */
	if (codings->count && form != BODY_JSON)
		return BODY_UNKNOWN;
	/* It may be read with its header, or as if it had none. */
	for (size_t i = 0; i < codings->count; i++) {
		if (codings->items[i] == HTTP_CODING_DEFLATE)
			return BODY_UNKNOWN;
	}
	return form;
}

/* The headers of a text as people see it. */
static void read_lines(struct slice head, struct http_fields *ret)
{
	ret->count = 0;
	while (head.length && ret->count < ARRAY_SIZE(ret->items)) {
		struct slice value = take_trimmed(&head, '\n'), name = take_trimmed(&value, ':');

		ret->items[ret->count++] = (struct http_field){name, http_trim(value)};
	}
}

static bool begins_as_json(struct slice body)
{
	while (body.length && memchr(" \t\r\n", body.data[0], 4))
		body = slice_from(body, 1);
	return body.length && (body.data[0] == '{' || body.data[0] == '[');
}

/* JSON is what begins as it does, as nobody writes headers by hand. */
static enum action_body_form form_of_text(const struct http_fields *fields, struct slice body)
{
	struct http_codings codings;
	bool json = begins_as_json(body);

	if (!http_fields_find(fields, "content-type", NULL))
		return json ? BODY_JSON : BODY_FORM;
	/* What stands here was decoded where it could be. */
	if (http_codings_read(fields, &codings) < 0 || (codings.count && !json))
		return BODY_UNKNOWN;
	return form_of(fields, &codings);
}

void http_body_of_text(struct slice text, struct action_body *ret)
{
	const uint8_t *end = text.length ? memmem(text.data, text.length, "\n\n", 2) : NULL;
	size_t length = end ? (size_t)(end - text.data) : text.length;
	struct http_fields *fields = memory_new(sizeof(*fields));
	struct slice head = slice_head(text, length), line = take_trimmed(&head, '\n');
	enum operation operation = http_operation_of(take_trimmed(&line, ' '));

	*ret = (struct action_body){.form = BODY_NONE, .bytes = slice_from(text, length + 2)};
	read_lines(head, fields);
	if (ret->bytes.length)
		ret->form = form_of_text(fields, ret->bytes);
	else if (!end && operation_get_group(operation) == OPERATION_GROUP_WRITE)
		ret->form = BODY_UNKNOWN;
	free(fields);
}

bool http_request_wants_body(const struct http_request *r)
{
	return r->has_body && !r->collected && r->host->wants_body &&
		r->host->wants_body(r->host, &r->action);
}

/* What people are shown of it. */
static struct slice shown(struct http_request *r, struct slice content)
{
	const struct http_dialect *dialect = r->origin->dialect;

	buffer_wipe(&r->shown);
	return dialect->hide && dialect->hide(r, content, &r->shown) ? buffer_slice(&r->shown)
								     : content;
}

/* Where a decoded body goes. */
struct decoded {
	struct http_decoded base;
	struct buffer *body;
};

static int keep_decoded(struct http_decoded *d, struct slice content)
{
	return buffer_append_slice(container_of(d, struct decoded, base)->body, content);
}

static bool decode(const struct http_codings *codings, struct slice content, struct buffer *body)
{
	struct decoded to = {.base.take = keep_decoded, .body = body};
	struct http_decoder *d = http_decoder_new(codings);
	bool decoded = d && http_decoder_take(d, content, true, &to.base) == 0 &&
		http_decoder_is_single(d);

	http_decoder_free(d);
	return decoded;
}

void http_request_decode(struct http_request *r)
{
	struct slice content = buffer_slice(&r->content);
	struct http_codings codings;

	buffer_clear(&r->decoded);
	r->is_decoded = r->collected && !r->too_large && content.length &&
		http_codings_read(&r->head.fields, &codings) == 0 && codings.count &&
		/* A server that knows no codings would read it as it came. */
		!begins_as_json(content) && decode(&codings, content, &r->decoded);
	if (!r->is_decoded)
		buffer_wipe(&r->decoded);
}

void http_request_show_body(struct http_request *r)
{
	struct slice content = buffer_slice(r->is_decoded ? &r->decoded : &r->content);
	struct http_codings codings;

	r->body = (struct protocol_value){.data = SLICE_EMPTY};
	r->action.body = (struct action_body){.form = BODY_NONE};
	if (!r->has_body || (r->collected && !r->too_large && buffer_length(&r->content) == 0))
		return;
	r->action.body.form = BODY_UNKNOWN;
	if (!r->collected || r->too_large)
		return;
	r->body.data = shown(r, content);
	r->body.length = r->body.data.length;
	r->body.type = http_shown_of(&r->head.fields, r->body.data);
	r->body.binary = r->body.type != HTTP_SHOWN_TEXT;
	if (http_codings_read(&r->head.fields, &codings) < 0 || (codings.count && !r->is_decoded))
		return;
	r->action.body = (struct action_body){form_of(&r->head.fields, &codings), content};
}
