/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrite: heads as they leave: written anew from what was read, without what concerns only the
 * connection they came by (RFC 9110, 7.6.1) and without what would lead the agent past us.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "protocol/http/credentials.h"
#include "protocol/http/engine.h"

static int put_name(struct buffer *out, const struct http_field *field)
{
	int r = buffer_append_slice(out, field->name);

	return r < 0 ? r : buffer_append(out, ": ", 2);
}

/* Most of a head: its room is looked for once. */
static int put_field(struct buffer *out, const struct http_field *field)
{
	size_t name = field->name.length, value = field->value.length;
	uint8_t *space;
	int r = buffer_reserve(out, name + 2 + value + 2, &space);

	if (r < 0)
		return r;
	memcpy(space, field->name.data, name);
	memcpy(space + name, ": ", 2);
	if (value)
		memcpy(space + name + 2, field->value.data, value);
	memcpy(space + name + 2 + value, "\r\n", 2);
	buffer_commit(out, name + 2 + value + 2);
	return 0;
}

/* A server that leads elsewhere may repeat the request's query, with the secret that it had. Where
 * the parameter still stands in what it says, as in the query of a query, none of it is told. */
static int put_link(
	const struct http_request *request, struct buffer *out, const struct http_field *field)
{
	const struct protocol_credentials *c = &request->host->credentials;
	size_t begin = buffer_length(out), value;
	int r = put_name(out, field);

	value = buffer_length(out);
	if (r == 0)
		r = http_credentials_put_link(c, field->name, field->value, out);
	if (r == 0 && http_credentials_are_named(c, slice_from(buffer_slice(out), value))) {
		buffer_truncate(out, begin);
		return 0;
	}
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

static int put_fields(struct buffer *out, const struct http_request *request,
	bool (*keeps)(const struct http_request *r, const struct http_field *field))
{
	const struct http_fields *fields = &request->head.fields;
	int r = 0;

	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];

		if (!keeps(request, field))
			continue;
		if (http_credentials_may_be_in(&request->host->credentials, field->name))
			r = put_link(request, out, field);
		else
			r = put_field(out, field);
	}
	return r;
}

static const char *upgrade_of(const struct http_engine *e)
{
	return e->request.spdy ? "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
			       : "Connection: Upgrade\r\nUpgrade: websocket\r\n";
}

static const char *connection_of_request(const struct http_engine *e)
{
	if (http_request_upgrade(&e->request))
		return upgrade_of(e);
	/* What the agent wants of its own connection is no matter of one that others may have. */
	if (e->request.closes)
		return e->request.minor == 1 && !e->base.host->keeps ? "Connection: close\r\n" : "";
	return e->request.minor == 0 ? "Connection: keep-alive\r\n" : "";
}

static int put_target(const struct http_engine *e, struct buffer *out)
{
	const struct protocol_credentials *c = &e->base.host->credentials;

	if (c->place != SECRET_IN_QUERY || e->request.beyond.port)
		return buffer_append_slice(out, e->request.head.target);
	return http_credentials_put_target(c, e->request.head.target, e->secret, out);
}

static int put_credentials(const struct http_engine *e, struct buffer *out)
{
	const struct protocol_credentials *c = &e->base.host->credentials;
	struct slice field = http_credentials_field(c);
	int r;

	if (field.length == 0)
		return 0;
	r = buffer_append_format(out, "%.*s: ", SLICE_PRINT(field));
	if (r == 0)
		r = http_credentials_put_value(c, e->secret, out);
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

int http_rewrite_request(struct http_engine *e)
{
	const struct http_head *m = &e->request.head;
	const char *coding = http_request_coding(&e->request);
	struct buffer *out = &e->out;
	int r;

	buffer_clear(out);
	r = buffer_append_slice(out, m->method);
	if (r == 0)
		r = buffer_append_byte(out, ' ');
	if (r == 0)
		r = put_target(e, out);
	if (r == 0)
		r = buffer_append_string(out, m->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	if (r == 0)
		r = put_fields(out, &e->request, http_request_keeps);
	if (r == 0)
		r = put_credentials(e, out);
	if (r == 0)
		r = buffer_append_slice(out, e->base.host->credentials.impersonates);
	if (r == 0 && e->framing.kind == HTTP_BODY_CHUNKED)
		r = buffer_append_string(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0 && coding)
		r = buffer_append_format(out, "Accept-Encoding: %s\r\n", coding);
	if (r == 0 && http_request_accept(&e->request).length)
		r = buffer_append_format(
			out, "Accept: %.*s\r\n", SLICE_PRINT(http_request_accept(&e->request)));
	if (r == 0 && http_fields_list_has(&m->fields, "te", slice_from_string("trailers")))
		r = buffer_append_string(out, "TE: trailers\r\n");
	if (r == 0)
		r = buffer_append_string(out, connection_of_request(e));
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

static const char *connection_of_response(const struct http_engine *e)
{
	if (e->request.status == 101)
		return upgrade_of(e);
	if (e->request.status < 200 || (e->request.beyond.port && e->request.status < 300))
		return "";
	if (e->response_closes || e->request.closes)
		return "Connection: close\r\n";
	/* Who speaks HTTP/1.0 does not keep a connection unless it is told to. */
	return e->request.minor == 0 || e->request.head.minor == 0 ? "Connection: keep-alive\r\n"
								   : "";
}

bool http_response_is_chunked(const struct http_engine *e)
{
	/* What e->response says then is of the response before. */
	if (e->request.status < 200)
		return false;
	if (e->request.masked && e->response.kind != HTTP_BODY_NONE)
		return e->request.minor == 1;
	return e->response.kind == HTTP_BODY_CHUNKED;
}

int http_rewrite_response(struct http_engine *e)
{
	const struct http_head *m = &e->request.head;
	struct buffer *out = &e->out;
	char status[HTTP_STATUS_DIGITS];
	int r;

	buffer_clear(out);
	r = buffer_append_string(out, m->minor ? "HTTP/1.1 " : "HTTP/1.0 ");
	http_status_put(m->status, status);
	if (r == 0)
		r = buffer_append(out, status, sizeof(status));
	if (r == 0)
		r = buffer_append_byte(out, ' ');
	if (r == 0)
		r = buffer_append_slice(out, m->reason);
	if (r == 0)
		r = buffer_append(out, "\r\n", 2);
	if (r == 0)
		r = put_fields(out, &e->request, http_response_keeps);
	if (r == 0 && http_response_is_chunked(e))
		r = buffer_append_string(out, "Transfer-Encoding: chunked\r\n");
	if (r == 0)
		r = buffer_append_string(out, connection_of_response(e));
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}

int http_rewrite_trailers(struct http_engine *e, const struct http_body *framing)
{
	struct buffer *out = &e->out;
	struct http_problem problem;
	struct http_fields *fields = memory_new(sizeof(*fields));
	int r = -EBADMSG;

	if (http_fields_read(buffer_slice(&framing->line), fields, &problem))
		r = buffer_append_string(out, "0\r\n");
	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		if (http_trailer_is_kept(&e->request, &fields->items[i]))
			r = put_field(out, &fields->items[i]);
	}
	free(fields);
	return r < 0 ? r : buffer_append(out, "\r\n", 2);
}
