/* SPDX-License-Identifier: Apache-2.0
 *
 * block: a list of headers as it comes, bounded, and as it leaves.
 */
#include "base/text.h"
#include "protocol/http/credentials.h"
#include "protocol/http2/http2.h"

#define FIELD_OVERHEAD 32u /* RFC 9113, 6.5.2 */

void http2_block_clear(struct http2_block *b)
{
	for (size_t i = 0; i < b->held_count; i++)
		nghttp2_rcbuf_decref(b->held[i]);
	/* Not the whole of it, which is large: nothing is read of what is not counted. */
	b->held_count = b->bytes = b->fields.count = 0;
	b->method = b->scheme = b->authority = SLICE_EMPTY;
	b->path = b->status = b->protocol = SLICE_EMPTY;
	b->problem = (struct http_problem){0};
}

static struct slice slice_of_rcbuf(nghttp2_rcbuf *b)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

	return slice_of(v.base, v.len);
}

static void find_problem(struct http2_block *b, unsigned status, const char *text)
{
	if (!b->problem.status)
		b->problem = (struct http_problem){status, text};
}

static void take_pseudo(struct http2_block *b, struct slice name, struct slice value)
{
	const struct {
		const char *name;
		struct slice *place;
	} all[] = {
		{":method", &b->method},
		{":scheme", &b->scheme},
		{":authority", &b->authority},
		{":path", &b->path},
		{":status", &b->status},
		{":protocol", &b->protocol},
	};

	/* nghttp2 refuses one that comes twice, late, or on the wrong side. */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (slice_equal_string(name, all[i].name)) {
			*all[i].place = value;
			return;
		}
	}
	find_problem(b, 400, "a pseudo-header that is not known");
}

bool http2_block_add(struct http2_block *b, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
	struct slice n = slice_of_rcbuf(name), v = slice_of_rcbuf(value);

	b->bytes += n.length + v.length + FIELD_OVERHEAD;
	if (b->bytes > LIMIT_HTTP_HEAD)
		find_problem(b, 431, "the head is too large");
	if (b->held_count == ARRAY_SIZE(b->held) || b->fields.count == LIMIT_HTTP_FIELDS - 1)
		find_problem(b, 431, "too many headers");
	if (b->problem.status)
		return b->bytes <= LIMIT_HTTP2_LIST;
	nghttp2_rcbuf_incref(name);
	nghttp2_rcbuf_incref(value);
	b->held[b->held_count++] = name;
	b->held[b->held_count++] = value;
	if (n.length && n.data[0] == ':')
		take_pseudo(b, n, v);
	else
		b->fields.items[b->fields.count++] = (struct http_field){n, v};
	return true;
}

/* --- a request --- */

static bool fail(struct http_problem *ret, unsigned status, const char *text)
{
	*ret = (struct http_problem){status, text};
	return false;
}

/* :authority stands for Host (RFC 9113, 8.3.1), and comes first. */
static bool copy_fields(
	const struct http2_block *b, struct http_fields *to, struct http_problem *ret)
{
	struct slice authority = b->authority;

	to->count = 0;
	if (authority.length)
		to->items[to->count++] = (struct http_field){slice_from_string("host"), authority};
	for (size_t i = 0; i < b->fields.count; i++) {
		const struct http_field *field = &b->fields.items[i];

		if (!authority.length || !http_field_is(field, "host"))
			to->items[to->count++] = *field;
		else if (!text_equal_ignore_case(field->value, authority))
			return fail(ret, 400, "an :authority and a Host that differ");
	}
	return true;
}

/* An extended CONNECT (RFC 8441, 4) is judged as the upgrade of HTTP/1.1 that it stands for.
 * Nothing of HTTP/2's has these fields. */
static bool read_protocol(
	const struct http2_block *b, struct http_request *r, struct http_problem *ret)
{
	struct http_fields *fields = &r->head.fields;
	struct slice websocket = slice_from_string("websocket");

	if (!text_equal_ignore_case(b->protocol, websocket))
		return fail(ret, 501, "an extended CONNECT to anything but a WebSocket");
	if (fields->count + 2 > LIMIT_HTTP_FIELDS)
		return fail(ret, 431, "too many headers");
	r->head.method = slice_from_string("GET");
	fields->items[fields->count++] =
		(struct http_field){slice_from_string("upgrade"), websocket};
	fields->items[fields->count++] =
		(struct http_field){slice_from_string("connection"), slice_from_string("upgrade")};
	return true;
}

bool http2_block_read_request(
	const struct http2_block *b, struct http_request *r, struct http_problem *ret)
{
	bool connects = slice_equal_string(b->method, "CONNECT") && !b->protocol.length;

	r->minor = r->head.minor = 1;
	r->to_head = slice_equal_string(b->method, "HEAD");
	r->head.method = b->method;
	r->head.target = connects ? b->authority : b->path;
	if (b->problem.status) {
		*ret = b->problem;
		return false;
	}
	if (!http_is_token(b->method) || b->method.length > LIMIT_HTTP_METHOD)
		return fail(ret, 400, "a :method that is none");
	if (!http_is_target(r->head.target))
		return fail(ret, 400, "a byte that can't stand in a request's target");
	/* Servers believe it where they make links and decide about redirects. */
	if (!connects && !slice_equal_string(b->scheme, r->origin->tls ? "https" : "http"))
		return fail(ret, 400, "a :scheme that is not the connection's");
	if (!connects && b->path.data[0] != '/' && !slice_equal_string(b->path, "*"))
		return fail(ret, 400, "a :path that is none");
	return copy_fields(b, &r->head.fields, ret) &&
		(!b->protocol.length || read_protocol(b, r, ret));
}

/* --- lists that leave --- */

void http2_list_add(struct http2_list *l, struct slice name, struct slice value)
{
	if (l->count < ARRAY_SIZE(l->items))
		l->items[l->count++] = (nghttp2_nv){
			.name = (uint8_t *)name.data,
			.value = (uint8_t *)value.data,
			.namelen = name.length,
			.valuelen = value.length,
		};
}

void http2_list_hide(struct http2_list *l, struct slice name, struct slice value)
{
	size_t i = 0;

	while (i < l->count && !slice_equal(slice_of(l->items[i].name, l->items[i].namelen), name))
		i++;
	if (i == l->count)
		http2_list_add(l, name, value);
	if (i == l->count)
		return;
	l->items[i].value = (uint8_t *)value.data;
	l->items[i].valuelen = value.length;
	l->items[i].flags = NGHTTP2_NV_FLAG_NO_INDEX;
}

static void add_text(struct http2_list *l, const char *name, struct slice value)
{
	http2_list_add(l, slice_from_string(name), value);
}

static void add_lines(struct http2_list *l, struct slice lines)
{
	while (lines.length) {
		const uint8_t *end = memmem(lines.data, lines.length, "\r\n", 2);
		struct slice line = slice_head(lines, (size_t)(end - lines.data));
		const uint8_t *colon = memchr(line.data, ':', line.length);
		size_t name = (size_t)(colon - line.data);

		http2_list_add(l, slice_head(line, name), slice_from(line, name + 2));
		lines = slice_from(lines, line.length + 2);
	}
}

int http2_list_of_request(struct http2_list *l, const struct http2_stream *s, struct buffer *room)
{
	const struct http_fields *fields = &s->request.head.fields;
	const char *coding = http_request_coding(&s->request);
	const struct http_field *host = http_fields_find(fields, "host", NULL);

	l->count = 0;
	add_text(l, ":method", s->socket ? slice_from_string("CONNECT") : s->request.head.method);
	if (s->socket)
		add_text(l, ":protocol", slice_from_string("websocket"));
	if (!s->tunnel)
		add_text(l, ":scheme", s->block.scheme);
	if (host)
		add_text(l, ":authority", host->value);
	if (!s->tunnel)
		add_text(l, ":path", s->request.head.target);
	for (size_t i = 0; i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];

		if (!http_field_is(field, "host") && http_request_keeps(&s->request, field))
			http2_list_add(l, field->name, field->value);
	}
	if (coding)
		add_text(l, "accept-encoding", slice_from_string(coding));
	if (http_request_accept(&s->request).length)
		add_text(l, "accept", http_request_accept(&s->request));
	if (http_fields_list_has(fields, "te", slice_from_string("trailers")))
		add_text(l, "te", slice_from_string("trailers"));
	add_lines(l, s->request.host->credentials.impersonates);
	return http2_secret_put(s, l, room);
}

/* A server that leads elsewhere may repeat the request's query, with the secret that it had. Where
 * it still stands in what it says, none of that is told. Appends what is; `ret` is where. */
static int put_link(const struct protocol_credentials *c, const struct http_field *field,
	struct buffer *room, struct slice *ret)
{
	size_t begin = buffer_length(room);
	int r = http_credentials_put_link(c, field->name, field->value, room);

	if (r == 0 && http_credentials_are_named(c, slice_from(buffer_slice(room), begin)))
		buffer_truncate(room, begin);
	/* The room may still move. */
	*ret = slice_of((const void *)begin, buffer_length(room) - begin);
	return r;
}

int http2_list_of_response(struct http2_list *l, const struct http2_stream *s, struct slice status,
	struct buffer *room)
{
	const struct protocol_credentials *c = &s->request.host->credentials;
	const struct http_fields *fields = &s->request.head.fields;
	struct slice links[LIMIT_HTTP_FIELDS];
	int r = 0;

	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		if (http_credentials_may_be_in(c, fields->items[i].name))
			r = put_link(c, &fields->items[i], room, &links[i]);
	}
	l->count = 0;
	add_text(l, ":status", status);
	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];
		struct slice value = field->value;

		if (!http_response_keeps(&s->request, field))
			continue;
		if (http_credentials_may_be_in(c, field->name))
			value = slice_of(
				buffer_slice(room).data + (size_t)links[i].data, links[i].length);
		if (value.length || !http_credentials_may_be_in(c, field->name))
			http2_list_add(l, field->name, value);
	}
	return r;
}

void http2_list_of_trailers(
	struct http2_list *l, const struct http_request *r, const struct http2_block *b)
{
	l->count = 0;
	for (size_t i = 0; i < b->fields.count; i++) {
		if (http_trailer_is_kept(r, &b->fields.items[i]))
			http2_list_add(l, b->fields.items[i].name, b->fields.items[i].value);
	}
}
