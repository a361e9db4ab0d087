/* SPDX-License-Identifier: Apache-2.0
 *
 * login: from the agent's first byte to the StartupMessage that the server gets.
 *
 * Where the resource doesn't say how TLS with the server is to be, the agent's SSLRequest is
 * answered with what the server says to ours, so that an agent sees what it would see without us.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

#define FIRST_PACKETS_MOST 4 /* SSLRequest, GSSENCRequest, StartupMessage, and one to spare */
#define TLS_RECORD_HANDSHAKE 0x16
#define ALPN "postgresql"

static void start_tls(struct pg_engine *e, enum side side, const char *alpn)
{
	struct protocol_event *event = pg_event(e, EVENT_TLS);

	event->tls = (struct protocol_tls){.side = side, .alpn = alpn};
	if (side == SIDE_AGENT)
		e->agent = PG_AGENT_TLS;
	else
		e->server = PG_SERVER_TLS;
}

static int answer_byte(struct pg_engine *e, char answer)
{
	return pg_write(e, SIDE_AGENT, slice_of(&answer, 1));
}

static int ask_server_for_tls(struct pg_engine *e)
{
	uint8_t packet[8];

	bytes_put_u32(packet, sizeof(packet));
	bytes_put_u32(packet + 4, PG_CODE_TLS);
	e->server = PG_SERVER_ASKED_TLS;
	return pg_write(e, SIDE_SERVER, slice_of(packet, sizeof(packet)));
}

static bool server_wants_tls(const struct pg_engine *e)
{
	switch (e->base.host->upstream_tls) {
	case UPSTREAM_TLS_ON:
		return true;
	case UPSTREAM_TLS_OFF:
		return false;
	default:
		return e->agent_tls || e->agent == PG_AGENT_ASKS_TLS;
	}
}

static int send_startup(struct pg_engine *e)
{
	e->server = PG_SERVER_MESSAGES;
	return pg_write(e, SIDE_SERVER, buffer_slice(&e->startup_packet));
}

/* The agent asked for TLS, and now it is known what to say. */
static int answer_tls_request(struct pg_engine *e, bool yes)
{
	int r = answer_byte(e, yes ? 'S' : 'N');

	if (yes)
		start_tls(e, SIDE_AGENT, NULL);
	else
		e->agent = PG_AGENT_FIRST;
	return r;
}

/* Goes as far as what is known of both sides allows. */
int pg_login_advance(struct pg_engine *e)
{
	bool as_agent = e->base.host->upstream_tls == UPSTREAM_TLS_AS_AGENT;

	if (e->agent == PG_AGENT_ASKS_TLS && (!as_agent || e->abort_text))
		return answer_tls_request(e, true);
	if (e->server == PG_SERVER_IDLE && server_wants_tls(e) && !e->server_refused_tls)
		return ask_server_for_tls(e);
	if (e->agent == PG_AGENT_ASKS_TLS && e->server_refused_tls)
		return answer_tls_request(e, false);
	if (e->agent != PG_AGENT_STARTED || e->wait != PG_WAIT_NONE)
		return 0;
	if (e->server == PG_SERVER_SECURE || (e->server == PG_SERVER_IDLE && !server_wants_tls(e)))
		return send_startup(e);
	return 0;
}

/* The server's one-byte answer to SSLRequest. */
int pg_login_server_byte(struct pg_engine *e, struct slice in, size_t *ret_taken)
{
	uint8_t answer = in.data[0];

	if (in.length == 0)
		return 0;
	*ret_taken = 1;
	if (answer == 'S') {
		/* Bytes that came in clear behind the answer are not the server's (CVE-2021-23222).
		 */
		if (in.length > 1)
			return pg_fail(e, REASON_UPSTREAM_TLS,
				"the server sent unencrypted data after its answer to SSLRequest");
		start_tls(e, SIDE_SERVER, ALPN);
		if (e->agent == PG_AGENT_ASKS_TLS)
			return answer_tls_request(e, true);
		return 0;
	}
	if (answer != 'N')
		return pg_fail(e, REASON_UPSTREAM_TLS, "the server did not answer SSLRequest");
	e->server = PG_SERVER_IDLE;
	e->server_refused_tls = true;
	if (e->base.host->upstream_tls == UPSTREAM_TLS_ON || e->agent_tls)
		return pg_fail(e, REASON_UPSTREAM_TLS, "the server does not offer TLS");
	return pg_login_advance(e);
}

static int on_tls_request(struct pg_engine *e, struct slice behind)
{
	if (behind.length)
		return -EBADMSG; /* CVE-2021-23222 from the other side */
	if (e->agent_tls)
		return -EBADMSG;
	e->agent = PG_AGENT_ASKS_TLS;
	return pg_login_advance(e);
}

static int on_cancel(struct pg_engine *e, struct slice packet)
{
	struct protocol_event *event = pg_event(e, EVENT_CANCEL);

	event->cancel.key = slice_from(packet, 8);
	event->cancel.message = packet;
	e->agent = PG_AGENT_DONE;
	return 0;
}

struct slice pg_login_give_up(struct protocol_engine *base)
{
	struct pg_engine *e = pg_engine_of(base);
	struct buffer *b = &e->scratch;

	buffer_clear(b);
	if (e->requests.count == 0 || buffer_length(&e->cancel_key) == 0 ||
		buffer_append_u32(b, (uint32_t)(8 + buffer_length(&e->cancel_key))) < 0 ||
		buffer_append_u32(b, PG_CODE_CANCEL) < 0 ||
		buffer_append_slice(b, buffer_slice(&e->cancel_key)) < 0)
		return SLICE_EMPTY;
	return buffer_slice(b);
}

/* What the StartupMessage asks for beyond a session: settings off the harmless list, replication.
 */
static int judge_startup(struct pg_engine *e)
{
	struct pg_startup *s = &e->startup;
	struct action_pair *pairs =
		arena_new_array(&e->login_arena, s->setting_count + 2, sizeof(*pairs));
	struct protocol_event *event;
	size_t count = 0;

	if (!pairs)
		return -E2BIG;
	if (s->replication)
		pairs[count++] = (struct action_pair){.operation = OPERATION_REPLICATION};
	if (s->strange_option)
		pairs[count++] = (struct action_pair){
			OPERATION_SET, OBJECT_UNKNOWN, false, slice_from_string(s->strange_option)};
	for (size_t i = 0; i < s->setting_count; i++) {
		struct action_pair pair =
			sql_setting_pair(s->settings[i].name, s->settings[i].value);

		if (pair.operation != OPERATION_SESSION)
			pairs[count++] = pair;
	}
	if (count == 0)
		return pg_login_advance(e);
	e->pending.facts = (struct action){
		.protocol = PROTOCOL_POSTGRES,
		.pairs = pairs,
		.pair_count = count,
		.text = slice_from_string("(connection settings)"),
	};
	e->wait = PG_WAIT_VERDICT;
	event = pg_event(e, EVENT_ACTION);
	event->action.action = &e->pending.facts;
	event->action.phase = ACTION_RUN;
	return 0;
}

static int on_startup(struct pg_engine *e, struct slice packet)
{
	struct slice kept = arena_copy(&e->login_arena, slice_from(packet, 4));
	int r = kept.data ? pg_startup_parse(kept, &e->login_arena, &e->startup) : -E2BIG;

	/* The server's own words for it, as without us. */
	if (r < 0 && e->base.host->observes && !e->abort_text)
		return -EBADMSG;
	e->agent = PG_AGENT_STARTED;
	if (r == -EPROTONOSUPPORT)
		return pg_fail(e, REASON_PROTOCOL_VIOLATION,
			"only version 3 of PostgreSQL's protocol is spoken here");
	if (r < 0)
		return pg_fail(e, REASON_PROTOCOL_VIOLATION, "malformed StartupMessage");
	if (e->base.host->credentials.given || e->base.host->identity.length)
		r = pg_inject_startup(e, kept);
	else
		r = buffer_append_slice(&e->startup_packet, packet);
	if (r < 0)
		return pg_fail(e, REASON_LIMIT, "a StartupMessage that is too long");
	return e->abort_text ? 0 : judge_startup(e);
}

static int on_first_packet(struct pg_engine *e, struct slice packet, struct slice behind)
{
	switch (bytes_get_u32(packet.data + 4)) {
	case PG_CODE_CANCEL:
		return on_cancel(e, packet);
	case PG_CODE_TLS:
		return on_tls_request(e, behind);
	case PG_CODE_GSS:
		return answer_byte(e, 'N');
	default:
		return on_startup(e, packet);
	}
}

int pg_login_agent(struct pg_engine *e, struct slice in, size_t *ret_taken)
{
	uint32_t length;
	int r;

	if (in.length && in.data[0] == TLS_RECORD_HANDSHAKE && !e->agent_tls) {
		/* PostgreSQL 17's direct negotiation: no SSLRequest, but ALPN is a must. */
		e->direct_tls = true;
		start_tls(e, SIDE_AGENT, ALPN);
		return 0;
	}
	if (in.length < 8)
		return in.length >= 4 && bytes_get_u32(in.data) < 8 ? -EBADMSG : 0;
	length = bytes_get_u32(in.data);
	if (length < 8 || length > LIMIT_STARTUP_BYTES)
		return -EBADMSG;
	if (in.length < length)
		return 0;
	if (e->first_packets == FIRST_PACKETS_MOST)
		return -EBADMSG;
	r = on_first_packet(e, slice_head(in, length), slice_from(in, length));
	/* Who relays it unread has to have all of it. */
	if (r == -EBADMSG)
		return r;
	e->first_packets++;
	*ret_taken = length;
	return r;
}

void pg_login_tls_done(
	struct pg_engine *e, enum side side, const struct protocol_tls_result *result)
{
	if (side == SIDE_AGENT) {
		e->agent_tls = true;
		e->agent = PG_AGENT_FIRST;
		if (result->error < 0 || (e->direct_tls && !result->alpn.length)) {
			struct protocol_event *event = pg_event(e, EVENT_CLOSE);

			e->agent = PG_AGENT_DONE;
			event->note.reason = REASON_AGENT_TLS;
			if (result->error == 0)
				event->note.text =
					slice_from_string("TLS without an SSLRequest has to name "
							  "its protocol by ALPN");
		}
		return;
	}
	if (result->error < 0) {
		e->server = PG_SERVER_DONE;
		pg_fail(e, REASON_UPSTREAM_TLS, "%s", result->text);
		return;
	}
	e->server_tls = true;
	e->server_verified = result->verified;
	e->server = PG_SERVER_SECURE;
	buffer_append_slice(&e->end_point, result->server_end_point);
	pg_login_advance(e);
}
