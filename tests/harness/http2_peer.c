/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/http2_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define LOG_MOST (64u << 20)
#define FIELDS_MOST 300

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *context)
{
	struct http2_peer *p = context;

	(void)session;
	(void)flags;
	buffer_append_format(&p->log, "%d %.*s: %.*s\n", frame->hd.stream_id, (int)name_length,
		(const char *)name, (int)value_length, (const char *)value);
	if (p->field)
		p->field(p, slice_of(name, name_length), slice_of(value, value_length));
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t length, void *context)
{
	struct http2_peer *p = context;

	(void)session;
	(void)flags;
	buffer_append_format(
		&p->log, "%d data %zu %.*s\n", id, length, (int)length, (const char *)data);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2_peer *p = context;

	(void)session;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		buffer_append_format(&p->log, "%d reset %u\n", frame->hd.stream_id,
			frame->rst_stream.error_code);
	else if (frame->hd.type == NGHTTP2_GOAWAY)
		buffer_append_format(&p->log, "goaway %u\n", frame->goaway.error_code);
	else if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		buffer_append_string(&p->log, "ping\n");
	else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		buffer_append_format(&p->log, "%d end\n", frame->hd.stream_id);
	return 0;
}

/* A body that is sent, and what stands behind it. */
struct outgoing {
	struct list link; /* http2_peer.bodies */
	int32_t id; /* of the stream, once it is asked for */
	char *text, *trailers;
	size_t length, at;
	bool open;
};

void http2_peer_init(struct http2_peer *p, struct engine_run *run, enum side side)
{
	nghttp2_session_callbacks *c;

	memset(p, 0, sizeof(*p));
	p->run = run;
	p->side = side;
	buffer_init(&p->log, LOG_MOST);
	list_init(&p->bodies);
	if (nghttp2_session_callbacks_new(&c) < 0)
		abort();
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	if (side == SIDE_AGENT)
		nghttp2_session_client_new(&p->session, c, p);
	else
		nghttp2_session_server_new(&p->session, c, p);
	nghttp2_session_callbacks_del(c);
	nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

void http2_peer_done(struct http2_peer *p)
{
	nghttp2_session_del(p->session);
	list_for_each_safe (position, &p->bodies) {
		struct outgoing *o = list_entry(position, struct outgoing, link);

		free(o->text);
		free(o->trailers);
		free(o);
	}
	buffer_done(&p->log);
}

static nghttp2_nv pair(const char *name, size_t name_length, const char *value, size_t length)
{
	return (nghttp2_nv){
		(uint8_t *)name, (uint8_t *)value, name_length, length, NGHTTP2_NV_FLAG_NONE};
}

static size_t add_fields(nghttp2_nv *items, size_t count, const char *fields)
{
	while (fields && *fields && count < FIELDS_MOST) {
		const char *colon = strstr(fields, ": "), *end = strchr(fields, '\n');

		items[count++] = pair(
			fields, (size_t)(colon - fields), colon + 2, (size_t)(end - colon) - 2);
		fields = end + 1;
	}
	return count;
}

static void end_outgoing(nghttp2_session *session, int32_t id, struct outgoing *o, uint32_t *flags)
{
	nghttp2_nv items[FIELDS_MOST];

	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (o->trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, items, add_fields(items, 0, o->trailers));
	}
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *room, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct outgoing *o = source->ptr;
	size_t n = o->length - o->at < length ? o->length - o->at : length;

	(void)context;
	o->id = id;
	if (n == 0 && o->open)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(room, o->text + o->at, n);
	o->at += n;
	if (o->at == o->length && !o->open)
		end_outgoing(session, id, o, flags);
	return (ssize_t)n;
}

static nghttp2_data_provider provide(
	struct http2_peer *p, const char *body, const char *trailers, bool open)
{
	struct outgoing *o = memory_new(sizeof(*o));

	list_append(&p->bodies, &o->link);
	o->text = memory_copy_string(body);
	o->length = strlen(body);
	o->trailers = trailers ? memory_copy_string(trailers) : NULL;
	o->open = open;
	return (nghttp2_data_provider){.source = {.ptr = o}, .read_callback = read_body};
}

static int32_t ask(struct http2_peer *p, const char *method, const char *path, const char *fields,
	const nghttp2_data_provider *content)
{
	nghttp2_nv items[FIELDS_MOST] = {
		pair(":method", 7, method, strlen(method)),
		pair(":scheme", 7, "http", 4),
		pair(":authority", 10, "h", 1),
		pair(":path", 5, path, strlen(path)),
	};
	size_t count = add_fields(items, 4, fields);

	return nghttp2_submit_request(p->session, NULL, items, count, content, NULL);
}

int32_t http2_peer_ask(struct http2_peer *p, const char *method, const char *path,
	const char *fields, const char *body, bool open)
{
	nghttp2_data_provider content;

	if (body)
		content = provide(p, body, NULL, open);
	return ask(p, method, path, fields, body ? &content : NULL);
}

int32_t http2_peer_connect(struct http2_peer *p, const char *place, const char *fields)
{
	nghttp2_nv items[FIELDS_MOST] = {
		pair(":method", 7, "CONNECT", 7),
		pair(":authority", 10, place, strlen(place)),
	};
	size_t count = add_fields(items, 2, fields);
	nghttp2_data_provider content = provide(p, "", NULL, true);

	return nghttp2_submit_request(p->session, NULL, items, count, &content, NULL);
}

int32_t http2_peer_ask_trailed(struct http2_peer *p, const char *method, const char *path,
	const char *body, const char *trailers)
{
	nghttp2_data_provider content = provide(p, body, trailers, false);

	return ask(p, method, path, NULL, &content);
}

void http2_peer_answer(struct http2_peer *p, int32_t id, const char *status, const char *fields,
	const char *body, const char *trailers)
{
	nghttp2_nv items[FIELDS_MOST] = {pair(":status", 7, status, strlen(status))};
	size_t count = add_fields(items, 1, fields);
	nghttp2_data_provider content;

	if (body)
		content = provide(p, body, trailers, false);
	nghttp2_submit_response(p->session, id, items, count, body ? &content : NULL);
}

void http2_peer_more(struct http2_peer *p, int32_t id, struct slice bytes, bool open)
{
	list_for_each (position, &p->bodies) {
		struct outgoing *o = list_entry(position, struct outgoing, link);

		if (o->id != id)
			continue;
		o->text = realloc(o->text, o->length + bytes.length + 1);
		if (!o->text)
			abort();
		if (bytes.length)
			memcpy(o->text + o->length, bytes.data, bytes.length);
		o->length += bytes.length;
		o->open = open;
		nghttp2_session_resume_data(p->session, id);
		return;
	}
	abort();
}

void http2_peer_agree(struct http2_peer *p, int32_t id, const char *fields)
{
	nghttp2_nv items[FIELDS_MOST] = {pair(":status", 7, "200", 3)};
	size_t count = add_fields(items, 1, fields);
	nghttp2_data_provider content = provide(p, "", NULL, true);

	nghttp2_submit_response(p->session, id, items, count, &content);
}

void http2_peer_speak(struct http2_peer *p)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(p->session, &data)) > 0) {
		struct slice all = slice_of(data, (size_t)n);
		size_t step = p->step ? p->step : all.length;

		for (size_t i = 0; i < all.length; i += step)
			engine_run_feed(p->run, p->side, slice_head(slice_from(all, i), step));
	}
}

bool http2_peer_listen(struct http2_peer *p)
{
	struct buffer *sent = &p->run->sent[p->side];
	struct slice in = buffer_slice(sent);

	if (in.length == 0)
		return false;
	if (nghttp2_session_mem_recv(p->session, in.data, in.length) != (ssize_t)in.length)
		p->failed++;
	buffer_clear(sent);
	return true;
}

void http2_peers_talk(struct http2_peer *agent, struct http2_peer *server)
{
	bool any = true;

	while (any) {
		http2_peer_speak(agent);
		http2_peer_speak(server);
		any = http2_peer_listen(agent);
		any |= http2_peer_listen(server);
	}
}

bool http2_peer_heard(const struct http2_peer *p, const char *text)
{
	struct slice s = buffer_slice(&p->log);

	return s.length && memmem(s.data, s.length, text, strlen(text));
}
