/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/engine_guard.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "protocol/postgres/engine.h"

#define POISON "wayleave_denied_"
#define STREAM_MOST (128u << 20)

static void broken(struct engine_guard *g, const char *why)
{
	if (!g->broken)
		g->broken = why;
}

static void on_decided(
	struct engine_watch *w, const struct protocol_action_event *event, bool released)
{
	struct engine_guard *g = container_of(w, struct engine_guard, watch);

	bool runs = event->phase == ACTION_RUN;
	struct buffer *text = runs ? &g->runs.text : &g->known.text;

	*(runs ? &g->runs.released : &g->known.released) = released;
	buffer_clear(text);
	buffer_append_slice(text, event->action->text);
}

/* --- messages for the server --- */

/* The release that lets this text go; each lets one message go. */
static void use_release(struct engine_guard *g, struct slice text, bool runs, const char *why)
{
	bool *released = runs ? &g->runs.released : &g->known.released;
	const struct buffer *last = runs ? &g->runs.text : &g->known.text;
	bool fits = *released && slice_equal(buffer_slice(last), text);

	*released = false;
	if (!fits)
		broken(g, why);
}

/* In a failed transaction nothing runs, as whom ever. */
static void check_acts(struct engine_guard *g, bool should, const char *why)
{
	if (g->acts != should && !g->failed)
		broken(g, why);
}

static void check_query(struct engine_guard *g, struct engine_run *run, struct slice body)
{
	struct slice text;

	if (pg_get_string(&body, &text) < 0 || body.length)
		broken(g, "a malformed Query for the server");
	else if (!slice_starts_with(text, slice_from_string(POISON))) {
		use_release(g, text, true, "a Query that was not released");
		check_acts(g, run->host.as.length > 0, "a Query as another role than its rule's");
	}
}

/* By the nonce that runs have, which no agent knows. */
static bool is_private(struct slice name)
{
	static const char private[] = "wayleave_role_0_";

	return slice_starts_with(name, slice_from_string(private)) &&
		name.length == strlen(private) + 12;
}

/* Whether SQL has `name` as the quoted identifier. */
static bool is_quoted(struct slice quoted, struct slice name)
{
	struct buffer b;
	bool same;

	buffer_init(&b, 4096);
	buffer_append_byte(&b, '"');
	for (size_t i = 0; i < name.length; i++) {
		buffer_append_byte(&b, name.data[i]);
		if (name.data[i] == '"')
			buffer_append_byte(&b, '"');
	}
	buffer_append_byte(&b, '"');
	same = slice_equal(buffer_slice(&b), quoted);
	buffer_done(&b);
	return same;
}

/* What it says of the role is what holds from here on. */
static bool is_of_role(
	struct engine_guard *g, struct engine_run *run, struct slice name, struct slice text)
{
	static const char set[] = "SET ROLE ";
	struct slice as = run->host.as, role;

	if (!is_private(name))
		return false;
	if (!slice_starts_with(text, slice_from_string(set)))
		return slice_starts_with(
			text, slice_from_string("SELECT 1 OPERATOR(pg_catalog./) "));
	role = slice_from(text, strlen(set));
	/* The session's own is quoted only where it has to be; those of rules always are. */
	g->acts = as.length && is_quoted(role, as);
	return true;
}

static void keep(char room[64], struct slice text)
{
	snprintf(room, 64, "%.*s", SLICE_PRINT(text));
}

static void note_portal(struct engine_guard *g, struct slice name, struct slice as)
{
	size_t i = g->portal_count++;

	if (i >= GUARD_PORTALS_MOST)
		return;
	keep(g->portals[i].name, name);
	keep(g->portals[i].as, as);
}

/* Whether what is executed by that name may run as `as`. */
static bool was_bound_as(const struct engine_guard *g, struct slice name, bool acts)
{
	bool known = false;
	char room[64];

	keep(room, name);
	for (size_t i = 0; i < g->portal_count && i < GUARD_PORTALS_MOST; i++) {
		if (strcmp(g->portals[i].name, room) != 0)
			continue;
		known = true;
		if ((g->portals[i].as[0] != '\0') == acts)
			return true;
	}
	return !known || g->portal_count > GUARD_PORTALS_MOST;
}

static void check_execute(struct engine_guard *g, struct engine_run *run, struct slice body)
{
	struct slice name = SLICE_EMPTY;

	if (pg_get_string(&body, &name) < 0 || is_private(name) ||
		slice_starts_with(name, slice_from_string(POISON)))
		return;
	/* One that was judged anew may go as the new verdict says. */
	if (g->runs.released && g->acts == (run->host.as.length > 0))
		note_portal(g, name, run->host.as);
	if (!was_bound_as(g, name, g->acts))
		broken(g, "an Execute as another role than its portal's");
}

static void check_parse(struct engine_guard *g, struct engine_run *run, struct slice body)
{
	struct slice name, text, types;
	uint16_t count;

	if (pg_get_string(&body, &name) < 0 || pg_get_string(&body, &text) < 0 ||
		pg_get_u16(&body, &count) < 0 ||
		pg_get_bytes(&body, 4 * (size_t)count, &types) < 0 || body.length) {
		broken(g, "a malformed Parse for the server");
		return;
	}
	if (is_of_role(g, run, name, text))
		return;
	check_acts(g, false, "a Parse as the role of a rule");
	if (!slice_starts_with(text, slice_from_string(POISON)))
		use_release(g, text, false, "a Parse that was not released");
}

static int skip_values(struct slice *body)
{
	struct slice value;
	uint32_t length;
	uint16_t count;

	if (pg_get_u16(body, &count) < 0 || pg_get_bytes(body, 2 * (size_t)count, &value) < 0 ||
		pg_get_u16(body, &count) < 0)
		return -1;
	for (; count; count--) {
		if (pg_get_u32(body, &length) < 0 ||
			(length != UINT32_MAX && pg_get_bytes(body, length, &value) < 0))
			return -1;
	}
	if (pg_get_u16(body, &count) < 0 || pg_get_bytes(body, 2 * (size_t)count, &value) < 0)
		return -1;
	return body->length ? -1 : 0;
}

/* Of a statement that the session has by name, so only that something to run was released. */
static void check_bind(struct engine_guard *g, struct engine_run *run, struct slice body)
{
	struct slice portal, statement;

	if (pg_get_string(&body, &portal) < 0 || pg_get_string(&body, &statement) < 0 ||
		skip_values(&body) < 0)
		broken(g, "a malformed Bind for the server");
	else if (slice_equal(portal, statement) && is_private(statement))
		return;
	else if (!slice_starts_with(statement, slice_from_string(POISON))) {
		use_release(g, buffer_slice(&g->runs.text), true, "a Bind that was not released");
		check_acts(g, run->host.as.length > 0, "a Bind as another role than its rule's");
		note_portal(g, portal, run->host.as);
	}
}

static void check_named(struct engine_guard *g, struct slice body, uint8_t type)
{
	struct slice name;
	uint32_t most;
	uint8_t kind = 'S';

	if (type != 'E' && pg_get_u8(&body, &kind) < 0)
		kind = 0;
	if ((kind != 'S' && kind != 'P') || pg_get_string(&body, &name) < 0 ||
		(type == 'E' && pg_get_u32(&body, &most) < 0) || body.length)
		broken(g, "a malformed Execute, Describe or Close for the server");
}

/* While COPY data is read, of what runs as the role, the server ignores them. */
static void check_sync(struct engine_guard *g, struct engine_run *run)
{
	if (!pg_engine_of(run->engine)->copying_in)
		check_acts(g, false, "a Sync as the role of a rule");
}

static void check_for_server(
	struct engine_guard *g, struct engine_run *run, uint8_t type, struct slice body)
{
	const struct pg_message *message = &pg_agent_messages[type];

	if (!message->name || body.length > message->most) {
		broken(g, "a message for the server that doesn't exist");
		return;
	}
	switch (type) {
	case 'Q':
		check_query(g, run, body);
		break;
	case 'P':
		check_parse(g, run, body);
		break;
	case 'B':
		check_bind(g, run, body);
		break;
	case 'E':
		check_execute(g, run, body);
		check_named(g, body, type);
		break;
	case 'D':
	case 'C':
		check_named(g, body, type);
		break;
	case 'F':
		use_release(g, buffer_slice(&g->runs.text), true,
			"a FunctionCall that was not released");
		check_acts(g, false, "a FunctionCall as the role of a rule");
		break;
	case 'S':
		check_sync(g, run);
		/* fall through */
	case 'H':
	case 'X':
	case 'c':
		if (body.length)
			broken(g, "a message for the server with a body that it can't have");
		break;
	default:
		break;
	}
}

/* The engine's own lookup comes in one write. */
static void check_own(struct engine_guard *g, struct slice bytes)
{
	struct pg_header header;

	while (pg_header_get(bytes, &header) && header.length <= bytes.length - PG_HEADER_SIZE) {
		if (!strchr("PBECSH", header.type))
			broken(g, "a message of our own that is not part of a lookup");
		bytes = slice_from(bytes, PG_HEADER_SIZE + (size_t)header.length);
	}
	if (bytes.length)
		broken(g, "a lookup of our own that is not well-formed");
}

/* First packets: SSLRequest, then the StartupMessage. */
static void check_first(struct engine_guard *g)
{
	struct slice in = buffer_slice(&g->to_server);
	uint32_t length, code;

	if (in.length < 8)
		return;
	length = bytes_get_u32(in.data);
	code = bytes_get_u32(in.data + 4);
	if (length < 8 || length > LIMIT_STARTUP_BYTES ||
		(code != PG_CODE_TLS && code >> 16 != PG_PROTOCOL_MAJOR))
		broken(g, "a first packet for the server that is none");
	else if (in.length >= length) {
		g->server_started = code != PG_CODE_TLS;
		buffer_consume(&g->to_server, length);
	}
}

static void wrote_to_server(struct engine_guard *g, struct engine_run *run, struct slice bytes)
{
	bool own = pg_engine_of(run->engine)->lookup || pg_engine_of(run->engine)->preview;
	struct pg_header header;

	if (own && buffer_length(&g->to_server))
		broken(g, "a lookup in the middle of the agent's message");
	if (own) {
		check_own(g, bytes);
		check_acts(g, false, "a lookup as the role of a rule");
		return;
	}
	buffer_append_slice(&g->to_server, bytes);
	if (!g->server_started) {
		check_first(g);
		return;
	}
	while (pg_header_get(buffer_slice(&g->to_server), &header) && !g->broken &&
		buffer_length(&g->to_server) >= PG_HEADER_SIZE + (size_t)header.length) {
		struct slice whole = slice_head(
			buffer_slice(&g->to_server), PG_HEADER_SIZE + (size_t)header.length);

		check_for_server(g, run, header.type, slice_from(whole, PG_HEADER_SIZE));
		buffer_consume(&g->to_server, whole.length);
	}
}

/* --- messages for the agent: their frames --- */

static void note_answer(struct engine_guard *g, uint8_t type, struct slice body)
{
	/* It takes back the transaction, and the role that was set in it. */
	if (type == 'E')
		g->acts = false;
	else if (type == 'Z' && body.length)
		g->failed = body.data[0] == 'E';
	else if (type == 'C')
		g->failed = false; /* of such only the end completes */
}

static void wrote_to_agent(struct engine_guard *g, struct slice bytes)
{
	struct pg_header header;

	buffer_append_slice(&g->to_agent, bytes);
	/* Answers to SSLRequest and GSSENCRequest are one byte each, and written alone. */
	if (!g->agent_started && bytes.length == 1 && strchr("SN", bytes.data[0])) {
		buffer_clear(&g->to_agent);
		return;
	}
	g->agent_started = true;
	while (pg_header_get(buffer_slice(&g->to_agent), &header) && !g->broken) {
		if (!pg_server_messages[header.type].name)
			broken(g, "a message for the agent that doesn't exist");
		if (buffer_length(&g->to_agent) < PG_HEADER_SIZE + (size_t)header.length)
			return;
		note_answer(g, header.type, slice_from(buffer_slice(&g->to_agent), PG_HEADER_SIZE));
		buffer_consume(&g->to_agent, PG_HEADER_SIZE + (size_t)header.length);
	}
}

static void on_wrote(
	struct engine_watch *w, struct engine_run *run, enum side to, struct slice bytes)
{
	struct engine_guard *g = container_of(w, struct engine_guard, watch);

	if (to == SIDE_SERVER)
		wrote_to_server(g, run, bytes);
	else
		wrote_to_agent(g, bytes);
}

void engine_guard_init(struct engine_guard *g)
{
	memset(g, 0, sizeof(*g));
	g->watch = (struct engine_watch){.wrote = on_wrote, .decided = on_decided};
	buffer_init(&g->to_server, STREAM_MOST);
	buffer_init(&g->to_agent, STREAM_MOST);
	buffer_init(&g->known.text, LIMIT_STATEMENT_BYTES * 2);
	buffer_init(&g->runs.text, LIMIT_STATEMENT_BYTES * 2);
}

void engine_guard_done(struct engine_guard *g)
{
	buffer_done(&g->to_server);
	buffer_done(&g->to_agent);
	buffer_done(&g->known.text);
	buffer_done(&g->runs.text);
}
