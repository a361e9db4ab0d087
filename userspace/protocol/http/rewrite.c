/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrite: heads as they leave: written anew from what was read, without what concerns only the
 * connection they came by (RFC 9110, 7.6.1) and without what would lead the agent past us.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "protocol/http/engine.h"

/* Of either direction; what is still wanted of them is written anew. */
static const char *const of_connection[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"};
static const char *const of_request[] = {"http2-settings"};
/* Alt-Svc would move the agent to where nobody judges. */
static const char *const of_response[] = {"alt-svc"};

static bool is_one_of(const struct http_field *field, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (http_field_is(field, names[i]))
			return true;
	}
	return false;
}

static int put_field(struct buffer *out, const struct http_field *field)
{
	int r = buffer_append_slice(out, field->name);

	if (r == 0)
		r = buffer_append(out, ": ", 2);
	if (r == 0)
		r = buffer_append_slice(out, field->value);
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

/* Whether it belongs to the connection that it came by, as nearly all heads say of nothing else. */
static bool is_hop_by_hop(const struct http_fields *fields, const struct http_field *field)
{
	return is_one_of(field, of_connection, ARRAY_SIZE(of_connection)) ||
		http_fields_list_has(fields, "connection", field->name);
}

static int put_fields(struct buffer *out, const struct http_fields *fields,
	bool (*drops)(const struct http_engine *e, const struct http_field *field),
	const struct http_engine *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];

		if (!is_hop_by_hop(fields, field) && !drops(e, field))
			r = put_field(out, field);
	}
	return r;
}

/* What would have the server send a part of the content, or a coding of it. */
static const char *const unmaskable[] = {"accept-encoding", "range", "if-range"};

/* AWS's signatures say which headers they cover: one of those must stay as it is. */
static bool is_signed(const struct http_engine *e, const char *name)
{
	const struct http_field *authorization =
		http_fields_find(&e->message.fields, "authorization", NULL);
	struct slice value = authorization ? authorization->value : SLICE_EMPTY;
	char covered[64];

	if (!value.length || !memmem(value.data, value.length, "SignedHeaders=", 14))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		snprintf(covered, sizeof(covered), "%c%s%c", i & 1 ? ';' : '=', name,
			i & 2 ? ';' : ',');
		if (memmem(value.data, value.length, covered, strlen(covered)))
			return true;
	}
	return false;
}

static bool is_unmaskable(const struct http_engine *e, const struct http_field *field)
{
	for (size_t i = 0; e->request.masked && i < ARRAY_SIZE(unmaskable); i++) {
		if (http_field_is(field, unmaskable[i]))
			return !is_signed(e, unmaskable[i]);
	}
	return false;
}

static bool request_drops(const struct http_engine *e, const struct http_field *field)
{
	return is_one_of(field, of_request, ARRAY_SIZE(of_request)) || is_unmaskable(e, field) ||
		(e->request.continued && http_field_is(field, "expect"));
}

static const char *connection_of_request(const struct http_engine *e)
{
	if (e->request.websocket)
		return "Connection: Upgrade\r\nUpgrade: websocket\r\n";
	if (e->request.closes)
		return e->request.minor == 1 ? "Connection: close\r\n" : "";
	return e->request.minor == 0 ? "Connection: keep-alive\r\n" : "";
}

int http_rewrite_request(struct http_engine *e)
{
	const struct http_head *m = &e->message;
	struct buffer *out = &e->out;
	int r;

	buffer_clear(out);
	r = buffer_append_slice(out, m->method);
	if (r == 0)
		r = buffer_append_byte(out, ' ');
	if (r == 0)
		r = buffer_append_slice(out, m->target);
	if (r == 0)
		r = buffer_append_string(out, m->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	if (r == 0)
		r = put_fields(out, &m->fields, request_drops, e);
	if (r == 0 && e->request.framing.kind == HTTP_BODY_CHUNKED)
		r = buffer_append_string(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0 && e->request.masked && !is_signed(e, "accept-encoding"))
		r = buffer_append_string(out, "Accept-Encoding: identity\r\n");
	if (r == 0 && http_fields_list_has(&m->fields, "te", slice_from_string("trailers")))
		r = buffer_append_string(out, "TE: trailers\r\n");
	if (r == 0)
		r = buffer_append_string(out, connection_of_request(e));
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

/* What no longer holds of a content in which something is masked. */
static const char *const of_content[] = {"content-length", "etag", "content-md5", "digest",
	"content-digest", "repr-digest", "accept-ranges", "trailer"};

static bool response_drops(const struct http_engine *e, const struct http_field *field)
{
	/* RFC 9110, 8.6: neither has a length. */
	bool no_length = e->status < 200 || e->status == 204;

	return is_one_of(field, of_response, ARRAY_SIZE(of_response)) ||
		(e->request.masked && is_one_of(field, of_content, ARRAY_SIZE(of_content))) ||
		(no_length && http_field_is(field, "content-length"));
}

static const char *connection_of_response(const struct http_engine *e)
{
	if (e->status == 101)
		return "Connection: Upgrade\r\nUpgrade: websocket\r\n";
	if (e->status < 200)
		return "";
	if (e->response_closes || e->request.closes)
		return "Connection: close\r\n";
	return e->request.minor == 0 ? "Connection: keep-alive\r\n" : "";
}

bool http_response_is_chunked(const struct http_engine *e)
{
	if (e->request.masked && e->response.kind != HTTP_BODY_NONE)
		return e->request.minor == 1;
	return e->response.kind == HTTP_BODY_CHUNKED;
}

int http_rewrite_response(struct http_engine *e)
{
	const struct http_head *m = &e->message;
	struct buffer *out = &e->out;
	int r;

	buffer_clear(out);
	r = buffer_append_format(out, "HTTP/1.%u %u ", m->minor, m->status);
	if (r == 0)
		r = buffer_append_slice(out, m->reason);
	if (r == 0)
		r = buffer_append(out, "\r\n", 2);
	if (r == 0)
		r = put_fields(out, &m->fields, response_drops, e);
	if (r == 0 && http_response_is_chunked(e))
		r = buffer_append_string(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0)
		r = buffer_append_string(out, connection_of_response(e));
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

/* RFC 9110, 6.5.1: what decides how a message is read can't come behind it. */
static const char *const never_trailers[] = {"content-length", "host", "content-encoding",
	"content-type", "content-range", "trailer", "authorization", "cookie", "set-cookie",
	"expect", "range", "te", "alt-svc", "x-http-method-override", "x-http-method",
	"x-method-override", "x-original-url", "x-rewrite-url"};

int http_rewrite_trailers(struct buffer *out, const struct http_body *framing)
{
	struct http_problem problem;
	struct http_fields *fields = memory_new(sizeof(*fields));
	int r = -EBADMSG;

	if (http_fields_read(buffer_slice(&framing->line), fields, &problem))
		r = buffer_append_string(out, "0\r\n");
	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];

		if (is_one_of(field, of_connection, ARRAY_SIZE(of_connection)) ||
			is_one_of(field, never_trailers, ARRAY_SIZE(never_trailers)))
			continue;
		r = put_field(out, field);
	}
	free(fields);
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}
