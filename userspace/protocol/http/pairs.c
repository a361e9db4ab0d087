/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/pairs.h"

#include <string.h>

#include "protocol/http/head.h"
#include "protocol/http/path.h"
#include "protocol/http/target.h"

enum operation http_operation_of(struct slice method)
{
	enum operation operation = operation_from_name(method, PROTOCOL_HTTP);

	if (operation >= OPERATION_HTTP_GET && operation <= OPERATION_HTTP_CONNECT)
		return operation;
	return OPERATION_HTTP_OTHER;
}

static void not_understood(struct http_pairs *p, const char *problem)
{
	p->unknown |= ACTION_UNKNOWN_TEXT;
	p->problem = problem;
}

static bool has(const struct http_pairs *p, enum operation operation, enum object_state state,
	struct slice object)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct action_pair *pair = &p->items[i];

		if (pair->operation == operation && pair->state == state &&
			slice_equal(pair->object, object))
			return true;
	}
	return false;
}

/* Each once: for each, rules look through the whole body. */
static void add(struct http_pairs *p, enum operation operation, enum object_state state,
	struct slice object)
{
	if (has(p, operation, state, object))
		return;
	if (p->count == HTTP_PAIRS_MOST)
		not_understood(p, "it names too many methods and paths");
	else
		p->items[p->count++] = (struct action_pair){
			.operation = operation, .state = state, .object = object};
}

void http_pairs_add(struct http_pairs *p, enum operation operation)
{
	add(p, operation, OBJECT_NONE, SLICE_EMPTY);
}

void http_pairs_add_as(
	struct http_pairs *p, enum operation operation, const struct action_pair *pair)
{
	add(p, operation, pair->state, pair->object);
}

void http_pairs_add_path(
	struct http_pairs *p, enum operation operation, struct slice path, struct buffer *room)
{
	struct http_path readings;

	http_path_read(path, room, &readings);
	for (size_t i = 0; i < readings.count; i++)
		add(p, operation, OBJECT_KNOWN, readings.readings[i]);
	if (readings.problem)
		not_understood(p, readings.problem);
}

void http_pairs_add_beyond(
	struct http_pairs *p, const struct http_beyond *beyond, struct buffer *room)
{
	bool brackets = strchr(beyond->name, ':');
	size_t begin = buffer_length(room);

	if (buffer_append_format(room, "%s%s%s:%u", brackets ? "[" : "", beyond->name,
		    brackets ? "]" : "", beyond->port) < 0)
		not_understood(p, "where it leads is too long");
	else
		add(p, OPERATION_HTTP_CONNECT, OBJECT_KNOWN, slice_from(buffer_slice(room), begin));
}

void http_pairs_of_line(struct slice text, struct buffer *room, struct http_pairs *ret)
{
	struct slice line = slice_take_until(&text, '\n'), method = slice_take_until(&line, ' ');
	struct slice where = slice_take_until(&line, ' ');
	struct http_beyond beyond;
	struct http_target target;

	*ret = (struct http_pairs){.count = 0};
	if (!http_is_token(method) || where.length == 0 ||
		!http_target_read(method, where, &target))
		not_understood(ret, "expected a method and a path, as \"GET /v1/x\"");
	else if (target.form == HTTP_TARGET_PATH)
		http_pairs_add_path(ret, http_operation_of(method), target.path, room);
	else if (target.form != HTTP_TARGET_AUTHORITY)
		http_pairs_add(ret, http_operation_of(method));
	else if (http_beyond_read(target.authority, &beyond))
		http_pairs_add_beyond(ret, &beyond, room);
	else
		not_understood(ret, "CONNECT leads to a name or an address, and a port");
}
