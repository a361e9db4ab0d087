/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/engine_guard.h"

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

static void check_query(struct engine_guard *g, struct slice body)
{
	struct slice text;

	if (pg_get_string(&body, &text) < 0 || body.length)
		broken(g, "a malformed Query for the server");
	else if (!slice_starts_with(text, slice_from_string(POISON)))
		use_release(g, text, true, "a Query that was not released");
}

/* By the nonce that runs have, which no agent knows. */
static bool is_private(struct slice name)
{
	static const char private[] = "wayleave_role_0_";

	return slice_starts_with(name, slice_from_string(private)) &&
		name.length == strlen(private) + 12;
}

static bool is_of_role(struct slice name, struct slice text)
{
	return is_private(name) &&
		(slice_starts_with(text, slice_from_string("SET ROLE ")) ||
			slice_starts_with(
				text, slice_from_string("SELECT 1 OPERATOR(pg_catalog./) ")));
}

static void check_parse(struct engine_guard *g, struct slice body)
{
	struct slice name, text, types;
	uint16_t count;

	if (pg_get_string(&body, &name) < 0 || pg_get_string(&body, &text) < 0 ||
		pg_get_u16(&body, &count) < 0 ||
		pg_get_bytes(&body, 4 * (size_t)count, &types) < 0 || body.length)
		broken(g, "a malformed Parse for the server");
	else if (is_of_role(name, text))
		return;
	else if (!slice_starts_with(text, slice_from_string(POISON)))
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
static void check_bind(struct engine_guard *g, struct slice body)
{
	struct slice portal, statement;

	if (pg_get_string(&body, &portal) < 0 || pg_get_string(&body, &statement) < 0 ||
		skip_values(&body) < 0)
		broken(g, "a malformed Bind for the server");
	else if (slice_equal(portal, statement) && is_private(statement))
		return;
	else if (!slice_starts_with(statement, slice_from_string(POISON)))
		use_release(g, buffer_slice(&g->runs.text), true, "a Bind that was not released");
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

static void check_for_server(struct engine_guard *g, uint8_t type, struct slice body)
{
	const struct pg_message *message = &pg_agent_messages[type];

	if (!message->name || body.length > message->most) {
		broken(g, "a message for the server that doesn't exist");
		return;
	}
	switch (type) {
	case 'Q':
		check_query(g, body);
		break;
	case 'P':
		check_parse(g, body);
		break;
	case 'B':
		check_bind(g, body);
		break;
	case 'E':
	case 'D':
	case 'C':
		check_named(g, body, type);
		break;
	case 'F':
		use_release(g, buffer_slice(&g->runs.text), true,
			"a FunctionCall that was not released");
		break;
	case 'S':
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

		check_for_server(g, header.type, slice_from(whole, PG_HEADER_SIZE));
		buffer_consume(&g->to_server, whole.length);
	}
}

/* --- messages for the agent: their frames --- */

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
