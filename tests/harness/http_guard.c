/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/http_guard.h"

#include <stdio.h>
#include <strings.h>

#include "base/memory.h"

#define STREAM_MOST (64u << 20)

static void broken(struct http_guard *g, const char *why)
{
	if (!g->broken)
		g->broken = why;
}

static void on_decided(
	struct engine_watch *w, const struct protocol_action_event *event, bool released)
{
	struct http_guard *g = container_of(w, struct http_guard, watch);

	g->released = released;
	buffer_clear(&g->text);
	buffer_append_slice(&g->text, event->action->text);
	for (size_t i = 0; i < event->action->pair_count; i++)
		g->tunnel |=
			released && event->action->pairs[i].operation == OPERATION_HTTP_WEBSOCKET;
}

/* A line without its end; false: it is not here yet. */
static bool take_line(struct http_guard *g, struct slice *ret)
{
	struct slice held = buffer_slice(&g->to_server);
	const uint8_t *end = held.length ? memmem(held.data, held.length, "\r\n", 2) : NULL;

	if (!end)
		return false;
	*ret = slice_head(held, (size_t)(end - held.data));
	for (size_t i = 0; i < ret->length; i++) {
		if (ret->data[i] == '\n' || ret->data[i] == '\r' || ret->data[i] == 0)
			broken(g, "a line break within a line");
	}
	buffer_consume(&g->to_server, ret->length + 2);
	return true;
}

static bool is_name(struct slice line, const char *name)
{
	return line.length > strlen(name) && line.data[strlen(name)] == ':' &&
		strncasecmp((const char *)line.data, name, strlen(name)) == 0;
}

static void check_request_line(struct http_guard *g, struct slice line)
{
	const uint8_t *first = memchr(line.data, ' ', line.length);
	struct slice text = buffer_slice(&g->text), method, target;
	const uint8_t *second;

	if (!g->released)
		broken(g, "a request that was not released");
	g->released = false;
	second = first ? memchr(first + 1, ' ', line.length - (size_t)(first - line.data) - 1)
		       : NULL;
	if (!second || line.length < 10 ||
		memcmp(line.data + line.length - 9, " HTTP/1.", 8) != 0) {
		broken(g, "no request line");
		return;
	}
	method = slice_of(line.data, (size_t)(first - line.data) + 1);
	target = slice_of(first + 1, (size_t)(second - first) - 1);
	if (!slice_starts_with(text, method) ||
		!memmem(text.data, text.length, target.data, target.length))
		broken(g, "another request than the one that was released");
}

static void read_length(struct http_guard *g, struct slice line)
{
	char number[32];

	snprintf(number, sizeof(number), "%.*s", SLICE_PRINT(slice_from(line, 15)));
	g->body = strtoull(number, NULL, 10);
}

/* True: a whole head was taken. */
static bool take_head(struct http_guard *g)
{
	struct slice held = buffer_slice(&g->to_server), line;
	unsigned lengths = 0, codings = 0, hosts = 0;
	bool first = true;

	if (!held.length || !memmem(held.data, held.length, "\r\n\r\n", 4))
		return false;
	while (take_line(g, &line) && line.length) {
		if (first) {
			check_request_line(g, line);
		} else if (line.data[0] == ' ' || line.data[0] == '\t' ||
			!memchr(line.data, ':', line.length)) {
			broken(g, "a line that is no header");
		}
		if (!first && is_name(line, "content-length")) {
			lengths++;
			read_length(g, line);
		}
		codings += !first && is_name(line, "transfer-encoding");
		hosts += !first && is_name(line, "host");
		first = false;
	}
	g->chunked = codings > 0;
	if (lengths + codings > 1 || hosts > 1)
		broken(g, "a request that two readers read differently");
	return true;
}

static bool take_chunk_line(struct http_guard *g)
{
	struct slice line;
	char *end, number[32];

	if (!take_line(g, &line))
		return false;
	if (g->in_trailers) {
		g->chunked = g->in_trailers = line.length > 0;
		return true;
	}
	if (g->in_chunk) {
		if (line.length)
			broken(g, "a chunk that does not end");
		g->in_chunk = false;
		return true;
	}
	snprintf(number, sizeof(number), "%.*s", SLICE_PRINT(line));
	g->body = strtoull(number, &end, 16);
	if (line.length == 0 || *end)
		broken(g, "a chunk without a size");
	g->in_chunk = g->body > 0;
	g->in_trailers = g->body == 0;
	return true;
}

static bool take_body(struct http_guard *g)
{
	size_t n = buffer_length(&g->to_server);

	if (n > g->body)
		n = (size_t)g->body;
	buffer_consume(&g->to_server, n);
	g->body -= n;
	return n > 0;
}

/* What went over a connection that had been left goes once more over a new one, and no further. */
static void note_connection(struct http_guard *g, const struct engine_run *run)
{
	if (run->connects == g->connects)
		return;
	g->connects = run->connects;
	g->released |= g->reused;
	g->reused = run->host.reused;
}

static void on_wrote(
	struct engine_watch *w, struct engine_run *run, enum side to, struct slice bytes)
{
	struct http_guard *g = container_of(w, struct http_guard, watch);
	bool progress = true;

	if (to != SIDE_SERVER || g->broken)
		return;
	note_connection(g, run);
	buffer_append_slice(&g->to_server, bytes);
	while (progress && !g->broken) {
		if (g->body)
			progress = take_body(g);
		else if (g->chunked)
			progress = take_chunk_line(g);
		else if (g->tunnel && !g->released)
			return;
		else
			progress = take_head(g);
	}
}

void http_guard_init(struct http_guard *g)
{
	memset(g, 0, sizeof(*g));
	g->watch.wrote = on_wrote;
	g->watch.decided = on_decided;
	buffer_init(&g->to_server, STREAM_MOST);
	buffer_init(&g->text, STREAM_MOST);
}

void http_guard_done(struct http_guard *g)
{
	buffer_done(&g->to_server);
	buffer_done(&g->text);
}
