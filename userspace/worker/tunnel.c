/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tunnel.h"

#include <errno.h>
#include <stdio.h>

#include "worker/beyond.h"
#include "worker/session_internal.h"

/* What of a session says where it leads. */
struct whereabouts {
	struct origin origin;
	struct policy_scope *scope; /* reference */
	const struct policy_agent *agent;
	struct protocol_engine *engine;
	struct slice matched_name, beyond;
	uint32_t resource;
	bool placed, certified, tunnelled;
	char address[sizeof(((struct session *)0)->address)];
	char place[sizeof(((struct session *)0)->place)];
	char answered[sizeof(((struct session *)0)->answered)];
};

static void save(const struct session *s, struct whereabouts *ret)
{
	*ret = (struct whereabouts){.origin = s->origin,
		.scope = s->scope,
		.agent = s->agent,
		.engine = s->engine,
		.matched_name = s->matched_name,
		.beyond = s->beyond,
		.resource = s->resource,
		.placed = s->placed,
		.certified = s->certified,
		.tunnelled = s->tunnelled};
	memcpy(ret->address, s->address, sizeof(ret->address));
	memcpy(ret->place, s->place, sizeof(ret->place));
	memcpy(ret->answered, s->answered, sizeof(ret->answered));
}

static void restore(struct session *s, const struct whereabouts *w)
{
	s->origin = w->origin;
	s->scope = w->scope;
	s->agent = w->agent;
	s->engine = w->engine;
	s->matched_name = w->matched_name;
	s->beyond = w->beyond;
	s->resource = w->resource;
	s->placed = w->placed;
	s->certified = w->certified;
	s->tunnelled = w->tunnelled;
	memcpy(s->address, w->address, sizeof(s->address));
	memcpy(s->place, w->place, sizeof(s->place));
	memcpy(s->answered, w->answered, sizeof(s->answered));
}

void tunnel_set_place(struct session *s, struct slice name, uint16_t port)
{
	struct address address = {{0}};
	char text[HOST_NAME_MOST + 1];

	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(name));
	s->tunnelled = true;
	s->beyond = SLICE_EMPTY;
	s->origin.port = port;
	s->origin.interface = 0;
	if (address_parse(text, &address) == 0) {
		place_text(address.bytes, port, s->address, sizeof(s->address));
	} else {
		snprintf(s->address, sizeof(s->address), "%s:%u", text, port);
		s->beyond = slice_of(s->address, strlen(text));
	}
	memcpy(s->origin.address, address.bytes, sizeof(s->origin.address));
	s->origin.local = s->origin.local && place_is_loopback(s->beyond, s->origin.address);
	/* A place of the proxy's choice; what `loopback` says of it, beyond_check() asks. */
	if (s->origin.way == ORIGIN_FORWARDED_NAMED)
		s->origin.way = ORIGIN_FORWARDED;
}

/* Where it leads now, and the rules between it and the agent. The scope before stays the caller's.
 */
static int move(struct session *s, struct slice name, uint16_t port)
{
	tunnel_set_place(s, name, port);
	s->engine = NULL;
	s->placed = s->certified = false;
	s->place_found.scope = 0;
	s->place[0] = '\0';
	s->answered[0] = '\0';
	s->matched_name = SLICE_EMPTY;
	return session_take_scope(s, SLICE_EMPTY);
}

static int refuse(enum reason *ret_reason, struct buffer *why, enum reason reason, const char *text)
{
	*ret_reason = reason;
	buffer_append_string(why, "denied: ");
	buffer_append_string(why, text);
	return -EPERM;
}

static enum reason check_beyond(const struct session *s, const char **ret_why)
{
	const struct beyond_place place = {.resource = upstream_resource(s),
		.name = s->beyond,
		.address = s->origin.address,
		.port = s->origin.port,
		.here = s->origin.local};

	return beyond_check(policy_scope_policy(s->scope), &place, ret_why);
}

int tunnel_check(struct session *s, struct slice name, uint16_t port, enum reason *ret_reason,
	struct buffer *why)
{
	struct whereabouts before;
	enum reason reason;
	const char *text;
	int r;

	if (s->host.observes)
		return 0;
	if (strlen(s->upstream_name) + sizeof(s->address) + 16 > sizeof(s->upstream_name))
		return refuse(ret_reason, why, REASON_LIMIT, "too many proxies in a row");
	save(s, &before);
	r = move(s, name, port);
	if (r < 0) {
		restore(s, &before);
		return refuse(ret_reason, why, REASON_UNKNOWN_AGENT, "no such agent");
	}
	reason = check_beyond(s, &text);
	if (reason == REASON_NONE) {
		r = session_check_connection(s, ret_reason, why);
	} else {
		r = refuse(ret_reason, why, reason, text);
		session_record_refusal(s, reason, buffer_slice(why));
	}
	policy_scope_put(s->scope);
	restore(s, &before);
	return r;
}

void tunnel_set_name(struct session *s, const char *proxy)
{
	size_t room = sizeof(s->upstream_name) - sizeof(s->address) - 16;

	snprintf(s->upstream_name, sizeof(s->upstream_name), "%s through %.*s", s->address,
		(int)room, proxy);
}

void tunnel_enter(struct session *s, struct slice name, uint16_t port)
{
	struct protocol_engine *engine = s->engine;
	struct policy_scope *scope = s->scope;
	const struct policy_agent *agent = s->agent;
	char proxy[sizeof(s->upstream_name)];

	if (move(s, name, port) < 0) {
		s->engine = engine;
		s->scope = scope;
		s->agent = agent;
		session_reset(s, REASON_UNKNOWN_AGENT, NULL);
		return;
	}
	engine->protocol->close(engine);
	policy_scope_put(scope);
	memcpy(proxy, s->upstream_name, sizeof(proxy));
	tunnel_set_name(s, proxy);
	s->sni[0] = s->user[0] = s->database[0] = s->application[0] = '\0';
	s->upstream = UPSTREAM_NONE;
	s->connection = CONNECTION_FREE;
	s->state = SESSION_BEGINNING;
	s->enters = true;
	session_record_facts(s, false);
}

bool tunnel_may_begin(struct session *s)
{
	const char *why;
	enum reason reason = check_beyond(s, &why);

	if (reason == REASON_NONE)
		return true;
	/* Where we only observe, what can't be judged there is not kept from being. */
	if (policy_scope_policy(s->scope)->mode != POLICY_OBSERVE) {
		session_reset(s, REASON_POLICY_CHANGED, s->address);
		return false;
	}
	session_record_note(s, reason, why);
	session_record_note(s, REASON_NONE, "relayed unread");
	s->unread = true;
	pipe_open(s, &protocol_opaque);
	upstream_connect(s);
	pipe_go_on(s);
	return false;
}

void tunnel_begin(struct session *s)
{
	s->enters = false;
	if (!tunnel_may_begin(s))
		return;
	session_begin(s);
	if (s->state == SESSION_DETECTING &&
		(buffer_length(&s->partial[SIDE_AGENT]) || buffer_length(&s->partial[SIDE_SERVER])))
		detect_on_bytes(s);
	if (s->state == SESSION_DETECTING && s->end_waits[SIDE_AGENT])
		detect_on_end(s);
}
